use super::*;
use crate::{Period, Placement};
use std::{collections::BTreeSet, time::Duration};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let home = [("HOME", "/home/ada")];
    home.iter()
        .chain(pairs)
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn sources(file: Option<&Path>, pairs: &[(&str, &str)]) -> Sources {
    Sources {
        file: file.map(Path::to_owned),
        environment: environment(pairs),
        flags: Vec::new(),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn defaults_follow_the_xdg_directories() {
    let config = Config::load(sources(None, &[])).unwrap();
    assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/mc-wasm"));
    assert_eq!(config.cache.dir, Path::new("/home/ada/.cache/mc-wasm"));
    assert_eq!(config.lease.ttl, Period(Duration::from_secs(15)));
    assert!(config.worker.execute && config.p2p.mdns);
    let config = Config::load(sources(None, &[("XDG_DATA_HOME", "/data")])).unwrap();
    assert_eq!(config.data_dir, Path::new("/data/mc-wasm"));
}

/// Once, they were passed over without a word: another data directory was used than the one that was named.
#[test]
fn variables_and_flags_that_are_not_utf8_are_refused() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let variable = |name: &str| {
        let value = OsString::from_vec(b"/data/\xff".to_vec());
        super::environment::readable(name.into(), value)
    };
    let (name, value) = variable("MC_WASM_DATA_DIR").unwrap();
    let refused = Config::load(sources(None, &[(name.as_str(), value.as_str())]));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("MC_WASM_DATA_DIR"), "{refused}");
    assert!(refused.contains("not UTF-8"), "{refused}");
    assert_eq!(variable("HOME"), None);
    let mut flags = sources(None, &[]);
    flags.flags = vec![("data_dir", value.into())];
    let refused = Config::load(flags).unwrap_err().to_string();
    assert!(refused.contains("not UTF-8"), "{refused}");
}

