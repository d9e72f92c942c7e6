//! From what was typed to a task and a job.

use crate::{
    client::NodeClient,
    component::Component,
    failure::Failure,
    inputs::{self, Dirs, Input},
    known_files::KnownFiles,
    out,
    show::NAME,
    terminal,
};
use mc_config::Period;
use mc_content::{AddOptions, CountingSink, Key, TaskKey, unixfs};
use mc_options::{Submit, Task};
use mc_types::{Cid, Determinism, JobSpec, Limits, Private, TARGET_NODE, TaskKind, TaskSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
};

/// Longest name that a job is given unasked, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A task, with the files that its CIDs were made from.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) task: TaskSpec,
    pub(crate) files: BTreeMap<Cid, (PathBuf, Option<Key>)>,
    /// The key, if it is private.
    pub(crate) key: Option<TaskKey>,
    /// Standard input that was read to its end, as long as it is needed.
    _stdin: Option<tempfile::NamedTempFile>,
}

/// The limits that were typed.
pub(crate) fn limits(task: &Task) -> Limits {
    let usual = Limits::default();
    Limits {
        fuel: task.fuel,
        memory_bytes: task.memory.map_or(usual.memory_bytes, |size| size.0),
        output_bytes: task.output.map_or(usual.output_bytes, |size| size.0),
        scratch_bytes: task.scratch.map_or(usual.scratch_bytes, |size| size.0),
        scratch_files: task.files.unwrap_or(usual.scratch_files),
        handles: task.handles.unwrap_or(usual.handles),
        stack_bytes: task.stack.map_or(usual.stack_bytes, |size| size.0),
        table_entries: task.table.unwrap_or(usual.table_entries),
    }
}

/// Refuses a task that cannot run, or results that cannot be written, before anything is read, built or run.
pub(crate) fn validate(args: &Task, dirs: &Dirs) -> Result<(), Failure> {
    let job = JobSpec {
        timeout_ms: millis(args.timeout),
        ..JobSpec::new(unread(args, dirs)?)
    };
    job.validate().map_err(|e| Failure::usage(e.to_string()))?;
    let file = args.stdin.as_deref().filter(|path| !is_stream(path));
    file.map_or(Ok(()), |path| inputs::check_file(Path::new(path)))?;
    args.out.as_deref().map_or(Ok(()), out::place)
}

/// Refuses what cannot be submitted, as early.
pub(crate) fn validate_submit(args: &Submit, dirs: &Dirs) -> Result<(), Failure> {
    spec(args, unread(&args.task, dirs)?)?;
    validate(&args.task, dirs)
}

/// The task without the CIDs of its component and of what it is given.
pub(crate) fn unread(args: &Task, dirs: &Dirs) -> Result<TaskSpec, Failure> {
    let names = |names: Vec<String>| {
        names
            .into_iter()
            .map(|name| (name, Cid::default()))
            .collect()
    };
    Ok(TaskSpec {
        kind: TaskKind::Wasm {
            component: Cid::default(),
        },
        argv0: args.argv0.clone(),
        args: args.args.clone(),
        env: inputs::pairs("--env", &args.env)?,
        inputs: names(inputs::inputs(&args.input)?.into_keys().collect()),
        stdin: None,
        dirs: names(dirs.keys().cloned().collect()),
        clock: args.clock,
        limits: limits(args),
        determinism: Determinism::Deterministic,
        private: None,
    })
}

fn millis(time: Option<Period>) -> Option<u64> {
    time.map(|time| u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX))
}

/// Whether `--stdin` names something that can be read only once: `-`, or a shell's `<(…)`.
fn is_stream(path: &str) -> bool {
    let is_stream = |metadata: std::fs::Metadata| !metadata.is_file() && !metadata.is_dir();
    path == "-" || std::fs::metadata(path).is_ok_and(is_stream)
}

/// How what a task is given is added.
pub(crate) fn add_options(key: Option<&Key>) -> AddOptions {
    AddOptions {
        for_guests: true,
        key: key.cloned(),
        ..AddOptions::default()
    }
}

/// The CID of a file or directory, once it is encrypted if there is a key.
pub(crate) async fn cid_of(path: &Path, key: Option<&Key>) -> Result<Cid, Failure> {
    let options = add_options(key);
    let added = unixfs::add_path(path, &CountingSink::default(), &options).await?;
    Ok(added.cid)
}

/// The CID of a file or directory, perhaps remembered from earlier.
async fn known_cid_of(path: &Path, known: &KnownFiles) -> Result<Cid, Failure> {
    let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
    let known = metadata.is_file().then_some(known);
    if let Some(cid) = known.and_then(|known| known.get(&metadata)) {
        return Ok(cid);
    }
    let cid = cid_of(path, None).await?;
    if let Some(known) = known {
        known.put(&metadata, &cid);
    }
    Ok(cid)
}

