//! Processes: stopping and continuing them, and what they have used.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};

/// The kernel's ticks in a second, in which it reports times (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process")?;
    Ok(kill_process(pid, signal)?)
}

/// Lets others go first: an agent has a machine of its own in reality, and must not starve the gateway here.
pub(crate) fn be_nice(pid: u32) -> Result<()> {
    Ok(setpriority_process(Pid::from_raw(i32::try_from(pid)?), 10)?)
}

/// Seconds of processor time that a process has used so far.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name, in brackets, and may contain anything.
    let rest = stat.rsplit_once(')').context("a name in brackets")?.1;
    let ticks = rest.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(|field| Ok(field.parse::<u32>()?));
    let ticks = ticks.collect::<Result<Vec<_>>>()?;
    Ok(ticks.into_iter().map(f64::from).sum::<f64>() / TICKS_PER_SECOND)
}

/// Megabytes of memory that only this process has, and its share of what it has together with others.
pub(crate) fn memory_mb(pid: u32) -> Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("a line Pss")?.parse::<f64>()? / 1024.0)
}
