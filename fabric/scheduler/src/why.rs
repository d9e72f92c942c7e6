//! Why jobs wait.

use crate::{
    placement::{self, Seen},
    queue::Submitter,
    scheduler::{Job, Scheduler},
};
use mc_types::{
    Change, Clause, JobId, JobState, Lack, Lent, NearestMiss, NodeId, Resources, Timestamp, Turn,
    Why,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

/// How many jobs of a line are looked at to tell how many go before another one.
const MAX_AHEAD: usize = 10_000;

/// A set of clauses, by their places in the job's list. A job has at most 64 labels and a dozen more.
type Set = u128;

/// What decides which nodes could run a job. Jobs that agree in it get the same explanation.
#[derive(PartialEq, Eq, Hash)]
struct Asks<'j> {
    target: Option<&'j NodeId>,
    takes: Resources,
    files: u64,
    timeout_ms: Option<u64>,
    require: &'j BTreeMap<String, String>,
}

impl<'j> Asks<'j> {
    fn of(job: &'j Job) -> Self {
        let spec = &*job.record.spec;
        Self {
            target: job.place.target.as_ref(),
            takes: spec.task.resources(),
            files: spec.task.files_in_memory(),
            timeout_ms: spec.timeout_ms,
            require: &spec.require,
        }
    }
}

impl Job {
    /// Whether the same nodes could run both.
    pub(crate) fn asks_as(&self, other: &Self) -> bool {
        Asks::of(self) == Asks::of(other)
    }
}

impl Scheduler {
    /// Why each of these jobs does not run, for those that are open here.
    #[must_use]
    pub fn why(&self, now: Timestamp, jobs: &[JobId]) -> Vec<Why> {
        let mut counted: HashMap<Asks<'_>, Census> = HashMap::new();
        let mut turns: HashMap<Option<&NodeId>, Turns> = HashMap::new();
        let wanted: HashSet<JobId> = jobs.iter().copied().collect();
        let mut all = Vec::new();
        for (id, job) in jobs.iter().filter_map(|id| Some((*id, self.jobs.get(id)?))) {
            let census = counted
                .entry(Asks::of(job))
                .or_insert_with(|| self.census(now, job))
                .clone();
            let is_queued = job.record.state == JobState::Queued;
            let pause = job.record.not_before.since(now);
            let target = job.place.target.as_ref();
            let turn = (is_queued && pause.is_zero()).then(|| {
                let line = turns
                    .entry(target)
                    .or_insert_with(|| self.turns(target, &wanted));
                line.of(id)
            });
            let turn = turn.flatten();
            all.push(Why {
                job: id,
                state: job.record.state,
                node: job.record.holder.as_ref().map(|held| held.node.clone()),
                moving_to: job.wish.as_ref().map(|wish| wish.node.clone()),
                pause_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                nodes: census.nodes,
                able: census.able,
                ready: census.ready,
                lacks: census.lacks,
                nearest: census.nearest,
                turn,
            });
        }
        all
    }

    /// Whether some known worker would get the job if it had nothing else to do. While no worker is known, the answer
    /// is unknown too.
    pub(crate) fn is_placeable(&self, now: Timestamp, job: &Job) -> bool {
        let spec = &*job.record.spec;
        let has_what_lasts = |worker: Seen<'_>| {
            placement::clauses(spec, job.place.target.as_ref())
                .take_while(Clause::is_lasting)
                .all(|clause| worker.has(&clause))
        };
        let mut workers = self.workers.all(now).peekable();
        workers.peek().is_none() || workers.any(has_what_lasts)
    }

    fn census(&self, now: Timestamp, job: &Job) -> Census {
        let clauses: Vec<_> =
            placement::clauses(&job.record.spec, job.place.target.as_ref()).collect();
        Census::of(&clauses, self.workers.all(now))
    }

    fn turns(&self, target: Option<&NodeId>, wanted: &HashSet<JobId>) -> Turns {
        let line = self.queue.line(target, MAX_AHEAD, &self.running);
        let mut turns = Turns {
            known: HashMap::new(),
            counted: number(line.len()),
            is_cut_off: line.len() >= MAX_AHEAD,
            first: line.first().copied(),
        };
        let mut level = None;
        // How many jobs have higher priorities, this priority, and, within this one, each submitter.
        let (mut higher, mut here) = (0, 0);
        let mut own: HashMap<&Submitter, u32> = HashMap::new();
        for (id, job) in line.iter().filter_map(|id| Some((*id, self.jobs.get(id)?))) {
            if level.replace(job.place.priority) != Some(job.place.priority) {
                higher += std::mem::take(&mut here);
                own.clear();
            }
            let mine = own.entry(&job.place.submitter).or_default();
            if wanted.contains(&id) {
                let turn = Turn {
                    higher,
                    others: here - *mine,
                    own: *mine,
                    more: false,
                    first: turns.first.filter(|first| *first != id),
                };
                turns.known.insert(id, turn);
            }
            *mine += 1;
            here += 1;
        }
        turns
    }
}