/// Reads the standard input of a task into a file, if it can be read once only.
pub(crate) fn spooled(stdin: Option<&str>) -> Result<Option<tempfile::NamedTempFile>, Failure> {
    let Some(path) = stdin.filter(|path| is_stream(path)) else {
        return Ok(None);
    };
    let read = || {
        let mut file = tempfile::NamedTempFile::new()?;
        if path == "-" {
            std::io::copy(&mut std::io::stdin().lock(), &mut file)?;
        } else {
            std::io::copy(&mut std::fs::File::open(path)?, &mut file)?;
        }
        file.flush()?;
        Ok(Some(file))
    };
    let name = if path == "-" { "standard input" } else { path };
    read().map_err(|e| Failure::path(Path::new(name), &e))
}

/// Files and directories on their way into a task.
struct Taking<'k> {
    known: &'k KnownFiles,
    key: Option<TaskKey>,
    files: BTreeMap<Cid, (PathBuf, Option<Key>)>,
    /// Where the guest finds those that are encrypted.
    private: BTreeSet<String>,
}

impl Taking<'_> {
    async fn open(&mut self, path: PathBuf) -> Result<Cid, Failure> {
        let cid = known_cid_of(&path, self.known).await?;
        self.files.insert(cid, (path, None));
        Ok(cid)
    }

    /// What the guest finds at `place`, which is encrypted if the task is private.
    async fn take(&mut self, path: PathBuf, place: String) -> Result<Cid, Failure> {
        let Some(key) = self.key.as_ref().map(|key| key.given(&place)) else {
            return self.open(path).await;
        };
        let cid = cid_of(&path, Some(&key)).await?;
        self.files.insert(cid, (path, Some(key)));
        self.private.insert(place);
        Ok(cid)
    }
}

/// Names everything that a task needs. With a key, what is read from this machine is encrypted, but for the
/// component.
pub(crate) async fn prepare(
    (args, given): (&Task, &Dirs),
    component: &Component,
    determinism: Determinism,
    known: &KnownFiles,
    key: Option<TaskKey>,
) -> Result<Prepared, Failure> {
    let mut taking = Taking {
        known,
        key,
        files: BTreeMap::new(),
        private: BTreeSet::new(),
    };
    let component = match component {
        Component::Cid(cid) => *cid,
        Component::File(path) => taking.open(path.clone()).await?,
    };
    let mut named = BTreeMap::new();
    for (name, input) in inputs::inputs(&args.input)? {
        let cid = match input {
            Input::Cid(cid) => cid,
            Input::Path(path) => taking.take(path, format!("/in/{name}")).await?,
        };
        named.insert(name, cid);
    }
    let mut dirs = BTreeMap::new();
    for (guest, path) in given {
        let cid = taking.take(path.clone(), guest.clone()).await?;
        dirs.insert(guest.clone(), cid);
    }
    let read = spooled(args.stdin.as_deref())?;
    let stdin = match (&args.stdin, &read) {
        (None, _) => None,
        (Some(_), Some(file)) => Some(file.path().to_owned()),
        (Some(path), None) => Some(PathBuf::from(path)),
    };
    let stdin = match stdin {
        None => None,
        Some(path) => Some(taking.take(path, TaskSpec::STDIN.to_owned()).await?),
    };
    let task = TaskSpec {
        kind: TaskKind::Wasm { component },
        argv0: args.argv0.clone(),
        args: args.args.clone(),
        env: inputs::pairs("--env", &args.env)?,
        inputs: named,
        stdin,
        dirs,
        clock: args.clock,
        limits: limits(args),
        determinism,
        private: taking.key.as_ref().map(|key| Private {
            key: key.id(),
            given: taking.private,
        }),
    };
    task.validate().map_err(|e| Failure::usage(e.to_string()))?;
    Ok(Prepared {
        task,
        files: taking.files,
        key: taking.key,
        _stdin: read,
    })
}

/// The name of a job with this component: that of the file or directory, if it is printable.
fn usual_name(component: &Path) -> Option<String> {
    let real = component.canonicalize().ok()?;
    let path = component.file_name().map_or(real.as_path(), |_| component);
    let name = if real.is_dir() {
        path.file_name()
    } else {
        path.file_stem()
    };
    let name = name?.to_str()?;
    let is_plain = terminal::escaped(name) == name && name.len() <= MAX_NAME_BYTES;
    is_plain.then(|| name.to_owned())
}

/// The job that was typed.
pub(crate) fn spec(args: &Submit, task: TaskSpec) -> Result<JobSpec, Failure> {
    let mut labels = inputs::labels("--label", &args.label)?;
    if let Some(name) = &args.name {
        labels.insert(NAME.to_owned(), name.clone());
    } else if !args.encrypt
        && let Some(name) = usual_name(Path::new(&args.task.component))
    {
        labels.entry(NAME.to_owned()).or_insert(name);
    }
    let job = JobSpec {
        task,
        timeout_ms: millis(args.task.timeout),
        retries: args.retries,
        queue_timeout_ms: millis(args.queue_timeout),
        priority: args.priority,
        submitter: args.submitter.clone(),
        require: inputs::labels("--require", &args.require)?,
        policy: args.policy,
        checkpoint_every: args.checkpoint_every,
        labels,
        key: None,
    };
    job.validate().map_err(|e| Failure::usage(e.to_string()))?;
    job.target()
        .map_err(|e| Failure::usage(format!("--label {TARGET_NODE}: {e}")))?;
    Ok(job)
}

