//! Relaxed tasks, which see this machine.

use crate::support::{engine, invocation};
use mc_artifacts::guest;
use mc_engine::{Invocation, Mount, Output, Stdin, World};
use mc_types::{Determinism, End, Meter, cid};

#[test]
fn relaxed_task_writes_to_this_machines_directories() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(guest("file_flood")).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let program = engine().load(&cid, &bytes, Determinism::Relaxed).unwrap();
    for (mebibytes, end) in [("1", End::Exited { code: 0 }), ("3", End::OutputLimit)] {
        let mut flood = Invocation {
            world: World::Relaxed {
                mounts: vec![Mount {
                    host: dir.path().to_owned(),
                    guest: "/out".to_owned(),
                    writable: true,
                }],
                stdin: Stdin::Empty,
            },
            stdout: Output::Memory,
            ..invocation(&[mebibytes])
        };
        flood.limits.output_bytes = 2 << 20;
        let ended = program.run(flood).unwrap();
        assert_eq!(ended.end, end, "{mebibytes}");
        assert_eq!(ended.meter, Meter::Wasmtime48);
    }
    assert_eq!(dir.path().join("flood").metadata().unwrap().len(), 3 << 20);
}
