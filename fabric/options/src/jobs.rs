//! `ps`, `status`, `wait`, `logs`, `cancel`, `result`

use crate::{JobName, Links};
use clap::Args;
use mc_config::Period;
use mc_types::JobState;
use std::path::PathBuf;

// A doc comment here would be the help of each command that has this.
#[derive(Debug, Args)]
pub struct Jobs {
    /// The jobs: ids, or unique beginnings of ids
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<JobName>,
}

#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub jobs: Jobs,
    /// Stop waiting after this time, such as 10m; the jobs go on
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Period>,
}

#[derive(Debug, Args)]
pub struct Ps {
    /// Only jobs in this state: queued, assigned, running, succeeded, failed or cancelled
    #[arg(long, value_parser = state)]
    pub state: Option<JobState>,
    /// The most jobs to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
}

fn state(text: &str) -> Result<JobState, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "one of queued, assigned, running, succeeded, failed, cancelled".to_owned())
}

#[derive(Debug, Args)]
pub struct Logs {
    /// The job: its id, or a unique beginning of it
    pub id: JobName,
    /// Follow the output until the job ends
    #[arg(short, long)]
    pub follow: bool,
    /// Print standard error instead of standard output
    #[arg(long)]
    pub stderr: bool,
    /// The attempt whose output to print, from 1 on; default: the newest
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    pub attempt: Option<u32>,
    /// Begin with the last N lines written so far
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
}

#[derive(Debug, Args)]
pub struct Fetch {
    /// The job: its id, or a unique beginning of it
    pub id: JobName,
    /// Where to write the files that the job left in /out
    #[arg(long, value_name = "DIR", required_unless_present = "dir")]
    pub out: Option<PathBuf>,
    /// A directory that the job was given, to which its changes are to be applied; what you changed meanwhile stays as it
    /// is; repeatable
    #[arg(long, value_name = "HOST::GUEST")]
    pub dir: Vec<String>,
    /// What to do with symbolic links that lead out of the directory; default: skip
    #[arg(long, value_enum, value_name = "WHAT")]
    pub links: Option<Links>,
}
