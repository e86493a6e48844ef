//! Machines of a test: network namespaces with a cable each to a switch, where one can be pulled.
//!
//! They share files, processes and the display; of the network they have nothing in common but the cables.

use std::{
    fs::File,
    io,
    net::TcpStream,
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::Arc,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The machine that has the switch.
pub(crate) const HUB: &str = "10.213.0.1";

/// Machines, and the switch that joins them. Dropped, they are gone, with every connection.
struct Network {
    names: Vec<String>,
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "delete", name]).ok();
        }
    }
}

/// One machine.
#[derive(Clone)]
pub(crate) struct Machine {
    network: Arc<Network>,
    index: usize,
}

/// `ip`, with what it says if it fails.
fn ip(arguments: &[&str]) -> Result<(), String> {
    let done = Command::new("ip").args(arguments).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim()))
}

/// The hub and `others` machines beside it, the hub first; or why they cannot be made here.
pub(crate) fn network(others: usize) -> Result<Vec<Machine>, String> {
    let process = std::process::id();
    let mut network = Network { names: Vec::new() };
    for index in 0..=others {
        let name = format!("sbx{process}m{index}");
        ip(&["netns", "add", &name])?;
        network.names.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
    }
    let hub = network.names[0].clone();
    let hub = hub.as_str();
    ip(&["-n", hub, "link", "add", "switch", "type", "bridge"])?;
    ip(&["-n", hub, "address", "add", &format!("{HUB}/24"), "dev", "switch"])?;
    ip(&["-n", hub, "link", "set", "switch", "up"])?;
    for (index, name) in network.names.iter().enumerate().skip(1) {
        let port = format!("port{index}");
        ip(&["-n", hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(&["-n", hub, "link", "set", &port, "master", "switch", "up"])?;
        ip(&["-n", name, "address", "add", &format!("10.213.0.{}/24", index + 1), "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        // A way out is what tells programs that they are online.
        ip(&["-n", name, "route", "add", "default", "via", HUB])?;
    }
    let network = Arc::new(network);
    Ok((0..=others).map(|index| Machine { network: Arc::clone(&network), index }).collect())
}

impl Machine {
    fn name(&self) -> &str {
        &self.network.names[self.index]
    }

    /// A program on this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name(), program]);
        command
    }

    /// Connects to a port of this machine, from itself.
    pub(crate) fn dial(&self, port: u16) -> io::Result<TcpStream> {
        let namespace = File::open(format!("/run/netns/{}", self.name()))?;
        // A thread of its own: it stays on that machine until it ends.
        let dialling = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpStream::connect(("127.0.0.1", port))
        });
        dialling.join().unwrap_or_else(|_| Err(io::Error::other("the thread that dials ended")))
    }

    /// Pulls the cable at the switch: nobody is told, and what is sent is gone.
    pub(crate) fn cut(&self) {
        self.port("down");
    }

    /// Puts the cable back.
    pub(crate) fn mend(&self) {
        self.port("up");
    }

    fn port(&self, state: &str) {
        let hub = &self.network.names[0];
        ip(&["-n", hub, "link", "set", &format!("port{}", self.index), state]).unwrap();
    }
}
