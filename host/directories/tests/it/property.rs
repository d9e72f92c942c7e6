//! Random trees, guests, hosts and kills.

use crate::{
    host::{Entry, Host, listed},
    scenario::{Kind, Random, Scenario, Tree, mode_of, time_of},
    scratch,
};
use mc_directories::{Error, Report, Transaction, recover, steps::on_step};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::UNIX_EPOCH,
};

const SEEDS: u64 = 3000;

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// The step from which on nothing is done any more, as if the process had been killed.
    dies_at: Option<usize>,
    /// The step that fails by itself, and how.
    fails_at: Option<(usize, i32)>,
    /// One in so many steps the host does something.
    edits_one_in: Option<usize>,
    /// The host edits one file that the guest changed too, just before the step that moves it.
    aims: bool,
    exchanges: bool,
    refuses_to_replace: bool,
    links: bool,
}

const EINVAL: i32 = 22;
const EPERM: i32 = 1;
const EIO: i32 = 5;

#[derive(Debug)]
struct World {
    roots: Vec<PathBuf>,
    scenarios: Vec<Scenario>,
    hosts: Vec<Host>,
    random: Random,
    steps: usize,
    committed: bool,
    dead: bool,
}

impl World {
    fn step(&mut self, name: &str, weather: Weather) -> io::Result<()> {
        self.steps += 1;
        self.committed |= name == "committed";
        self.dead |= weather.dies_at.is_some_and(|at| self.steps >= at);
        if self.dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if weather
            .edits_one_in
            .is_some_and(|it| self.random.one_in(it))
        {
            let index = self.random.below(self.roots.len());
            self.hosts[index].edit(&self.roots[index], &mut self.random);
        }
        let moves = matches!(name, "take" | "exchange" | "noreplace" | "unlink");
        if weather.aims && moves && self.committed && self.random.one_in(3) {
            let index = self.random.below(self.roots.len());
            let places = self.scenarios[index].touched();
            if let Some(place) = self.random.pick(&places)
                && self.hosts[index].edits == 0
            {
                self.hosts[index].overwrite(&self.roots[index].join(place));
            }
        }
        let code = match name {
            "exchange" if !weather.exchanges => Some(EINVAL),
            "noreplace" if !weather.refuses_to_replace => Some(EINVAL),
            "link" if !weather.links => Some(EPERM),
            _ => weather
                .fails_at
                .filter(|(at, _)| *at == self.steps && name != "committed")
                .map(|(_, code)| code),
        };
        code.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    }

    fn new(seed: u64, base: &Path) -> Self {
        let mut random = Random::new(seed);
        let count = 1 + usize::from(random.one_in(4));
        let scenarios: Vec<_> = (0..count).map(|_| Scenario::new(&mut random)).collect();
        let roots: Vec<_> = (0..count)
            .map(|it| base.join(format!("root{it}")))
            .collect();
        Self {
            hosts: roots.iter().map(|_| Host::default()).collect(),
            roots,
            scenarios,
            random,
            steps: 0,
            committed: false,
            dead: false,
        }
    }

    fn build(&self) {
        for (scenario, root) in self.scenarios.iter().zip(&self.roots) {
            std::fs::create_dir(root).unwrap();
            scenario.build(root);
        }
    }
}

fn under<T>(world: &Rc<RefCell<World>>, weather: Weather, run: impl FnOnce() -> T) -> T {
    let shared = Rc::clone(world);
    world.borrow_mut().dead = false;
    world.borrow_mut().steps = 0;
    on_step(Some(Box::new(move |name| {
        shared.borrow_mut().step(name, weather)
    })));
    let result = run();
    on_step(None);
    result
}

/// Tells the changes and commits; the host edits between the look and the telling.
fn commit(world: &Rc<RefCell<World>>, edits: usize, secret: bool) -> Result<Report, Error> {
    let mut transaction = Transaction::new();
    let (roots, scenarios) = {
        let world = world.borrow();
        (world.roots.clone(), world.scenarios.clone())
    };
    let seen: Vec<_> = scenarios
        .iter()
        .zip(&roots)
        .map(|(scenario, root)| scenario.seen(root))
        .collect();
    if secret {
        let world = &mut *world.borrow_mut();
        let index = world.random.below(roots.len());
        let places = scenarios[index].touched();
        if let Some(place) = world.random.pick(&places) {
            world.hosts[index].overwrite_secretly(&roots[index].join(place));
        }
    }
    for _ in 0..edits {
        let world = &mut *world.borrow_mut();
        let index = world.random.below(roots.len());
        world.hosts[index].edit(&roots[index], &mut world.random);
    }
    for ((scenario, root), seen) in scenarios.iter().zip(&roots).zip(&seen) {
        let dir = transaction.directory(root)?;
        scenario.tell(&mut transaction, dir, seen)?;
    }
    transaction.commit()
}

fn weather(random: &mut Random) -> Weather {
    let mut weather = Weather {
        exchanges: !random.one_in(5),
        refuses_to_replace: !random.one_in(5),
        links: !random.one_in(5),
        ..Weather::default()
    };
    if random.one_in(2) {
        weather.dies_at = Some(1 + random.below(400));
    }
    if random.one_in(5) {
        let codes = [28, 13, 18, 16, EIO];
        weather.fails_at = Some((1 + random.below(300), random.pick(&codes).unwrap()));
    }
    if !weather.links && !weather.refuses_to_replace {
        // Then a file that the host makes in one certain moment may be replaced, see the crate.
        return weather;
    }
    if random.one_in(3) {
        weather.aims = true;
    } else if random.one_in(3) {
        weather.edits_one_in = Some(2 + random.below(60));
    }
    weather
}

