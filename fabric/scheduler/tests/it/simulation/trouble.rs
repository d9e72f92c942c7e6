//! What workers say, what people do, and what goes wrong.

use super::{Attempt, MEMORY, Message, PARTITION, SKEW, STANDSTILL, WORKERS, World, taken};
use crate::support::{announce, lent, node};
use mc_scheduler::{Answer, Command};
use mc_types::{JobId, NodeId};
use std::{collections::BTreeMap, time::Duration};

impl World {
    /// Heartbeats and announcements.
    pub(super) fn chatter(&mut self) {
        let beats: Vec<_> = self
            .workers
            .iter()
            .flat_map(|(w, attempts)| attempts.iter().map(|(job, a)| (w.clone(), *job, a.token)))
            .collect();
        for (worker, job, token) in beats {
            let to = self.coordinator_of(&job);
            let beat = || Command::Heartbeat {
                worker: worker.clone(),
                job,
                token,
                running: Some(Duration::ZERO),
            };
            self.send(|| Message::Command {
                to,
                command: beat(),
            });
        }
        let all: Vec<_> = self
            .workers
            .iter()
            .map(|(worker, attempts)| {
                let busy = u32::try_from(attempts.len()).unwrap_or(2);
                let free = (2 - busy, MEMORY - taken(attempts));
                (worker.clone(), free, attempts.keys().copied().collect())
            })
            .collect::<Vec<(NodeId, (u32, u64), Vec<JobId>)>>();
        for (worker, (slots, memory), jobs) in all {
            for to in 0..self.coordinators.len() {
                let mut said = announce(worker.clone(), 2);
                let yours = |job: &&JobId| self.owners.get(*job) == Some(&to);
                if let Command::Announce { offer, running, .. } = &mut said {
                    offer.slots_free = slots;
                    offer.lent = lent(MEMORY);
                    offer.lent.free.memory_bytes = memory;
                    *running = jobs.iter().filter(yours).copied().collect();
                }
                self.send(|| Message::Command {
                    to,
                    command: said.clone(),
                });
            }
        }
    }

    /// Somebody moves some job to some worker, and the one that has it lets go of it, or cannot.
    fn move_something(&mut self) {
        let open = self
            .records
            .values()
            .filter(|record| !record.state.is_terminal());
        let open: Vec<JobId> = open.map(|record| record.id).collect();
        let any = usize::try_from(self.random.next() >> 1).unwrap();
        let Some(id) = open.get(any % open.len().max(1)).copied() else {
            return;
        };
        let to = self.owners.get(&id).copied().unwrap_or_default();
        let target = node(u32::try_from(self.random.below(u64::from(WORKERS))).unwrap());
        let migrate = Command::Migrate {
            job: id,
            node: target,
        };
        let Some(Answer::Leave { node, token }) = self.command(to, migrate) else {
            return;
        };
        let runs = |attempts: &BTreeMap<JobId, Attempt>| {
            let attempt = attempts.get(&id);
            attempt.is_some_and(|attempt| attempt.token == token)
        };
        if !self.workers.get(&node).is_some_and(runs) || self.random.chance(20) {
            self.command(to, Command::Stay { job: id });
            return;
        }
        self.workers.entry(node.clone()).or_default().remove(&id);
        self.send(|| Message::Command {
            to,
            command: Command::Release {
                worker: node.clone(),
                job: id,
                token,
                reason: "it is to move".to_owned(),
            },
        });
    }

    pub(super) fn break_something(&mut self) {
        if self.random.chance(2) {
            self.move_something();
        }
        if self.random.chance(1) {
            // A worker loses everything that it worked on.
            let worker = node(u32::try_from(self.random.below(u64::from(WORKERS))).unwrap());
            self.workers.insert(worker.clone(), BTreeMap::new());
            for to in 0..self.coordinators.len() {
                let worker = worker.clone();
                self.command(to, Command::WorkerGone { worker });
            }
        }
        let any = usize::try_from(self.random.below(2)).unwrap() % self.coordinators.len();
        if self.random.chance(1) {
            // A coordinator comes back with what is durable, and nothing else.
            self.coordinators[any].skew = self.random.below(2 * SKEW);
            self.restore(any);
        }
        if self.coordinators.len() > 1 && self.random.chance(1) {
            // One stands still, and goes on later as if nothing had happened.
            let until = self.now + self.random.below(STANDSTILL);
            self.coordinators[any].stands_still_until = until;
        }
        if self.now >= self.cut_off.1 && self.random.chance(1) {
            let workers: Vec<_> = self.workers.keys().cloned().collect();
            let some = workers.into_iter().filter(|_| self.random.chance(50));
            self.cut_off = (some.collect(), self.now + PARTITION);
        }
    }
}
