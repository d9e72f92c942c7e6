//! `why`

use crate::{client::NodeClient, failure::Failure, output};
use mc_options::{Global, JobName};
use mc_types::{JobState, Lack, Turn, Why};
use std::process::ExitCode;

pub(super) async fn run(
    global: &Global,
    client: &NodeClient,
    job: &JobName,
) -> Result<ExitCode, Failure> {
    let id = client.find(job).await?;
    output::value(global, &client.why(id).await?, describe)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(why: &Why) -> String {
    let mut text = format!("job {} is {}", why.job, why.state);
    if let Some(node) = &why.node {
        text.push_str(&format!(" on {node}"));
    }
    if let Some(node) = &why.moving_to {
        text.push_str(&format!(", and is to move to {node}"));
    }
    if why.state != JobState::Queued {
        return text;
    }
    if let Some(line) = why.line() {
        text.push_str(&format!(": {line}"));
    }
    if !why.lacks.is_empty() {
        text.push_str(&format!("\n\nof {} nodes that are known\n", why.nodes));
        text.push_str(&table(&why.lacks));
    }
    if let Some(turn) = &why.turn {
        text.push_str(&format!("\n{}", place(turn)));
    }
    text
}

/// How many nodes lack each thing.
fn table(lacks: &[Lack]) -> String {
    let head = ["LACKING", "NOTHING ELSE", "WHAT"].map(str::to_owned);
    let row = |lack: &Lack| {
        vec![
            lack.nodes.to_string(),
            lack.alone.to_string(),
            lack.clause.to_string(),
        ]
    };
    let rows = lacks.iter().map(row);
    output::table(
        &std::iter::once(head.to_vec())
            .chain(rows)
            .collect::<Vec<_>>(),
    )
}

/// Its place in the queue.
fn place(turn: &Turn) -> String {
    let first = turn.first.map(|first| format!("; {first} is the first"));
    format!("in the queue: {turn}{}", first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{Clause, JobId, Timestamp};

    #[test]
    fn each_thing_that_nodes_lack_has_a_line() {
        let id = |n| JobId::new(Timestamp::from_millis(1), n);
        let lack = |clause, nodes, alone| Lack {
            clause,
            nodes,
            alone,
            able: 0,
        };
        let why = Why {
            job: id(1),
            state: JobState::Queued,
            node: None,
            moving_to: None,
            pause_ms: 0,
            nodes: 4,
            able: 0,
            ready: 0,
            lacks: vec![
                lack(
                    Clause::Memory {
                        bytes: 6 << 30,
                        files: 0,
                    },
                    3,
                    2,
                ),
                lack(Clause::FreeSlot, 1, 0),
            ],
            nearest: None,
            turn: Some(Turn {
                own: 2,
                first: Some(id(2)),
                ..Turn::default()
            }),
        };
        let text = describe(&why);
        for line in [
            "3        2             6 GiB of memory",
            "1        0             a free slot",
        ] {
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        assert!(
            text.contains("2 jobs go first: 2 of the same submitter"),
            "{text}"
        );
        assert!(text.ends_with(&format!("{} is the first", id(2))), "{text}");
    }
}
