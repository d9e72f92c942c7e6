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
    /// Where completions are published that no coordinator hears of.
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
    /// Where attempts keep their files. The directory is there, and nobody else uses it.
    pub scratch: PathBuf,
    /// Where those are of attempts that an earlier process was killed with.
    pub before: PathBuf,
    /// Where it is kept how attempts ended of which no coordinator has heard yet. The directory is there.
    pub outbox: PathBuf,
    /// For so many terms the coordinators of an attempt may be silent before it is ended.
    pub silent_terms: u32,
}
