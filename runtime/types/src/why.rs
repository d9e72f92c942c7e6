//! Why a job waits: what it asks of a node, how many nodes have that, and whose turn it is.

use crate::{JobId, JobState, NodeId};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// Something that a node must have to be given a job. A new kind of requirement is a variant here, a line in
/// its `Display`, and a rule in the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clause<'a> {
    /// It runs tasks at all.
    Lends,
    /// It is the node that the job names, or is to move to.
    Target {
        /// That node.
        node: Cow<'a, NodeId>,
    },
    /// It lends so much memory.
    Memory {
        /// In bytes.
        bytes: u64,
    },
    /// It lends so much disk for the files that a task writes.
    Scratch {
        /// In bytes.
        bytes: u64,
    },
    /// It lends so much disk for what a task prints.
    Output {
        /// In bytes.
        bytes: u64,
    },
    /// It lets an attempt take so long.
    AttemptTime {
        /// In milliseconds.
        millis: u64,
    },
    /// It has this label.
    Label {
        /// Its name.
        name: Cow<'a, str>,
        /// Its value.
        value: Cow<'a, str>,
    },
    /// It said something of late.
    Heard,
    /// It is not passed over for having failed what others could.
    Trusted,
    /// One of its slots is free.
    FreeSlot,
    /// So much of the memory that it lends is free. If a node never lends so much, only [`Clause::Memory`] says that it
    /// lacks memory, and this one does not.
    FreeMemory {
        /// In bytes.
        bytes: u64,
    },
    /// What a later version asks for, and this one does not know.
    #[default]
    Unknown,
}

impl Clause<'_> {
    /// Whether it holds, or does not, until somebody changes the node or the job. The other clauses change with time
    /// alone.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::Heard | Self::Trusted | Self::FreeSlot | Self::FreeMemory { .. }
        )
    }

    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Clause<'static> {
        match self {
            Self::Lends => Clause::Lends,
            Self::Target { node } => Clause::Target {
                node: Cow::Owned(node.into_owned()),
            },
            Self::Memory { bytes } => Clause::Memory { bytes },
            Self::Scratch { bytes } => Clause::Scratch { bytes },
            Self::Output { bytes } => Clause::Output { bytes },
            Self::AttemptTime { millis } => Clause::AttemptTime { millis },
            Self::Label { name, value } => Clause::Label {
                name: Cow::Owned(name.into_owned()),
                value: Cow::Owned(value.into_owned()),
            },
            Self::Heard => Clause::Heard,
            Self::Trusted => Clause::Trusted,
            Self::FreeSlot => Clause::FreeSlot,
            Self::Unknown => Clause::Unknown,
            Self::FreeMemory { bytes } => Clause::FreeMemory { bytes },
        }
    }
}

/// What a node lacks of which the clause does not hold.
impl fmt::Display for Clause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lends => f.write_str("slots for tasks"),
            Self::Target { node } => write!(f, "the id {node}"),
            Self::Memory { bytes } => write!(f, "{} of memory", Size(*bytes)),
            Self::Scratch { bytes } => write!(f, "{} of scratch", Size(*bytes)),
            Self::Output { bytes } => write!(f, "{} of output", Size(*bytes)),
            Self::AttemptTime { millis } => write!(f, "{} for an attempt", Time(*millis)),
            Self::Label { name, value } => {
                // Anybody may have chosen them.
                let (name, value) = (name.escape_debug(), value.escape_debug());
                write!(f, "the label {name}={value}")
            }
            Self::Heard => f.write_str("a sign of life of late"),
            Self::Trusted => f.write_str("trust after failures"),
            Self::FreeSlot => f.write_str("a free slot"),
            Self::Unknown => f.write_str("what only a later version of mc-wasm knows"),
            Self::FreeMemory { bytes } => write!(f, "{} of free memory", Size(*bytes)),
        }
    }
}

/// A number of bytes for people.
struct Size(u64);

const MEBIBYTE: u64 = 1 << 20;

/// Units by their size, the largest first.
const UNITS: [(u64, &str); 4] = [
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(f, "{} bytes", self.0);
        };
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        let tenths = u128::from(rest) * 10 / u128::from(unit);
        // A little more than a node has would look like what it has: people ask for whole mebibytes.
        if tenths == 0 && rest > 0 && unit > MEBIBYTE && self.0.is_multiple_of(MEBIBYTE) {
            return write!(f, "{} MiB", self.0 / MEBIBYTE);
        }
        match tenths {
            0 => write!(f, "{whole} {name}"),
            _ => write!(f, "{whole}.{tenths} {name}"),
        }
    }
}

/// A length of time for people, in milliseconds.
struct Time(u64);

/// Units of time by their length, the longest first.
const TIMES: [(u64, &str); 3] = [(3_600_000, "h"), (60_000, "min"), (1_000, "s")];

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(unit, _): &(u64, &str)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        match TIMES.into_iter().find(divides) {
            Some((unit, name)) => write!(f, "{} {name}", self.0 / unit),
            None => write!(f, "{} ms", self.0),
        }
    }
}

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
    /// How many of them meet all lasting conditions, and lack only what time may give.
    pub able: u32,
}