/// Sends what the node lacks.
pub(crate) async fn upload(client: &NodeClient, prepared: &Prepared) -> Result<(), Failure> {
    let roots = prepared.files.keys().copied().collect();
    for cid in client.missing(roots).await? {
        if let Some((path, key)) = prepared.files.get(&cid) {
            client.upload(path, key.as_ref(), cid).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed;
    use mc_types::ErrorCode;

    #[test]
    fn limits_are_those_that_were_typed_or_the_usual_ones() {
        let usual = Limits::default();
        assert_eq!(limits(&typed::run(&["x.wasm"]).task), usual);
        let words = [
            "--fuel=5",
            "--memory=64MiB",
            "--output=1KiB",
            "--scratch=2GB",
            "--files=7",
            "--handles=9",
            "--stack=1MiB",
            "--table=11",
            "x.wasm",
        ];
        let all = Limits {
            fuel: Some(5),
            memory_bytes: 64 << 20,
            output_bytes: 1 << 10,
            scratch_bytes: 2_000_000_000,
            scratch_files: 7,
            handles: 9,
            stack_bytes: 1 << 20,
            table_entries: 11,
        };
        assert_eq!(limits(&typed::run(&words).task), all);
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_its_name() {
        let check = |words: &[&str]| validate(&typed::run(words).task, &Dirs::new());
        check(&["--timeout=1s", "x.wasm"]).unwrap();
        for (words, code, name) in [
            (&["--timeout=0s", "x"], ErrorCode::Usage, "timeout"),
            (&["--memory=1", "x"], ErrorCode::Usage, "memory_bytes"),
            (&["--env=novalue", "x"], ErrorCode::Usage, "novalue"),
            (&["--stdin=/", "x"], ErrorCode::Path, "/"),
            (&["--out=/dev/null", "x"], ErrorCode::Path, "/dev/null"),
        ] {
            let failure = check(words).unwrap_err();
            assert_eq!(failure.code(), code, "{words:?}");
            assert!(failure.message().contains(name), "{failure:?}");
        }
    }

    #[test]
    fn a_job_is_called_as_its_file_unless_somebody_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("word-count.wasm");
        std::fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        let name = |words: &[&str]| {
            let submit = typed::submit(&[words, &[file]].concat());
            let task = unread(&submit.task, &Dirs::new()).unwrap();
            spec(&submit, task).unwrap().labels.get(NAME).cloned()
        };
        assert_eq!(name(&[]).as_deref(), Some("word-count"));
        assert_eq!(name(&["--name=mine"]).as_deref(), Some("mine"));
        assert_eq!(name(&["--label=name=its"]).as_deref(), Some("its"));
        assert_eq!(name(&["--encrypt"]), None, "a name may say too much");
        assert_eq!(
            usual_name(dir.path()).as_deref(),
            dir.path().file_name().and_then(|name| name.to_str())
        );
        let steers = dir.path().join("a\u{1b}[2J.wasm");
        std::fs::write(&steers, "").unwrap();
        assert_eq!(usual_name(&steers), None);
        let long = dir.path().join("a".repeat(MAX_NAME_BYTES + 1));
        std::fs::write(&long, "").unwrap();
        assert_eq!(usual_name(&long), None);
        assert_eq!(usual_name(Path::new("/nonexistent/x.wasm")), None);
    }

    #[test]
    fn labels_name_nodes_that_can_be() {
        let words = ["--label=target_node=a/b", "x.wasm"];
        let submit = typed::submit(&words);
        let refused = validate_submit(&submit, &Dirs::new()).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Usage);
        assert!(refused.message().contains("target_node"), "{refused:?}");
    }

    #[tokio::test]
    async fn what_a_private_task_is_given_is_encrypted_but_for_its_component() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("x.wasm"), "component").unwrap();
        std::fs::write(at("text"), "text").unwrap();
        let (component, input) = (at("x.wasm"), format!("--input=a={}", at("text").display()));
        let task = typed::run(&[&input, component.to_str().unwrap()]).task;
        let (known, dirs) = (KnownFiles::below(None), Dirs::new());
        let prepare = async |key| {
            let component = Component::File(component.clone());
            let class = Determinism::Deterministic;
            let given = (&task, &dirs);
            super::prepare(given, &component, class, &known, key)
                .await
                .unwrap()
        };
        let open = prepare(None).await;
        let [cid, text] = ["x.wasm", "text"]
            .map(|name| std::fs::read(at(name)).unwrap())
            .map(|bytes| mc_types::cid::of(mc_types::cid::RAW, &bytes));
        assert_eq!(*open.task.kind.program(), cid);
        assert_eq!(open.task.inputs.get("a"), Some(&text));
        assert_eq!(open.task.private, None);
        let private = prepare(Some(TaskKey::generate())).await;
        assert_eq!(*private.task.kind.program(), cid, "it may be cached");
        assert_ne!(private.task.inputs.get("a"), Some(&text));
        assert!(private.task.is_private("/in/a"));
        assert_eq!(private.files.len(), 2);
    }
}
