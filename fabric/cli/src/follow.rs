//! Following a job to its end.

use crate::{client::NodeClient, exit, failure::Failure, output, progress, terminal};
use futures::StreamExt;
use indicatif::ProgressBar;
use mc_api::{JobFailure, JobView, LogQuery};
use mc_config::without_password;
use mc_content::TaskKey;
use mc_options::{Format, Global};
use mc_types::{ErrorCode, JobId, JobState, LogStream};
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};

/// How waiting ended.
pub(crate) enum Ended {
    /// The job has ended.
    Job(Box<JobView>),
    /// The user does not want to wait any longer.
    Detached,
    /// No node answers any more, or reaches its database.
    Lost(Failure),
}

/// How a user is attached to a job whose output is printed: with its key, if it is private.
pub(crate) type Attached<'a> = Option<Option<&'a TaskKey>>;

/// Waits until the job ends or the user interrupts. When attached, prints what the guest writes.
pub(crate) async fn to_end(
    client: &NodeClient,
    global: &Global,
    job: JobView,
    attached: Attached<'_>,
) -> Result<Ended, Failure> {
    let Some(id) = job.id else {
        return Ok(Ended::Job(Box::new(job)));
    };
    let progress = progress::line(global);
    let following = async {
        let attached = attached.filter(|_| global.format == Format::Text);
        let waiting = wait(client, global, (id, job), progress.as_ref());
        let (ended, _, _) = tokio::try_join!(
            waiting,
            print_log(client, id, LogStream::Stdout, attached, progress.as_ref()),
            print_log(client, id, LogStream::Stderr, attached, progress.as_ref()),
        )?;
        Ok::<_, Failure>(Ended::Job(Box::new(ended)))
    };
    let ended = tokio::select! {
        ended = following => match ended {
            Err(lost) if lost.is_away() => Ok(Ended::Lost(lost)),
            ended => ended,
        },
        interrupted = interrupted() => match interrupted {
            Ok(()) => Ok(Ended::Detached),
            Err(error) => Err(Failure::internal(error.to_string())),
        },
    };
    if let Some(progress) = &progress {
        progress.finish_and_clear();
    }
    ended
}

/// Waits until somebody calls the command off: by Ctrl-C, or as `timeout` and managers of services do.
async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// The command that goes on with a job, or with several, as it has to be typed after this one.
pub(crate) fn command(global: &Global, command: &str, jobs: impl Display) -> String {
    let mut words = vec!["mc-wasm".to_owned()];
    if let Some(file) = &global.config {
        let file = output::quoted(&file.to_string_lossy());
        words.push(format!("--config {file}"));
    }
    if let Some(node) = &global.node {
        words.push(format!(
            "--node {}",
            output::quoted(&without_password(node))
        ));
    }
    if let Some(dir) = &global.data_dir {
        let dir = output::quoted(&dir.to_string_lossy());
        words.push(format!("--data-dir {dir}"));
    }
    words.push(format!("{command} {jobs}"));
    words.join(" ")
}

/// Prints that no node answers for a job any more, and the command to continue with; returns the exit code.
pub(crate) fn lost(global: &Global, job: impl Display, again: &str, failure: Failure) -> ExitCode {
    let failure = failure.about(&format!("job {job}"));
    let failure = failure.with_hint(format!("go on with: {again}"));
    failure.report(global.format == Format::Json);
    ExitCode::from(exit::DETACHED)
}

/// Waits until the job has ended.
pub(crate) async fn wait(
    client: &NodeClient,
    global: &Global,
    (id, job): (JobId, JobView),
    progress: Option<&ProgressBar>,
) -> Result<JobView, Failure> {
    let mut job = job;
    let mut is_told = false;
    while !job.state.is_terminal() {
        match progress {
            Some(progress) => progress.set_message(in_words(id, &job)),
            // Nobody wants to read every change, but that it waits.
            None if !is_told && job.waiting_for.is_some() => {
                tell_why(global, &job);
                is_told = true;
            }
            None => {}
        }
        job = client.wait(id, job.state).await?;
        // The node that ran it ended with its command, and this command's node only reads.
        if client.is_stuck(&job).await? {
            let message = "the node that kept it has ended";
            return Err(Failure::new(ErrorCode::NodeUnreachable, message));
        }
    }
    Ok(job)
}

/// Where a job is, and what it waits for.
fn in_words(id: JobId, job: &JobView) -> String {
    let on = job.node.as_ref().filter(|_| job.state != JobState::Queued);
    let on = on.map(|node| format!(" on {node}")).unwrap_or_default();
    let why = job.waiting_for.as_ref();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    terminal::escaped(&format!("{id} {}{on}{why}", job.state)).into_owned()
}

