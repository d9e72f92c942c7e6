//! `submit`

use crate::Task;
use clap::Args;
use mc_config::Period;
use mc_types::{CheckpointEvery, Policy};

#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub task: Task,
    /// A name and value of your choice; target_node=ID names the node that must run the job; repeatable
    #[arg(long, value_name = "K=V", help_heading = "Where and when")]
    pub label: Vec<String>,
    /// How often to retry when a machine fails
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        help_heading = "When a machine fails"
    )]
    pub retries: u32,
    /// From 0 to 9; the job goes before all waiting jobs with a lower priority
    #[arg(
        long,
        value_name = "0-9",
        default_value_t = 5,
        help_heading = "Where and when"
    )]
    pub priority: u8,
    /// Give up if no node takes the job within this time, such as 10m; default: never
    #[arg(long, value_name = "TIME", help_heading = "Where and when")]
    pub queue_timeout: Option<Period>,
    /// How to choose among several nodes: first-answer, random, best-fit, local-first or data-locality; default: the
    /// setting of the node that grants the lease
    #[arg(long, value_name = "NAME", help_heading = "Where and when")]
    pub policy: Option<Policy>,
    /// Run it only on a node with this label; repeatable
    #[arg(long, value_name = "K=V", help_heading = "Where and when")]
    pub require: Vec<String>,
    /// The job's name in lists, stored as the label `name`; default: the name of the component's file, unless the job
    /// is private
    #[arg(long, value_name = "NAME", help_heading = "Where and when")]
    pub name: Option<String>,
    /// Who submits the job; submitters take turns among jobs of the same priority
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        help_heading = "Where and when"
    )]
    pub submitter: String,
    /// Take a checkpoint at this interval, a time such as 5s or a number of operators; a job that loses its machine
    /// resumes from the newest
    #[arg(long, value_name = "TIME|N", value_parser = interval, help_heading = "When a machine fails")]
    pub checkpoint_every: Option<CheckpointEvery>,
    /// Encrypt the inputs that are read from here, and the results: only you, the node that you submit to, and the node
    /// that runs the job can read them. Arguments and variables stay readable
    #[arg(long)]
    pub encrypt: bool,
    /// Do not wait: print the job's id
    #[arg(long)]
    pub detach: bool,
}

fn interval(text: &str) -> Result<CheckpointEvery, String> {
    if let Ok(operators) = text.parse() {
        return Ok(CheckpointEvery::Operators(operators));
    }
    let Ok(Period(time)) = text.parse() else {
        return Err("give a time such as 5s, or a number of operators".to_owned());
    };
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(CheckpointEvery::Millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_taken_after_times_or_operators() {
        assert_eq!(interval("5s"), Ok(CheckpointEvery::Millis(5000)));
        assert_eq!(interval("100000"), Ok(CheckpointEvery::Operators(100_000)));
        for wrong in ["", "-1", "often", "1.5s"] {
            let refused = interval(wrong).unwrap_err();
            assert!(refused.contains("5s"), "{wrong}: {refused}");
        }
    }
}
