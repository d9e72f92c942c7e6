//! What a worker is put together from.

use crate::{Caps, Completions, Content, Keys};
use mc_execution::Executors;
use mc_protocol::{Announcement, Exchange};
use std::{path::PathBuf, sync::Arc};

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What runs tasks.
    pub executors: Executors,
    /// Where blocks are.
    pub content: Arc<dyn Content>,
    /// How coordinators are asked.
    pub peers: Arc<dyn Exchange>,
    /// Where completions are published while no coordinator answers.
    pub completions: Arc<dyn Completions>,
    /// What opens the keys of private tasks.
    pub keys: Arc<dyn Keys>,
}

/// How a worker works, and what it lends.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it tells coordinators while nothing runs.
    pub announcement: Announcement,
    /// What it lends at most.
    pub caps: Caps,
    /// Where attempts keep their files. The directory exists, and nobody else uses it.
    pub scratch: PathBuf,
    /// Where the files are of attempts that ended because an earlier process was killed.
    pub before: PathBuf,
    /// Where the outbox keeps what no coordinator has acknowledged. The directory exists.
    pub outbox: PathBuf,
    /// For how many terms the coordinators of an attempt may be silent before the worker ends it.
    pub silent_terms: u32,
}
