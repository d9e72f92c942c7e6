//! Databases that are full, and that are older than those who use them.

use crate::disk::SmallDisk;
use mc_artifacts::guest;
use mc_conformance::{Http, NodeOptions, eventually, free_port, privileged};
use mc_postgres::Server;
use std::{fs, path::Path, time::Duration};

#[test]
fn a_full_database_refuses_jobs_and_loses_none() {
    privileged(|| {
        let server = Server::start().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let _disk = SmallDisk::mount(dir.path(), 24);
        let url = server.database_in(dir.path()).unwrap();
        let node = NodeOptions::new().flags(["--ledger", &url]).start();
        let component = guest("exit_zero").display().to_string();
        // Jobs of some size, so that it is soon full.
        let large = incompressible(32 << 10);
        let submit = || {
            node.mc([
                "submit", "--detach", "--format", "json", &component, "--", &large,
            ])
        };
        submit().expect_code(0);
        let filler = dir.path().join("filler");
        // As much as there is.
        let written = fs::write(&filler, vec![1; 24 << 20]);
        assert!(written.is_err(), "24 MiB fit beside a database into 24 MiB");
        let mut kept = Vec::new();
        let refused = eventually("a job that is refused", Duration::from_secs(60), || {
            let done = submit();
            if done.code == Some(0) {
                kept.push(done.json()["id"].as_str().unwrap().to_owned());
                return None;
            }
            Some(done)
        });
        assert!(refused.stderr.contains("MC0014"), "{refused:#?}");
        fs::remove_file(&filler).unwrap();
        eventually("it takes jobs again", Duration::from_secs(30), || {
            (submit().code == Some(0)).then_some(())
        });
        for id in &kept {
            assert_eq!(node.succeeded(id)["state"], "succeeded");
        }
    });
}

/// Text that a database cannot make smaller.
fn incompressible(length: usize) -> String {
    let mut state = 1_u64;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    };
    (0..length).map(|_| letter()).collect()
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_ledger_from_a_backup_fences_attempts_that_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    let port = free_port();
    let gateway = || {
        NodeOptions::new()
            .data_dir(&data)
            .port(port)
            .flags(["--no-execute", "--lease-ttl", "2s"])
            .start()
    };
    let first = gateway();
    let component = guest("ticks").display().to_string();
    let id = first.submit([&*component, "--", "1", "16000"]);
    assert_eq!(first.stop(), Some(0));
    copy(&data.join("ledger"), &backup);

    // What the backup knows nothing of: two attempts, of which the second still runs.
    let second = gateway();
    let options = || {
        NodeOptions::new()
            .bootstrap(&second)
            .flags(["--slots", "1"])
    };
    let lost = options().start();
    assert_eq!(second.running(&id), lost.id);
    lost.kill();
    let ahead = options().start();
    eventually("the second attempt", Duration::from_secs(30), || {
        (second.running(&id) == ahead.id).then_some(())
    });
    let newcomer = options();
    second.kill();
    copy(&backup, &data.join("ledger"));

    let third = gateway();
    let _other = newcomer.start();
    let job = third.succeeded(&id);
    assert_eq!(job["attempts"], 1, "{job:#}");
    eventually("the older one is refused", Duration::from_secs(30), || {
        let metrics = Http::connect(&third.api).ok()?.bytes("GET", "/metrics", "");
        let metrics = String::from_utf8(metrics.ok()?).ok()?;
        let stale = metrics
            .lines()
            .find_map(|line| line.strip_prefix("mc_stale_total "))?;
        (stale.parse::<u64>().ok()? > 0).then_some(())
    });
    // And it works for the ledger as it is now.
    let next = third.submit([&*component, "--", "2", "1"]);
    assert_eq!(third.succeeded(&next)["state"], "succeeded");
}
