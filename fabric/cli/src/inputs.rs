//! `--input`, `--env` and `--label`.

use crate::failure::Failure;
use mc_types::{Cid, ErrorCode};
use std::{
    collections::BTreeMap,
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Path(PathBuf),
    Cid(Cid),
}

/// The inputs by name. A path that exists is a path, even if it looks like a CID.
pub(crate) fn inputs(texts: &[String]) -> Result<BTreeMap<String, Input>, Failure> {
    let mut inputs = BTreeMap::new();
    for text in texts {
        let (name, source) = pair("--input", text, "NAME=PATH or NAME=CID")?;
        let path = PathBuf::from(&source);
        let input = match (path.exists(), source.parse::<Cid>()) {
            (false, Ok(cid)) => Input::Cid(cid),
            (true, _) => {
                if !path.is_dir() {
                    check_file(&path)?;
                }
                Input::Path(path)
            }
            (false, Err(_)) => {
                let message = format!("the input {name} does not exist: {source}");
                return Err(Failure::new(ErrorCode::Path, message));
            }
        };
        if inputs.insert(name.clone(), input).is_some() {
            return Err(Failure::usage(format!(
                "--input: two inputs are named {name:?}"
            )));
        }
    }
    Ok(inputs)
}

/// Refuses what cannot be read as a file, before a guest tries to.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    let failed = |e: &std::io::Error| Failure::path(path, e);
    // Not a pipe or a device: whoever opens one may wait for ever.
    let metadata = std::fs::metadata(path).map_err(|e| failed(&e))?;
    if metadata.is_file() {
        return File::open(path).map(drop).map_err(|e| failed(&e));
    }
    if metadata.is_dir() {
        return Err(failed(&ErrorKind::IsADirectory.into()));
    }
    let message = format!("{} is not a regular file", path.display());
    let hint = "write what comes from it to a file first, and give that";
    Err(Failure::new(ErrorCode::Path, message).with_hint(hint))
}

/// Directories of this machine by the guest's path.
pub(crate) type Dirs = BTreeMap<String, PathBuf>;

/// The directories that were typed.
pub(crate) fn dirs(texts: &[String]) -> Result<Dirs, Failure> {
    let mut dirs = Dirs::new();
    for text in texts {
        // The host's path may have two colons in it; the guest's has none.
        let (host, guest) = text
            .rsplit_once("::")
            .filter(|(host, _)| !host.is_empty())
            .ok_or_else(|| Failure::usage(format!("--dir: {text:?} is not HOST::GUEST")))?;
        let host = PathBuf::from(host);
        let metadata = std::fs::metadata(&host).map_err(|e| Failure::path(&host, &e))?;
        if !metadata.is_dir() {
            let message = format!("--dir: {} is not a directory", host.display());
            return Err(Failure::new(ErrorCode::Path, message));
        }
        if dirs.insert(guest.to_owned(), host).is_some() {
            return Err(Failure::usage(format!("--dir: {guest} is given twice")));
        }
    }
    Ok(dirs)
}

/// Names and values, by name. No name may have two values: one of them would be lost silently.
pub(crate) fn labels(option: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for text in texts {
        let (name, value) = pair(option, text, "K=V")?;
        if labels.get(&name).is_some_and(|before| *before != value) {
            return Err(Failure::usage(format!(
                "{option}: {name:?} is given two values"
            )));
        }
        labels.insert(name, value);
    }
    Ok(labels)
}

/// The same; of two values for a name, the last.
pub(crate) fn pairs(option: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    texts.iter().map(|text| pair(option, text, "K=V")).collect()
}

fn pair(option: &str, text: &str, form: &str) -> Result<(String, String), Failure> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) =
        pair.ok_or_else(|| Failure::usage(format!("{option}: {text:?} is not {form}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_has_two_values() {
        let texts = ["a=1", "b=2", "a=1"].map(str::to_owned);
        assert_eq!(labels("--require", &texts).unwrap().len(), 2);
        let texts = ["a=1", "a=2"].map(str::to_owned);
        let refused = labels("--require", &texts).unwrap_err();
        assert!(refused.message().contains("two values"), "{refused:?}");
        assert_eq!(
            pairs("--env", &texts).unwrap().get("a"),
            Some(&"2".to_owned())
        );
    }

    #[test]
    fn inputs_are_paths_or_cids() {
        let dir = tempfile::tempdir().unwrap();
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        let texts = [format!("a={}", dir.path().display()), format!("b={cid}")];
        let inputs = inputs(&texts).unwrap();
        assert_eq!(inputs.get("a"), Some(&Input::Path(dir.path().to_owned())));
        assert_eq!(inputs.get("b"), Some(&Input::Cid(cid.parse().unwrap())));
    }

    #[test]
    fn malformed_inputs_are_named() {
        for (text, code) in [
            ("no-equals-sign", ErrorCode::Usage),
            ("=x", ErrorCode::Usage),
            ("a=/nonexistent/path", ErrorCode::Path),
        ] {
            assert_eq!(
                inputs(&[text.to_owned()]).unwrap_err().code(),
                code,
                "{text}"
            );
        }
        for text in ["/tmp", "::/w"] {
            let failure = dirs(&[text.to_owned()]).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::Usage, "{text}");
        }
        let twice = ["a=/".to_owned(), "a=/".to_owned()];
        assert_eq!(inputs(&twice).unwrap_err().code(), ErrorCode::Usage);
    }

    #[test]
    fn only_what_can_be_read_as_a_file_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        check_file(&file).unwrap();
        for other in [
            dir.path(),
            Path::new("/dev/null"),
            Path::new("/nonexistent"),
        ] {
            let failure = check_file(other).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::Path, "{}", other.display());
        }
    }

    #[test]
    fn paths_of_this_machine_may_have_colons() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("a::b");
        std::fs::create_dir(&host).unwrap();
        let typed = format!("{}::/w", host.display());
        let dirs = dirs(std::slice::from_ref(&typed)).unwrap();
        assert_eq!(dirs.get("/w"), Some(&host));
        let twice = super::dirs(&[typed.clone(), typed]).unwrap_err();
        assert!(twice.message().contains("twice"), "{twice:?}");
    }
}