fn run(seed: u64, base: &Path) {
    let world = World::new(seed, base);
    world.build();
    let before: Vec<_> = world.roots.iter().map(|root| listed(root)).collect();
    let world = Rc::new(RefCell::new(world));
    let mut random = Random::new(!seed);
    let sky = weather(&mut random);
    let edits = match sky.aims {
        false if random.one_in(2) => random.below(4),
        _ => 0,
    };
    let secret = !sky.aims && random.one_in(3);
    let result = under(&world, sky, || commit(&world, edits, secret));
    if sky.dies_at.is_none() && sky.fails_at.is_none() {
        result.as_ref().unwrap();
    }
    let mut reports: Vec<Report> = result.ok().into_iter().collect();
    reports.extend(recovered(&world, &mut random, sky));
    let is_calm = sky.fails_at.is_none() && sky.links;
    if sky.aims && is_calm {
        check_in_place(&world.borrow());
    }
    let world = world.borrow();
    for (index, before) in before.iter().enumerate() {
        check(&world, index, before, is_calm);
    }
    if world.hosts.iter().all(|host| host.edits == 0) {
        let conflicts = reports.into_iter().flat_map(|report| report.conflicts);
        for kept in conflicts.filter_map(|conflict| conflict.kept) {
            assert!(kept.symlink_metadata().is_ok(), "{kept:?} was reported");
        }
    }
}

/// Recovers, dies meanwhile a few times, and recovers all that is left.
fn recovered(world: &Rc<RefCell<World>>, random: &mut Random, sky: Weather) -> Vec<Report> {
    let roots = world.borrow().roots.clone();
    let mut sky = Weather {
        fails_at: None,
        ..sky
    };
    for _ in 0..random.below(3) {
        sky.dies_at = Some(1 + random.below(200));
        let root = random.pick(&roots).unwrap();
        let _ = under(world, sky, || recover(&root));
    }
    sky.dies_at = None;
    let all = roots.iter().map(|root| under(world, sky, || recover(root)));
    all.flat_map(Result::unwrap).collect()
}

/// Where the host made one edit only, it is not the host's version that had to go elsewhere.
fn check_in_place(world: &World) {
    for (host, root) in world.hosts.iter().zip(&world.roots) {
        let after = listed(root);
        for text in &host.written {
            let mut places = after
                .iter()
                .filter(|(_, it)| it.text.as_ref() == Some(text));
            assert!(
                places.any(|(place, _)| !place.contains("mc-wasm-conflict")),
                "the host's {text} is not in place: {after:#?}"
            );
        }
    }
}

fn check(world: &World, index: usize, before: &BTreeMap<String, Entry>, is_calm: bool) {
    let after = listed(&world.roots[index]);
    let (host, scenario) = (&world.hosts[index], &world.scenarios[index]);
    let is_ours = |place: &String| place.contains(".mc-wasm");
    assert!(!after.keys().any(is_ours), "{after:#?}");
    for text in &host.written {
        let has = after.values().any(|it| it.text.as_ref() == Some(text));
        assert!(has, "the host's {text} is gone: {after:#?}");
    }
    let expected = match world.committed {
        true => &scenario.left,
        false => &scenario.found,
    };
    for node in expected.values() {
        if let Kind::File(text) | Kind::Link(text) = &node.kind {
            let found = after.values().find(|it| it.text.as_ref() == Some(text));
            assert!(
                found.is_some() || host.destroyed.contains(text),
                "{text} is gone: {after:#?}"
            );
            if let Some(file) = found.filter(|_| text.starts_with('o')) {
                check_kept(text, file);
            }
        }
    }
    if host.edits == 0 && !world.committed {
        assert_eq!(&after, before);
    }
    if host.edits == 0 && world.committed && is_calm {
        check_same(&after, expected);
    }
}

/// A file that the guest did not change is as it was.
fn check_kept(text: &str, file: &Entry) {
    assert_eq!(file.mode & 0o7777, mode_of(text));
    let time = time_of(text).duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(time.as_secs()).unwrap();
    assert_eq!(
        file.modified,
        Some((seconds, i64::from(time.subsec_nanos())))
    );
}

/// Everything is where the guest left it, and nothing else is there.
fn check_same(after: &BTreeMap<String, Entry>, expected: &Tree) {
    let found = after
        .iter()
        .map(|(place, entry)| (place, entry.text.as_ref()));
    let wanted = expected.iter().map(|(place, node)| match &node.kind {
        Kind::File(text) | Kind::Link(text) => (place, Some(text)),
        Kind::Dir => (place, None),
    });
    assert_eq!(found.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
}

#[test]
fn nothing_is_lost_whatever_the_host_does_and_whenever_the_process_dies() {
    for seed in 0..SEEDS {
        let base = scratch();
        let path = base.path().to_owned();
        let result = std::panic::catch_unwind(|| run(seed, &path));
        on_step(None);
        assert!(result.is_ok(), "seed {seed}");
    }
}