/// Whose turn it is in one line.
struct Turns {
    known: HashMap<JobId, Turn>,
    /// Jobs that were looked at, and whether there may be more.
    counted: u32,
    is_cut_off: bool,
    first: Option<JobId>,
}

impl Turns {
    /// The turn of a job that waits in the line. If counting stopped before it, all the jobs that were counted go
    /// before it.
    fn of(&self, job: JobId) -> Option<Turn> {
        let known = self.known.get(&job).cloned();
        known.or_else(|| {
            self.is_cut_off.then(|| Turn {
                others: self.counted,
                more: true,
                first: self.first,
                ..Turn::default()
            })
        })
    }
}

/// What the known workers are to a job.
#[derive(Clone)]
struct Census {
    nodes: u32,
    able: u32,
    ready: u32,
    lacks: Vec<Lack>,
    nearest: Option<NearestMiss>,
}

impl Census {
    fn of<'w>(clauses: &[Clause<'_>], workers: impl Iterator<Item = Seen<'w>>) -> Self {
        let bit = |place: u32| 1_u128.checked_shl(place).unwrap_or_default();
        let numbered: Vec<(Set, &Clause<'_>)> = (0..).map(bit).zip(clauses).collect();
        let union = |wanted: &dyn Fn(&Clause<'_>) -> bool| {
            let wanted = numbered.iter().filter(|(_, clause)| wanted(clause));
            wanted.fold(0, |set, (bit, _)| set | bit)
        };
        let lasting: Set = union(&|clause| clause.is_lasting());
        let lending: Set = union(&|clause| *clause == Clause::Lends);
        let lacked = |worker: &Seen<'_>| {
            let lacked = numbered.iter().filter(|(_, clause)| !worker.has(clause));
            lacked.fold(0, |set: Set, (bit, _)| set | bit)
        };
        let workers: Vec<(Set, Seen<'_>)> = workers.map(|seen| (lacked(&seen), seen)).collect();
        let count = |is_counted: &dyn Fn(Set) -> bool| {
            number(workers.iter().filter(|(set, _)| is_counted(*set)).count())
        };
        let is_able = |set: Set| set & lasting == 0;
        let lack = |(bit, clause): &(Set, &Clause<'_>)| Lack {
            clause: (*clause).clone().into_owned(),
            nodes: count(&|set| set & bit != 0),
            alone: count(&|set| set == *bit),
            able: count(&|set| set & bit != 0 && is_able(set)),
        };
        let able = count(&is_able);
        let mut nearest = None;
        if able == 0 {
            let lenders = workers.iter().filter(|(set, _)| set & lending == 0);
            nearest = nearest_miss(&numbered, lenders.map(|(set, seen)| (set & lasting, *seen)));
        }
        Self {
            nodes: number(workers.len()),
            able,
            ready: count(&|set| set == 0),
            lacks: numbered
                .iter()
                .map(lack)
                .filter(|lack| lack.nodes > 0)
                .collect(),
            nearest,
        }
    }
}

