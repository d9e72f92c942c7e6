//! Layers of container images travel between nodes by their digests.

use crate::stored;
use mc_conformance::{NodeOptions, eventually, mc};
use mc_types::Cid;
use std::{fs, path::Path, process::Command, time::Duration};

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The digest, as other software comes to it.
fn digest(path: &Path) -> String {
    let summed = Command::new("sha256sum").arg(path).output().unwrap();
    let summed = String::from_utf8(summed.stdout).unwrap();
    format!("sha256:{}", summed.split(' ').next().unwrap())
}

#[test]
fn a_layer_is_found_by_its_digest_and_verified_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (layer, small) = (dir.path().join("layer"), dir.path().join("manifest"));
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&layer, &bytes).unwrap();
    fs::write(&small, "{}").unwrap();
    let a = NodeOptions::new().start();
    // Not connected to whoever has it, until the DHT says who that is.
    let b = NodeOptions::new().bootstrap(&a).start();
    let c = NodeOptions::new().bootstrap(&a).start();
    for path in [&layer, &small] {
        let expected = digest(path);
        let added = b.mc(["layer", "add", &text(path)]).expect_code(0).text();
        assert_eq!(added.split(' ').next().unwrap(), expected);
        let out = dir.path().join("out");
        let out_text = text(&out);
        let get = ["layer", "get", &expected, "-o", &out_text];
        // The DHT knows it a moment after it was added.
        eventually("the layer", Duration::from_secs(30), || {
            (c.mc(get).code == Some(0)).then_some(())
        });
        assert_eq!(fs::read(&out).unwrap(), fs::read(path).unwrap());
        fs::remove_file(&out).unwrap();
    }

    // Of another length than the manifest says it has, it is not what is looked for.
    let d = NodeOptions::new().bootstrap(&a).start();
    let out = text(&dir.path().join("no"));
    let wanted = digest(&layer);
    let get = ["layer", "get", &wanted, "--size", "5000", "-o", &out];
    let refused = d.mc(get.into_iter().chain(["--timeout", "3s"]));
    assert!(refused.stderr.contains("MC0011"), "{}", refused.stderr);
    let nobody = format!("sha256:{}", "0".repeat(64));
    let refused = d.mc(["layer", "get", &nobody, "-o", &out, "--timeout", "3s"]);
    assert!(refused.stderr.contains("MC0011"), "{}", refused.stderr);
    let refused = mc(["layer", "get", "sha256:00", "-o", &out]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[test]
fn a_false_layer_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    fs::write(&good, "what the digest is of".repeat(100_000)).unwrap();
    fs::write(&bad, "something else altogether".repeat(100_000)).unwrap();
    let wanted = digest(&good);
    let data = dir.path().join("data");
    let lie = || NodeOptions::new().data_dir(&data).start();
    let liar = lie();
    // A pin of the right name is all that it takes to lie, but nobody from outside gets one.
    let added = liar.mc(["add", "-q", &text(&bad)]).expect_code(0).text();
    let root = added.trim();
    let name = format!("layer/{wanted}");
    let pin = liar.mc(["pin", "add", root, "--name", &name]);
    assert!(pin.expect_code(2).stderr.contains("the node's own"));
    assert_eq!(liar.stop(), Some(0));
    let root: Cid = root.parse().unwrap();
    stored::change(&data, async |store| store.pin(&name, root).await.unwrap());
    let liar = lie();
    let own = dir.path().join("own").display().to_string();
    let refused = liar
        .mc(["layer", "get", &wanted, "-o", &own])
        .expect_code(65);
    assert!(refused.stderr.contains("MC0012"), "{}", refused.stderr);
    assert!(!Path::new(&own).exists());
    let honest = NodeOptions::new().bootstrap(&liar).start();
    let reader = NodeOptions::new().bootstrap(&liar).start();
    let out = dir.path().join("out");
    let get = [
        "layer",
        "get",
        &wanted,
        "-o",
        &text(&out),
        "--timeout",
        "5s",
    ];
    let refused = reader.mc(get);
    assert!(refused.stderr.contains("MC0011"), "{}", refused.stderr);
    assert!(!out.exists());
    honest.mc(["layer", "add", &text(&good)]).expect_code(0);
    eventually("the layer", Duration::from_secs(30), || {
        (reader.mc(get).code == Some(0)).then_some(())
    });
    assert_eq!(fs::read(&out).unwrap(), fs::read(&good).unwrap());
    // Only the layer itself is removed by its digest.
    let kept = format!("layer/{wanted}");
    assert_eq!(honest.mc(["pin", "rm", &kept]).code, Some(2));
    honest.mc(["layer", "rm", &wanted]).expect_code(0);
    assert!(!honest.mc(["pin", "ls"]).text().contains(&kept));
    let gone = honest.mc(["layer", "rm", &wanted]);
    assert!(gone.stderr.contains("MC0013"), "{}", gone.stderr);
}

#[test]
fn what_a_node_pinned_is_found_again_after_a_restart() {
    let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = files.path().join("file");
    fs::write(&path, "found again".repeat(200_000)).unwrap();
    let a = NodeOptions::new().start();
    let start = || {
        NodeOptions::new()
            .data_dir(dir.path())
            .bootstrap(&a)
            .start()
    };
    let b = start();
    let added = b.mc(["layer", "add", &text(&path)]).expect_code(0).text();
    let cid = b.mc(["add", &text(&path)]).expect_code(0).text();
    assert_eq!(b.stop(), Some(0));
    let b = start();
    let cid = cid.trim();
    let digest = added.split(' ').next().unwrap();
    let out = text(&files.path().join("out"));
    // It has to be back in the DHT first.
    let layer = eventually("the layer", Duration::from_secs(30), || {
        let got = a.mc(["--format", "json", "layer", "get", digest, "-o", &out]);
        (got.code == Some(0)).then_some(got)
    });
    assert_eq!(layer.json()["cid"], cid);
    eventually("a provider", Duration::from_secs(30), || {
        let list = a.mc(["dht", "providers", cid]).text();
        list.contains(&b.id).then_some(())
    });
}
