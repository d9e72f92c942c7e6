//! The command line.

use anyhow::{Context, Result, bail};
use std::time::Duration;

/// Which experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Experiment {
    Kill,
    Scale,
    Outage,
    Partition,
    Throughput,
    Swarm,
}

/// Which kind of ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerKind {
    Sqlite,
    Postgres,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(crate) experiment: Experiment,
    pub(crate) agents: Option<usize>,
    pub(crate) tasks: Option<usize>,
    /// Percent of the agents.
    pub(crate) kill: usize,
    pub(crate) ttl: Duration,
    /// How long a gateway or a part of the network is away.
    pub(crate) away: Duration,
    pub(crate) ledger: LedgerKind,
    /// The form for CI: smaller and shorter, with the same steps.
    pub(crate) short: bool,
    pub(crate) json: bool,
    /// Whether each processor has something else to do, too.
    pub(crate) busy: bool,
    pub(crate) seed: u64,
    /// Set in the process that runs inside a namespace.
    pub(crate) inside: Option<String>,
}

const USAGE: &str = "usage: experiment kill|scale|outage|partition|throughput|swarm \
    [--agents N] [--tasks N] [--kill PERCENT] [--ttl SECONDS] [--away SECONDS] \
    [--ledger sqlite|postgres] [--seed N] [--short] [--busy] [--format json|human]";

impl Arguments {
    pub(crate) fn read(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let experiment = match given.next().as_deref() {
            Some("kill") => Experiment::Kill,
            Some("scale") => Experiment::Scale,
            Some("outage") => Experiment::Outage,
            Some("partition") => Experiment::Partition,
            Some("throughput") => Experiment::Throughput,
            Some("swarm") => Experiment::Swarm,
            _ => bail!(USAGE),
        };
        let mut arguments = Self {
            experiment,
            agents: None,
            tasks: None,
            kill: 40,
            ttl: Duration::from_secs(5),
            away: Duration::ZERO,
            ledger: LedgerKind::Sqlite,
            short: false,
            json: false,
            busy: false,
            seed: 1,
            inside: None,
        };
        while let Some(flag) = given.next() {
            match flag.as_str() {
                "--short" => {
                    arguments.short = true;
                    continue;
                }
                "--busy" => {
                    arguments.busy = true;
                    continue;
                }
                _ => {}
            }
            let value = given
                .next()
                .with_context(|| format!("{flag} needs a value"))?;
            arguments.set(&flag, &value)?;
        }
        if arguments.away.is_zero() {
            arguments.away = Duration::from_secs(if arguments.short { 8 } else { 30 });
        }
        Ok(arguments)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<()> {
        let number = || {
            let number = value.parse::<u32>();
            number.with_context(|| format!("{flag}: {value:?} is not a number"))
        };
        match flag {
            "--agents" => self.agents = Some(usize::try_from(number()?)?),
            "--tasks" => self.tasks = Some(usize::try_from(number()?)?),
            "--kill" => self.kill = usize::try_from(number()?)?.min(99),
            "--ttl" => self.ttl = Duration::from_secs(number()?.max(1).into()),
            "--away" => self.away = Duration::from_secs(number()?.into()),
            "--seed" => self.seed = number()?.into(),
            "--ledger" => {
                self.ledger = match value {
                    "sqlite" => LedgerKind::Sqlite,
                    "postgres" => LedgerKind::Postgres,
                    _ => bail!("--ledger: sqlite or postgres is accepted"),
                }
            }
            "--format" => {
                self.json = match value {
                    "json" => true,
                    "human" => false,
                    _ => bail!("--format: json or human is accepted"),
                }
            }
            "--inside" => self.inside = Some(value.to_owned()),
            _ => bail!("unknown flag {flag:?}; {USAGE}"),
        }
        Ok(())
    }
}