/// The workers that lack the fewest clauses; if there are several such groups, the largest.
fn nearest_miss<'w>(
    clauses: &[(Set, &Clause<'_>)],
    lacking: impl Iterator<Item = (Set, Seen<'w>)>,
) -> Option<NearestMiss> {
    let mut groups: BTreeMap<Set, Vec<Seen<'_>>> = BTreeMap::new();
    for (set, seen) in lacking {
        groups.entry(set).or_default().push(seen);
    }
    let distance = |(set, group): &(Set, Vec<Seen<'_>>)| (set.count_ones(), Reverse(group.len()));
    let (set, mut group) = groups.into_iter().min_by_key(distance)?;
    let lacked = clauses.iter().filter(|(bit, _)| set & bit != 0);
    let changes = lacked.map(|(_, clause)| change(clause, &mut group));
    let changes = changes.collect::<Option<Vec<_>>>()?;
    Some(NearestMiss {
        nodes: number(group.len()),
        changes: changes.concat(),
    })
}

/// How a clause would have to change so that workers that lack it would have it. If it is an amount, the group keeps
/// only the workers that have as much as the changed clause asks for.
fn change(clause: &Clause<'_>, group: &mut Vec<Seen<'_>>) -> Option<Vec<Change>> {
    let change = match clause {
        Clause::Memory { bytes, files } => {
            let most = most(group, |lent| lent.total.memory_bytes)?;
            return Some(less_memory(*bytes, *files, most));
        }
        Clause::Scratch { .. } => Change::Scratch {
            bytes: most(group, |lent| lent.total.scratch_bytes)?,
        },
        Clause::Output { .. } => Change::Output {
            bytes: most(group, |lent| lent.total.output_bytes)?,
        },
        Clause::AttemptTime { .. } => {
            let of = |seen: &Seen<'_>| seen.lent.attempt_millis.unwrap_or(u64::MAX);
            let millis = group.iter().map(of).max()?;
            group.retain(|seen| of(seen) >= millis);
            Change::AttemptTime { millis }
        }
        Clause::Label { name, value } => Change::Label {
            name: name.to_string(),
            value: value.to_string(),
            instead: usual_value(name, group),
        },
        Clause::Target { node } => Change::Target {
            node: NodeId::clone(node),
        },
        Clause::Lends
        | Clause::Heard
        | Clause::Trusted
        | Clause::FreeSlot
        | Clause::FreeMemory { .. }
        | Clause::Unknown => return None,
    };
    Some(vec![change])
}

/// What a job that asks for `bytes` of memory, those for so many files included, has to do without to take at most `most`.
fn less_memory(bytes: u64, files: u64, most: u64) -> Vec<Change> {
    let own = bytes.saturating_sub(Resources::memory_of_files(files));
    let fewer = Change::Files {
        files: Resources::files_within(most.saturating_sub(own)),
    };
    match own <= most {
        true => vec![fewer],
        false if files == 0 => vec![Change::Memory { bytes: most }],
        false => vec![Change::Memory { bytes: most }, fewer],
    }
}

/// The largest amount that a worker of the group has, rounded down. The group keeps the workers that have that much.
fn most(group: &mut Vec<Seen<'_>>, of: impl Fn(&Lent) -> u64) -> Option<u64> {
    let most = group.iter().map(|seen| of(&seen.lent)).max()?;
    let enough = rounded_down(most);
    group.retain(|seen| of(&seen.lent) >= enough);
    Some(enough).filter(|bytes| *bytes > 0)
}

/// The value that most of these workers have for a label.
fn usual_value(name: &str, workers: &[Seen<'_>]) -> Option<String> {
    let mut values: BTreeMap<&String, u32> = BTreeMap::new();
    for value in workers
        .iter()
        .filter_map(|seen| seen.offer.labels.get(name))
    {
        *values.entry(value).or_default() += 1;
    }
    let usual = values.into_iter().max_by_key(|(_, nodes)| *nodes);
    usual.map(|(value, _)| value.clone())
}

/// Whole gibibytes, or whole mebibytes of less than one: what somebody would ask for.
const fn rounded_down(bytes: u64) -> u64 {
    let unit = if bytes >= 1 << 30 { 1 << 30 } else { 1 << 20 };
    bytes / unit * unit
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
