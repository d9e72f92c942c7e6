//! Networks that a test makes itself: network namespaces with virtual cables between them.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A network namespace, as a machine with nothing but its loopback interface; removed when dropped.
#[derive(Debug)]
pub struct Namespace(String);

impl Namespace {
    /// A new one.
    ///
    /// # Panics
    ///
    /// Without root, or the package iproute2. All other functions panic likewise.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "this makes something on the machine"
    )]
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("mc{}n{number}", std::process::id()));
        succeed(Command::new("ip").args(["netns", "add", &namespace.0]));
        namespace.link("lo", "up");
        namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// A command within it, not started yet.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command.stdin(Stdio::null());
        command
    }

    /// Lays a cable to another one. Each end is the interface and its address.
    pub fn connect(&self, end: (&str, &str), other: &Self, other_end: (&str, &str)) {
        let cable = ["link", "add", end.0, "netns", &self.0, "type", "veth"];
        let peer = ["peer", "name", other_end.0, "netns", &other.0];
        succeed(Command::new("ip").args(cable).args(peer));
        for (namespace, (interface, address)) in [(self, end), (other, other_end)] {
            namespace.ip(&["addr", "add", address, "dev", interface]);
            namespace.link(interface, "up");
        }
    }

    /// Sets an interface `up` or `down`.
    pub fn link(&self, interface: &str, state: &str) {
        self.ip(&["link", "set", interface, state]);
    }

    /// Lets an interface send at most so many megabits per second.
    pub fn limit(&self, interface: &str, mbit: u32) {
        let rate = format!("{mbit}mbit");
        let shape = ["tbf", "rate", &rate, "burst", "512kb", "latency", "100ms"];
        let to = ["qdisc", "add", "dev", interface, "root"];
        succeed(self.command("tc").args(to).args(shape));
    }

    /// Sends all traffic for other networks to a router.
    pub fn default_route(&self, router: &str) {
        self.ip(&["route", "add", "default", "via", router]);
    }

    /// Passes on traffic that is not for this machine.
    pub fn forward(&self) {
        let command = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        succeed(self.command("sh").args(["-c", command]));
    }

    /// Passes on traffic as most routers at home do: those behind it seem to be at its own address on
    /// `interface`, and what comes from there without having been asked for is dropped. Needs the package
    /// nftables.
    pub fn masquerade(&self, interface: &str) {
        self.forward();
        let rules = format!(
            "table ip nat {{
               chain out {{
                 type nat hook postrouting priority 100;
                 oifname {interface} masquerade
               }}
             }}
             table ip filter {{
               chain in {{
                 type filter hook input priority 0;
                 iifname {interface} ct state new drop
               }}
             }}"
        );
        succeed(self.command("nft").arg(rules));
    }

    fn ip(&self, args: &[&str]) {
        succeed(Command::new("ip").args(["-n", &self.0]).args(args));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What cannot be removed is the next one's problem neither: names differ.
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[expect(clippy::panic, reason = "without its network a test cannot run")]
fn succeed(command: &mut Command) {
    let done = command.status();
    if !done.is_ok_and(|status| status.success()) {
        panic!("{command:?} failed: this needs root, and the packages iproute2 and nftables");
    }
}