#[test]
fn flags_beat_variables_which_beat_the_file() {
    let file = file("network = 'file'\n[worker]\nslots = 3\n[p2p]\nmdns = false\n");
    let mut sources = sources(
        Some(file.path()),
        &[
            ("MC_WASM_NETWORK", "variable"),
            ("MC_WASM_WORKER_SLOTS", "5"),
            ("MC_WASM_WORKER_LABELS", "a=b,c=d"),
        ],
    );
    sources.flags = vec![("network", "flag".into())];
    let merged = sources.merge().unwrap();
    assert_eq!(merged.config.network, "flag");
    assert_eq!(merged.config.worker.slots, Some(5));
    assert_eq!(
        merged.config.worker.labels.get("c").map(String::as_str),
        Some("d")
    );
    assert!(!merged.config.p2p.mdns);
    assert_eq!(merged.origins.get("network"), Some(&Origin::Flag));
    assert_eq!(
        merged.origins.get("p2p.mdns"),
        Some(&Origin::File(file.path().to_owned()))
    );
    assert_eq!(merged.origins.get("lease.ttl"), Some(&Origin::Default));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_valid_name() {
    let file = file("[p2p]\nbotstrap = []\n");
    let error = Config::load(sources(Some(file.path()), &[]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("p2p.botstrap") && error.contains("p2p.bootstrap"),
        "{error}"
    );
}

#[test]
fn variables_of_other_programs_are_let_alone() {
    // Midnight Commander's, MinIO's client's, and one of ours that was mistyped.
    let merged = sources(
        None,
        &[
            ("MC_SID", "4711"),
            ("MC_TMPDIR", "/tmp/mc-ada"),
            ("MC_HOST_play", "https://key:secret@play.example"),
            ("MC_WASM_NETWROK", "x"),
        ],
    )
    .merge()
    .unwrap();
    assert_eq!(merged.config.network, "main");
    assert!(merged.warnings.is_empty(), "{:?}", merged.warnings);
    let hint = "MC_WASM_NETWROK is no setting; did you mean MC_WASM_NETWORK?";
    assert_eq!(merged.hints, [hint]);
}

#[test]
fn old_names_of_variables_are_read_with_a_warning() {
    let file = file("network = 'file'\n");
    let named = file.path().to_str().unwrap();
    let environment = environment(&[("MC_CONFIG", named), ("MC_WORKER_SLOTS", "5")]);
    assert_eq!(
        environment::file(&environment).map(String::as_str),
        Some(named)
    );
    let merged = Sources {
        file: Some(file.path().to_owned()),
        environment,
        flags: Vec::new(),
    }
    .merge()
    .unwrap();
    assert_eq!(merged.config.worker.slots, Some(5));
    let origin = merged.origins.get("worker.slots");
    let variable = Origin::Variable("MC_WORKER_SLOTS".to_owned());
    assert_eq!(origin, Some(&variable));
    let warnings = merged.warnings.join("\n");
    for name in ["MC_WASM_WORKER_SLOTS", "MC_WASM_CONFIG"] {
        assert!(warnings.contains(name), "{warnings}");
    }
    let both = [("MC_NETWORK", "old"), ("MC_WASM_NETWORK", "new")];
    let merged = sources(None, &both).merge().unwrap();
    assert_eq!(merged.config.network, "new");
    assert_eq!(
        merged.warnings,
        ["MC_NETWORK is not read, since there is MC_WASM_NETWORK"]
    );
}

/// Once, they were values, which most settings refuse.
#[test]
fn empty_variables_count_as_unset() {
    let names = SETTINGS
        .iter()
        .map(|setting| setting.key.to_uppercase().replace('.', "_"))
        .chain(["CONFIG".to_owned()]);
    let names: Vec<_> = names.map(|name| format!("MC_WASM_{name}")).collect();
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(environment::file(&environment(&empty)), None);
    let merged = sources(None, &empty).merge().unwrap();
    assert_eq!(merged.config, Config::load(sources(None, &[])).unwrap());
    let mut origins = merged.origins.values();
    assert!(origins.all(|origin| *origin == Origin::Default));
    // The old name of one that is empty is read.
    let old = [("MC_WASM_NETWORK", ""), ("MC_NETWORK", "old")];
    let merged = sources(None, &old).merge().unwrap();
    assert_eq!(merged.config.network, "old");
    let file = file("[p2p]\nbootstrap = ['/ip4/192.0.2.7/tcp/1']\n");
    let none = [("MC_WASM_P2P_BOOTSTRAP", ",")];
    let config = Config::load(sources(Some(file.path()), &none)).unwrap();
    assert!(config.p2p.bootstrap.is_empty());
}

#[test]
fn bad_values_name_their_key_and_origin() {
    for (text, key) in [
        ("[lease]\nttl = 'soon'", "lease.ttl"),
        ("[lease]\nttl = '10ms'", "lease.ttl"),
        ("[worker]\nslots = 'many'", "worker.slots"),
        ("[worker]\nslots = 0", "worker.slots"),
        ("[worker]\nsilent_terms = 0", "worker.silent_terms"),
        ("[worker]\nmemory = 'much'", "worker.memory"),
        ("[worker]\nmemory = '0'", "worker.memory"),
        ("[worker]\nmemory = '100000TiB'", "worker.memory"),
        ("[worker]\ndisk = '0'", "worker.disk"),
        ("[compile]\nmax_component = '0'", "compile.max_component"),
        ("[compile]\nmemory = '0'", "compile.memory"),
        ("[compile]\nmax_code = '0'", "compile.max_code"),
        ("[compile]\ntime = '0s'", "compile.time"),
        ("[worker]\nattempt_time = '10ms'", "worker.attempt_time"),
        ("[cache]\nmax = '-1'", "cache.max"),
        ("network = 'Main Net'", "network"),
        ("data_dir = ''", "data_dir"),
        ("[cache]\ndir = ''", "cache.dir"),
        ("[p2p]\nlisten = ['localhost:1']", "p2p.listen"),
        ("[api]\nlisten = 'nowhere'", "api.listen"),
        ("[api]\nhosts = ['gw1.example:7780']", "api.hosts"),
        ("[api]\nhosts = ['http://gw1.example']", "api.hosts"),
        ("p2p = 3", "p2p"),
    ] {
        let file = file(text);
        let error = Config::load(sources(Some(file.path()), &[]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(key), "{text:?} gave {error}");
    }
    let error = Config::load(sources(None, &[("MC_WASM_P2P_MDNS", "maybe")]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("p2p.mdns") && error.contains("MC_WASM_P2P_MDNS"),
        "{error}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = Path::new("/nonexistent/config.toml");
    let error = Config::load(sources(Some(missing), &[])).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }), "{error}");
    let broken = file("= 3");
    let error = Config::load(sources(Some(broken.path()), &[])).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
}

#[test]
fn without_a_home_a_data_directory_must_be_named() {
    let error = Config::load(Sources::default()).unwrap_err();
    assert!(matches!(error, ConfigError::NoHome), "{error}");
    let flags = vec![("data_dir", "/d".into()), ("cache.dir", "/c".into())];
    let config = Config::load(Sources {
        flags,
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/d"));
}

#[test]
fn printed_configuration_reads_back_the_same() {
    let config = Config::load(sources(None, &[("MC_WASM_WORKER_LABELS", "zone=a")])).unwrap();
    let text = toml::to_string(&config).unwrap();
    let file = file(&text);
    assert_eq!(
        Config::load(sources(Some(file.path()), &[])).unwrap(),
        config
    );
}

/// Those that are not set in a configuration that is made of defaults.
#[test]
fn what_holds_where_nothing_is_set_is_said_in_words() {
    let config = Config::load(sources(None, &[])).unwrap();
    let unset: Vec<_> = config.unset().into_iter().map(|(key, _)| key).collect();
    let open = [
        "node",
        "api.listen",
        "p2p.listen",
        "content.max",
        "worker.slots",
        "worker.memory",
        "worker.scratch",
        "worker.output",
        "worker.disk",
        "worker.attempt_time",
        "worker.compile_memory",
        "ledger.url",
        "ledger.keep",
        "ledger.archive",
        "placement.parent",
    ];
    assert_eq!(unset, open);
    let set = [
        ("MC_WASM_P2P_LISTEN", "/ip4/127.0.0.1/tcp/0"),
        ("MC_WASM_LEDGER_KEEP", "30d"),
        ("MC_WASM_WORKER_EXECUTE", "false"),
    ];
    let unset = Config::load(sources(None, &set)).unwrap().unset();
    let words = |key: &str| unset.iter().find(|(unset, _)| *unset == key);
    assert_eq!((words("p2p.listen"), words("ledger.keep")), (None, None));
    let none = "0, since worker.execute is false".to_owned();
    assert_eq!(words("worker.slots"), Some(&("worker.slots", none)));
}

#[test]
fn every_default_is_a_value_that_its_setting_takes() {
    for setting in SETTINGS {
        if let Usual::Value(text) = setting.usual {
            let value = super::environment::parse(setting, text);
            assert!(value.is_ok(), "{}: {value:?}", setting.key);
        }
    }
    // With nothing but defaults, the whole is one.
    assert!(Config::load(sources(None, &[])).is_ok());
}

/// The XDG specification says so of paths that are relative.
#[test]
fn directories_of_the_user_that_are_relative_are_passed_over() {
    let relative = [("XDG_DATA_HOME", "data"), ("XDG_CACHE_HOME", "")];
    let config = Config::load(sources(None, &relative)).unwrap();
    assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/mc-wasm"));
    assert_eq!(config.cache.dir, Path::new("/home/ada/.cache/mc-wasm"));
}

#[test]
fn each_setting_has_one_key_and_a_variable_of_its_own() {
    let keys: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(keys.len(), SETTINGS.len());
    let variable = |key: &&str| key.to_uppercase().replace('.', "_");
    let variables: BTreeSet<_> = keys.iter().map(variable).collect();
    assert_eq!(variables.len(), SETTINGS.len());
    // A table in a table would be no setting: files have one level.
    assert!(keys.iter().all(|key| key.matches('.').count() <= 1));
}

#[test]
fn peers_that_are_near_are_connected_to_at_start_too() {
    let id = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";
    let near = format!("/ip4/192.0.2.1/tcp/1/p2p/{id}");
    let bootstrap = "/ip4/192.0.2.2/tcp/1";
    let variables = [
        ("MC_WASM_P2P_BOOTSTRAP", bootstrap),
        ("MC_WASM_PLACEMENT_PARENT", near.as_str()),
    ];
    let config = Config::load(sources(None, &variables)).unwrap();
    assert_eq!(config.bootstrap(), [bootstrap, near.as_str()]);
    let ids = Placement::ids(&config.placement.addresses());
    assert_eq!(ids, BTreeSet::from([id.parse().unwrap()]));
    for nameless in ["/ip4/192.0.2.1/tcp/1", "192.0.2.1:1", id] {
        let variables = [("MC_WASM_PLACEMENT_PARENT", nameless)];
        let refused = Config::load(sources(None, &variables)).unwrap_err();
        assert!(
            refused.to_string().contains("placement.parent"),
            "{refused}"
        );
    }
}
