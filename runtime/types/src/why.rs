//! Why a job waits: what it asks of a node, how many nodes have that, and whose turn it is.

mod change;
mod clause;
mod turn;
mod units;

pub use change::{Change, NearestMiss};
pub use clause::Clause;
pub use turn::Turn;

use crate::{JobId, JobState, NodeId};
use serde::{Deserialize, Serialize};
use units::count;

/// How many nodes lack something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// What they lack.
    #[serde(deserialize_with = "crate::lenient::or_default")]
    pub clause: Clause<'static>,
    /// How many of all.
    pub nodes: u32,
    /// How many of them lack nothing else.
    pub alone: u32,
    /// How many of them meet all lasting conditions, and only have to become free.
    pub able: u32,
}

/// What keeps a job from running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The job.
    pub job: JobId,
    /// The state of the job. All other fields are about queued jobs.
    pub state: JobState,
    /// The node that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The node that it is to move to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<NodeId>,
    /// How many milliseconds of the pause after a failed attempt are left.
    pub pause_ms: u64,
    /// Nodes that are known.
    pub nodes: u32,
    /// Those that could run it if they had nothing else to do.
    pub able: u32,
    /// Nodes that could take it now, if it were its turn.
    pub ready: u32,
    /// The requirements that some nodes do not meet, in the order of checking.
    pub lacks: Vec<Lack>,
    /// If no node is able, those that come nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestMiss>,
    /// Its place among the jobs that wait for the same nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
}

impl Why {
    /// What the job waits for, in one line; `None` if it does not wait for a node.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        if self.state != JobState::Queued {
            return None;
        }
        let mut parts = vec![self.nodes_in_words()];
        parts.extend(self.nearest.as_ref().map(ToString::to_string));
        if self.pause_ms > 0 {
            let seconds = self.pause_ms.div_ceil(1000);
            parts.push(format!("it is retried in {seconds} s"));
        }
        let turn = self.turn.as_ref().filter(|turn| turn.ahead() > 0);
        parts.extend(turn.filter(|_| self.able > 0).map(ToString::to_string));
        Some(parts.join("; "))
    }

    /// How many nodes could run it, and what the others lack.
    fn nodes_in_words(&self) -> String {
        let lends_none = |lack: &Lack| lack.clause == Clause::Lends && lack.nodes == self.nodes;
        if self.nodes == 0 || self.lacks.iter().any(lends_none) {
            return "no known node lends slots".to_owned();
        }
        let away = self.lacks.iter().find_map(|lack| match &lack.clause {
            Clause::Target { node } if lack.nodes == self.nodes => Some(node),
            _ => None,
        });
        if let Some(node) = away {
            return format!("the only node that may run it is away: {node}");
        }
        let lacking = |lack: &Lack| match self.able {
            0 if lack.clause.is_lasting() => Some((lack.nodes, lack.clause.clone())),
            0 => None,
            _ => Some((lack.able, lack.clause.clone())),
        };
        let lacks = self.lacks.iter().filter_map(lacking);
        let lacks: Vec<_> = lacks
            .filter(|(nodes, _)| *nodes > 0)
            .map(|(nodes, clause)| format!("{} {clause}", count(nodes, "lacks", "lack")))
            .collect();
        let can = match self.able {
            0 => format!(
                "none of {} can run it",
                count(self.nodes, "known node", "known nodes")
            ),
            able => format!("{} run it", count(able, "node can", "nodes can")),
        };
        if lacks.is_empty() {
            return can;
        }
        format!("{can}: {}", lacks.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, canonical};
    use std::borrow::Cow;

    fn lack(clause: Clause<'static>, nodes: u32, able: u32) -> Lack {
        Lack {
            clause,
            nodes,
            alone: 0,
            able,
        }
    }

    fn why(nodes: u32, able: u32, lacks: Vec<Lack>) -> Why {
        Why {
            job: JobId::new(Timestamp::from_millis(1), 1),
            state: JobState::Queued,
            node: None,
            moving_to: None,
            pause_ms: 0,
            nodes,
            able,
            ready: 0,
            lacks,
            nearest: None,
            turn: None,
        }
    }

    #[test]
    fn one_line_tells_what_is_lacking_and_what_comes_near() {
        let memory = Clause::Memory {
            bytes: 900 << 30,
            files: 0,
        };
        let label = Clause::Label {
            name: "room".into(),
            value: "cel\x1blar".into(),
        };
        let lacks = vec![
            lack(memory, 4, 0),
            lack(label, 1, 0),
            lack(Clause::FreeSlot, 2, 0),
        ];
        let mut why = why(4, 0, lacks);
        why.nearest = Some(NearestMiss {
            nodes: 3,
            changes: vec![Change::Memory { bytes: 6 << 30 }],
        });
        let line = why.line().unwrap();
        assert_eq!(
            line,
            "none of 4 known nodes can run it: 4 lack 900 GiB of memory, 1 lacks the label \
             room=cel\\u{1b}lar; 3 nodes could with memory ≤ 6 GiB"
        );
        why.state = JobState::Running;
        assert_eq!(why.line(), None);
    }

    #[test]
    fn one_line_tells_who_is_busy_and_who_goes_first() {
        let lacks = vec![lack(Clause::FreeSlot, 3, 2), lack(Clause::Heard, 1, 1)];
        let mut why = why(5, 3, lacks);
        why.turn = Some(Turn {
            higher: 3,
            own: 1,
            ..Turn::default()
        });
        assert_eq!(
            why.line().unwrap(),
            "3 nodes can run it: 2 lack a free slot, 1 lacks a recent sign of life; \
             4 jobs go first: 3 of higher priority, 1 of the same submitter"
        );
        let nobody = super::tests::why(0, 0, Vec::new());
        assert_eq!(nobody.line().unwrap(), "no known node lends slots");
    }

    #[test]
    fn a_node_that_is_away_is_named() {
        let node: NodeId = "12D3KooWa".parse().unwrap();
        let target = Clause::Target {
            node: Cow::Owned(node.clone()),
        };
        let mut why = why(3, 0, vec![lack(target, 3, 0), lack(Clause::Lends, 1, 0)]);
        why.nearest = Some(NearestMiss {
            nodes: 2,
            changes: vec![Change::Target { node }],
        });
        assert_eq!(
            why.line().unwrap(),
            "the only node that may run it is away: 12D3KooWa; \
             2 nodes could without target_node=12D3KooWa"
        );
    }

    #[test]
    fn reasons_travel_between_coordinators() {
        let mut why = why(1, 0, vec![lack(Clause::Lends, 1, 0)]);
        why.turn = Some(Turn::default());
        let (_, bytes) = canonical::encode(&why).unwrap();
        assert_eq!(canonical::decode::<Why>(&bytes).unwrap(), why);
    }
}
