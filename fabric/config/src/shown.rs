//! A configuration as it is shown.

use crate::{
    config::Config,
    settings::{SETTINGS, Setting, Usual},
};
use toml::{Table, Value};

/// What stands for a password.
const HIDDEN: &str = "***";

impl Config {
    /// Tasks that run at a time: as many as are set, or one per core.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let slots = self.worker.slots;
        if self.worker.execute {
            slots.unwrap_or_else(mc_system::inventory::cpus)
        } else {
            0
        }
    }

    /// Memory that all tasks together may take: the setting, or else four fifths of the machine's.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let usual = || mc_system::inventory::memory_bytes() / 5 * 4;
        self.worker.memory.map_or_else(usual, |memory| memory.0)
    }

    /// Hides the passwords in URLs.
    pub fn hide_passwords(&mut self) {
        let urls = [&mut self.node, &mut self.ledger.url].into_iter().flatten();
        for url in urls.chain(&mut self.content.gateways) {
            *url = without_password(url);
        }
    }

    /// The defaults in words, by the keys of the settings.
    #[must_use]
    pub fn unset(&self) -> Vec<(&'static str, String)> {
        let set = Table::try_from(self).unwrap_or_default();
        let open = SETTINGS.iter().filter(|setting| !is_set(&set, setting.key));
        let words = |setting: &Setting| match setting.usual {
            Usual::Open(words) => {
                let computed = self.in_words(setting.key);
                Some((setting.key, computed.unwrap_or_else(|| words.to_owned())))
            }
            Usual::Value(_) | Usual::Directory(..) => None,
        };
        open.filter_map(words).collect()
    }

    /// The default of a setting, where it depends on other settings or on the machine.
    fn in_words(&self, key: &str) -> Option<String> {
        match key {
            "worker.slots" if self.worker.execute => {
                Some(format!("{}, one per core", self.slots()))
            }
            "worker.slots" => Some("0, since worker.execute is false".to_owned()),
            "worker.memory" => {
                let mebibytes = self.memory_bytes() >> 20;
                Some(format!("{mebibytes}MiB, four fifths of the machine's"))
            }
            _ => None,
        }
    }
}

/// Whether a configuration sets a key. An empty list counts as not set.
fn is_set(set: &Table, key: &str) -> bool {
    let value = match key.split_once('.') {
        None => set.get(key),
        Some((section, key)) => set.get(section).and_then(|section| section.get(key)),
    };
    match value {
        None => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    }
}

/// The URLs in a list with commas between them. A comma may be in a password, too, or between the hosts of a database.
#[must_use]
pub fn urls(list: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in list.split(',') {
        let begin = part.trim_start();
        let is_url = begin.starts_with("http://") || begin.starts_with("https://");
        match urls.last_mut() {
            Some(url) if !is_url => {
                url.push(',');
                url.push_str(part);
            }
            _ => urls.push(part.to_owned()),
        }
    }
    urls
}

/// A URL, or several with commas between them, without the passwords in any part of them.
#[must_use]
pub fn without_password(list: &str) -> String {
    let shown: Vec<_> = urls(list).iter().map(|url| of_one(url)).collect();
    shown.join(",")
}

fn of_one(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = match rest.rsplit_once('@') {
        None => rest.to_owned(),
        Some((user, place)) => match user.split_once(':') {
            None => format!("{user}@{place}"),
            Some((user, _)) => format!("{user}:{HIDDEN}@{place}"),
        },
    };
    let (place, query) = rest.split_once('?').unwrap_or((&rest, ""));
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}={HIDDEN}"),
        _ => parameter.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(parameter).collect();
    let query = query.join("&");
    let scheme = if scheme.is_empty() {
        String::new()
    } else {
        format!("{scheme}://")
    };
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}{place}{mark}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        for (url, shown) in [
            (
                "postgres://mc:secret@db.example/mc",
                "postgres://mc:***@db.example/mc",
            ),
            (
                "postgres://mc:a/b:c@d@db.example:5432/mc?sslmode=require",
                "postgres://mc:***@db.example:5432/mc?sslmode=require",
            ),
            (
                "postgres://db.example/mc?user=mc&password=secret&sslpassword=x",
                "postgres://db.example/mc?user=mc&password=***&sslpassword=***",
            ),
            ("http://gw.example:7780", "http://gw.example:7780"),
            (
                "http://u:one@gw1.example,http://gw2.example, http://v:t,w,o@gw3.example",
                "http://u:***@gw1.example,http://gw2.example, http://v:***@gw3.example",
            ),
            (
                "postgres://mc:a,b@db1.example,db2.example/mc",
                "postgres://mc:***@db1.example,db2.example/mc",
            ),
            ("http://ada@gw.example", "http://ada@gw.example"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