/// Says what a job waits for, if that is known.
pub(crate) fn tell_why(global: &Global, job: &JobView) {
    if let (Some(id), Some(why)) = (job.id, &job.waiting_for) {
        let more = command(global, "why", id);
        output::note(global, &format!("job {id} waits: {why}; more: {more}"));
    }
}

/// Prints that a job makes no progress until its node runs, and returns the exit code. Waiting would keep that node
/// from starting.
pub(crate) fn stuck(global: &Global, job: &JobView) -> ExitCode {
    let id = job.id.map(|id| id.to_string()).unwrap_or_default();
    let state = job.state;
    let note = format!("job {id} is {state}; it goes on when a node runs here: mc-wasm node");
    output::note(global, &note);
    ExitCode::from(exit::DETACHED)
}

/// Prints what the guest writes, as it writes it, until the job ends.
async fn print_log(
    client: &NodeClient,
    id: JobId,
    stream: LogStream,
    attached: Attached<'_>,
    progress: Option<&ProgressBar>,
) -> Result<(), Failure> {
    let Some(key) = attached else {
        return Ok(());
    };
    let wanted = LogQuery {
        stream,
        offset: 0,
        follow: true,
        attempt: None,
    };
    let mut pieces = Box::pin(client.logs(id, wanted, key));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let write = || {
            if stream == LogStream::Stdout {
                return output::write(&piece);
            }
            // A closed standard error leaves nobody to tell.
            let _ = std::io::stderr().lock().write_all(&piece);
            Ok(())
        };
        match progress {
            Some(progress) => progress.suspend(write)?,
            None => write()?,
        }
    }
    Ok(())
}

/// Says how a job ended, where that is not obvious, and gives the exit code.
pub(crate) fn conclude(global: &Global, job: &JobView, name: &str) -> Result<ExitCode, Failure> {
    if global.format == Format::Json {
        output::value(global, job, |_| String::new())?;
        return Ok(exit::of_job(job));
    }
    let id = job.id.map(|id| format!("job {id}: ")).unwrap_or_default();
    let why = match job.failure {
        None | Some(JobFailure::Exit) => None,
        Some(JobFailure::Trap) => Some(format!(
            "trap: {}",
            job.trap.as_deref().unwrap_or("unknown")
        )),
        Some(JobFailure::OutOfFuel) => Some("out of fuel; raise --fuel".to_owned()),
        Some(JobFailure::MemoryLimit) => Some("memory limit reached; raise --memory".to_owned()),
        Some(JobFailure::OutputLimit) => Some("output limit reached; raise --output".to_owned()),
        Some(JobFailure::Timeout) => Some("timeout; raise --timeout".to_owned()),
        Some(JobFailure::QueueTimeout) => Some(match &job.message {
            Some(why) => format!("no node took it in time: {why}"),
            None => "no node was free in time; raise --queue-timeout".to_owned(),
        }),
        Some(JobFailure::Cancelled) => Some("cancelled".to_owned()),
        Some(JobFailure::Rejected | JobFailure::Infrastructure) => job.message.clone(),
    };
    if let Some(why) = why {
        output::error(&format!("{id}{name}: {}", terminal::escaped(&why)));
    }
    Ok(exit::of_job(job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed;

    #[test]
    fn a_command_to_go_on_with_can_be_typed_as_it_is_and_shows_no_password() {
        let plain = typed::global(&[]);
        assert_eq!(command(&plain, "wait", "01j"), "mc-wasm wait 01j");
        let global = typed::global(&[
            "--config=my file.toml",
            "--node=http://ada:secret@gw.example:7780",
            "--data-dir=/d",
        ]);
        assert_eq!(
            command(&global, "logs -f", "01j"),
            "mc-wasm --config 'my file.toml' --node 'http://ada:***@gw.example:7780' --data-dir /d logs -f 01j"
        );
    }

    #[test]
    fn a_line_of_progress_says_where_a_job_is_and_steers_nothing() {
        let id: JobId = "01jd5xz7m8q9r0s1t2v3w4x5y6".parse().unwrap();
        let mut job = JobView {
            node: "12D3KooWa".parse().ok(),
            waiting_for: Some("a node\u{1b}[2J".to_owned()),
            ..JobView::default()
        };
        let line = in_words(id, &job);
        assert_eq!(line, format!("{id} queued: a node\\u{{1b}}[2J"));
        job.state = JobState::Running;
        job.waiting_for = None;
        assert_eq!(in_words(id, &job), format!("{id} running on 12D3KooWa"));
    }

    #[test]
    fn a_job_that_failed_ends_with_its_own_exit_code() {
        let job = JobView {
            state: JobState::Failed,
            failure: Some(JobFailure::OutOfFuel),
            ..JobView::default()
        };
        let code = conclude(&typed::global(&[]), &job, "x.wasm").unwrap();
        assert_eq!(code, ExitCode::from(exit::FUEL));
    }
}