/// What would have to be different for some nodes to be able to run a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It asks for no more memory than this.
    Memory {
        /// In bytes.
        bytes: u64,
    },
    /// It asks for no more disk for its files than this.
    Scratch {
        /// In bytes.
        bytes: u64,
    },
    /// It asks for no more disk for what it prints than this.
    Output {
        /// In bytes.
        bytes: u64,
    },
    /// It asks for no more time than this.
    AttemptTime {
        /// In milliseconds.
        millis: u64,
    },
    /// It does not ask for this label.
    Label {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// Among the nodes that have another value for this label, the value that most of them have.
        instead: Option<String>,
    },
    /// It does not ask for this node.
    Target {
        /// That node.
        node: NodeId,
    },
    /// What a later version would change, and this one does not know.
    #[default]
    Unknown,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { bytes } => write!(f, "with memory ≤ {}", Size(*bytes)),
            Self::Scratch { bytes } => write!(f, "with scratch ≤ {}", Size(*bytes)),
            Self::Output { bytes } => write!(f, "with output ≤ {}", Size(*bytes)),
            Self::AttemptTime { millis } => write!(f, "with timeout ≤ {}", Time(*millis)),
            Self::Label {
                name,
                value,
                instead,
            } => {
                let name = name.escape_debug();
                write!(f, "without {name}={}", value.escape_debug())?;
                match instead {
                    Some(instead) => write!(f, " (some have {name}={})", instead.escape_debug()),
                    None => Ok(()),
                }
            }
            Self::Target { node } => write!(f, "without target_node={node}"),
            Self::Unknown => f.write_str("with what only a later version of mc-wasm knows"),
        }
    }
}

/// The nodes that come nearest to being able to run a job that no node can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearestMiss {
    /// How many they are.
    pub nodes: u32,
    /// What would have to be different, all of it.
    #[serde(deserialize_with = "crate::lenient::list")]
    pub changes: Vec<Change>,
}

impl fmt::Display for NearestMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<_> = self.changes.iter().map(ToString::to_string).collect();
        let could = count(self.nodes, "node", "nodes");
        write!(f, "{could} could {}", changes.join(" and "))
    }
}

/// Who goes first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turn {
    /// Jobs that go first because of their priority.
    pub higher: u32,
    /// Jobs of other submitters whose turn it is.
    pub others: u32,
    /// Earlier jobs of the same submitter.
    pub own: u32,
    /// Whether these were not counted to the end; then `others` has all that were counted.
    pub more: bool,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<JobId>,
}

impl Turn {
    /// How many jobs go first.
    #[must_use]
    pub const fn ahead(&self) -> u32 {
        self.higher
            .saturating_add(self.others)
            .saturating_add(self.own)
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ahead() == 0 {
            return f.write_str("it is the next");
        }
        let parts = [
            (self.higher, "of higher priority"),
            (self.others, "of other submitters"),
            (self.own, "of the same submitter"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(jobs, _)| *jobs > 0)
            .map(|(jobs, whose)| format!("{jobs} {whose}"))
            .collect();
        let jobs = count(self.ahead(), "job goes", "jobs go");
        if self.more {
            return write!(f, "more than {jobs} first");
        }
        write!(f, "{jobs} first: {}", parts.join(", "))
    }
}

/// What keeps a job from running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The job.
    pub job: JobId,
    /// Where it is in its life. All that follows is about jobs that are queued.
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
    /// Those that could be given it now, were it its turn.
    pub ready: u32,
    /// What it asks for that some nodes lack, in the order in which it is looked at.
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
            parts.push(format!("it is tried again in {seconds} s"));
        }
        let turn = self.turn.as_ref().filter(|turn| turn.ahead() > 0);
        parts.extend(turn.filter(|_| self.able > 0).map(ToString::to_string));
        Some(parts.join("; "))
    }

    /// How many nodes could run it, and what the others lack.
    fn nodes_in_words(&self) -> String {
        let lends_none = |lack: &Lack| lack.clause == Clause::Lends && lack.nodes == self.nodes;
        if self.nodes == 0 || self.lacks.iter().any(lends_none) {
            return "no node that is known lends slots".to_owned();
        }
        let away = self.lacks.iter().find_map(|lack| match &lack.clause {
            Clause::Target { node } if lack.nodes == self.nodes => Some(node),
            _ => None,
        });
        if let Some(node) = away {
            return format!("the node {node} is away, which is the only one that may run it");
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

/// A number and the word that goes with it.
fn count(number: u32, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, canonical};

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
        let memory = Clause::Memory { bytes: 900 << 30 };
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
            "3 nodes can run it: 2 lack a free slot, 1 lacks a sign of life of late; \
             4 jobs go first: 3 of higher priority, 1 of the same submitter"
        );
        let nobody = super::tests::why(0, 0, Vec::new());
        assert_eq!(nobody.line().unwrap(), "no node that is known lends slots");
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
            "the node 12D3KooWa is away, which is the only one that may run it; \
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

    #[test]
    fn times_are_for_people() {
        for (millis, text) in [
            (0, "0 ms"),
            (1_500, "1500 ms"),
            (90_000, "90 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(Time(millis).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (65_536, "64 KiB"),
            (6 << 30, "6 GiB"),
            ((3 << 29) + 1, "1.5 GiB"),
            (1025 << 20, "1025 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
