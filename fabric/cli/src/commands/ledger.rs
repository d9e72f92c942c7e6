//! `ledger export`, `ledger verify`, `ledger migrate`

use crate::{connect, failure::Failure, output, terminal};
use mc_config::{is_database_url, without_password};
use mc_node::Archive;
use mc_options::{Global, Ledger};
use mc_types::ErrorCode;
use serde::Serialize;
use std::process::ExitCode;

/// What was done with how many jobs.
#[derive(Serialize)]
struct Done {
    jobs: u64,
    faults: Vec<String>,
}

pub(super) async fn run(global: &Global, command: &Ledger) -> Result<ExitCode, Failure> {
    if let Ledger::Migrate { to } = command
        && !is_database_url(to)
    {
        let to = without_password(to);
        return Err(
            Failure::usage(format!("--to: {to:?} is not the URL of a database"))
                .with_hint("give one such as postgres://user:password@host:5432/database"),
        );
    }
    let config = connect::configuration(global)?.config;
    let archive = Archive::open(&config).await?;
    let done = with(global, &archive, command).await;
    archive.close().await;
    done
}

async fn with(global: &Global, archive: &Archive, command: &Ledger) -> Result<ExitCode, Failure> {
    match command {
        Ledger::Export => {
            let write = |line: &str| output::write(line.as_bytes());
            archive.export(write).await?;
        }
        Ledger::Verify => {
            let (jobs, faults) = archive.verify().await?;
            let done = Done { jobs, faults };
            output::value(global, &done, |done| {
                let fault = |fault: &String| terminal::escaped(fault).into_owned() + "\n";
                let faults = done.faults.iter().map(fault);
                faults
                    .chain([format!("{} jobs were checked\n", done.jobs)])
                    .collect()
            })?;
            if !done.faults.is_empty() {
                let message = format!("{} jobs contradict themselves", done.faults.len());
                return Err(Failure::new(ErrorCode::Ledger, message));
            }
        }
        Ledger::Migrate { to } => {
            let jobs = archive.migrate(to).await?;
            let faults = Vec::new();
            output::value(global, &Done { jobs, faults }, |done| {
                let to = without_password(to);
                format!(
                    "{} jobs are there; now start the node with --ledger {to}\n",
                    done.jobs
                )
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
