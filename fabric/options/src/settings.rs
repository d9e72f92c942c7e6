//! Options that set a setting. Each is declared once, after the key of its setting.

use mc_config::{ByteSize, Period};
use std::path::PathBuf;
use toml::Value;

/// The argument of an option, as the value of its setting; `None` if the option was not given.
pub(crate) trait Typed {
    fn value(&self) -> Option<Value>;
}

impl Typed for Vec<String> {
    fn value(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.clone().into())
    }
}

impl Typed for Option<String> {
    fn value(&self) -> Option<Value> {
        self.clone().map(Value::from)
    }
}

impl Typed for Option<u32> {
    fn value(&self) -> Option<Value> {
        self.map(Value::from)
    }
}

impl Typed for Option<Period> {
    fn value(&self) -> Option<Value> {
        self.map(|period| period.to_string().into())
    }
}

impl Typed for Option<ByteSize> {
    fn value(&self) -> Option<Value> {
        self.map(|size| size.to_string().into())
    }
}

impl Typed for Option<PathBuf> {
    fn value(&self) -> Option<Value> {
        let path = self.as_ref()?;
        // What is not UTF-8 is marked, and refused with the other settings.
        Some(path.to_string_lossy().into_owned().into())
    }
}

/// `--no-…`: it switches its setting off.
impl Typed for bool {
    fn value(&self) -> Option<Value> {
        self.then(|| false.into())
    }
}

/// Declares options. One with a key before it sets the setting of that key.
macro_rules! options {
    (
        $(#[$of_all:meta])*
        pub struct $name:ident {
            $(
                $(#[$of_one:meta])*
                $($key:literal =>)? pub $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[$of_all])*
        pub struct $name {
            $(
                $(#[$of_one])*
                pub $field: $type,
            )*
        }

        impl $name {
            /// The given settings, by their keys.
            #[must_use]
            pub fn settings(&self) -> Vec<(&'static str, toml::Value)> {
                let typed = [
                    $($(($key, $crate::settings::Typed::value(&self.$field)),)?)*
                ];
                let typed = typed.into_iter();
                typed.filter_map(|(key, value)| Some((key, value?))).collect()
            }
        }
    };
}

pub(crate) use options;

#[cfg(test)]
mod tests {
    use crate::{Cli, Command};
    use clap::Parser;
    use mc_config::SETTINGS;
    use std::collections::BTreeMap;
    use toml::Value;

    fn settings(typed: &[&str]) -> BTreeMap<&'static str, Value> {
        let cli = Cli::try_parse_from(typed).unwrap();
        let Command::Node(node) = cli.command else {
            panic!("another command");
        };
        let settings = cli.global.settings().into_iter();
        settings.chain(node.settings()).collect()
    }

    #[test]
    fn what_is_typed_is_the_value_of_a_setting() {
        let typed = [
            "mc-wasm",
            "--data-dir=/d",
            "--node=http://127.0.0.1:1",
            "--network=lab",
            "--bootstrap=/ip4/192.0.2.1/tcp/1",
            "--bootstrap=/ip4/192.0.2.2/tcp/1",
            "--no-mdns",
            "node",
            "--listen=/ip4/127.0.0.1/tcp/0",
            "--api=127.0.0.1:0",
            "--no-execute",
            "--slots=3",
            "--lease-ttl=20s",
            "--dht=client",
            "--ledger=postgres://db/mc",
            "--keep=30d",
            "--archive=/a",
            "--label=a=b",
        ];
        let settings = settings(&typed);
        let list = |texts: &[&str]| Value::from(texts.to_vec());
        let bootstrap = list(&["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1"]);
        let expected: BTreeMap<&str, Value> = BTreeMap::from([
            ("data_dir", "/d".into()),
            ("node", "http://127.0.0.1:1".into()),
            ("network", "lab".into()),
            ("p2p.bootstrap", bootstrap),
            ("p2p.mdns", false.into()),
            ("p2p.listen", list(&["/ip4/127.0.0.1/tcp/0"])),
            ("api.listen", "127.0.0.1:0".into()),
            ("worker.execute", false.into()),
            ("worker.slots", 3.into()),
            ("lease.ttl", "20s".into()),
            ("p2p.dht", "client".into()),
            ("ledger.url", "postgres://db/mc".into()),
            ("ledger.keep", "30d".into()),
            ("ledger.archive", "/a".into()),
        ]);
        assert_eq!(settings, expected);
        for key in settings.keys() {
            assert!(SETTINGS.iter().any(|setting| setting.key == *key), "{key}");
        }
    }

    #[test]
    fn what_is_not_typed_sets_nothing() {
        assert_eq!(settings(&["mc-wasm", "node"]), BTreeMap::new());
    }
}
