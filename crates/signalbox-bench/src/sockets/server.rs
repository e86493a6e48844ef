//! The servers that are measured, each a process of its own: the real host, the floors, and peers.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sockets::{
    connection::{Opening, Transport, upgrade},
    cores::{self, Cores},
};

/// The argument by which this program becomes a server: its core, or `-`, and the command line follow.
pub(crate) const BECOME: &str = "sockets-become";
/// The argument by which this program is a floor.
pub(crate) const FLOOR: &str = "sockets-floor";

const LIMITS: [&str; 4] = [
    "SIGNALBOX_LIMITS_CALLS_PER_SECOND",
    "SIGNALBOX_LIMITS_CONNECTIONS_PER_MEMBER",
    "SIGNALBOX_LIMITS_CONNECTIONS",
    "SIGNALBOX_LIMITS_JOINS_PER_SECOND",
];

/// What comes when a subscriber has everything up to now, and when somebody is let in who subscribes to nothing.
const SYNCED: &[u8] = br#"{"type":"synced""#;
const CONNECTED: &[u8] = br#"{"type":"connection""#;

/// Bytes in front of a text message of more than 125 bytes.
pub(crate) const HEADER: usize = 4;

/// What a server speaks.
enum Speech {
    Signalbox {
        token: String,
        projects: Vec<String>,
        transport: Transport,
        /// Over TLS, through the listener of a host that is shared.
        secret: bool,
    },
    /// Each message of `/pub` goes to everybody else as it is.
    Plain,
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    speech: Speech,
    /// Goes with the process.
    _folder: Option<TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nobody left to tell if it cannot be ended: it ends with this process in any case.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a program by way of this one, which binds it to its core and to the life of this process. Gives the first line
/// that it prints, by which it says that it listens.
fn start(
    cores: &Cores,
    program: &OsStr,
    arguments: &[&OsStr],
    environment: &[(&str, &OsStr)],
) -> anyhow::Result<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(BECOME).arg(cores.server.map_or("-".to_owned(), |core| core.to_string())).arg(program).args(arguments);
    command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        output.read_line(&mut line)?;
        // Kept open: a server that prints more would be ended by it. They print a few lines at most.
        child.stdout = Some(output.into_inner());
    }
    if line.is_empty() {
        child.kill().ok();
        bail!("{} ended at its start, with {}", program.display(), child.wait()?);
    }
    Ok((child, line))
}

/// Becomes a server: the arguments behind [`BECOME`].
pub(crate) fn become_server(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<()> {
    // Else it would be left behind when somebody kills the bench.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Ok(core) = arguments.next().context("on which core?")?.parse() {
        cores::bind(core)?;
    }
    let program = arguments.next().context("which program?")?;
    Err(Command::new(&program).args(arguments).exec()).with_context(|| format!("{program} cannot be started"))
}

impl Server {
    /// The host that was built beside this program, with `projects` projects, for subscribers that come by `transport`.
    pub(crate) fn host(cores: &Cores, projects: usize, transport: Transport) -> anyhow::Result<Self> {
        Self::host_with(cores, projects, transport, &[])
    }

    /// The same with more settings, by their variables.
    pub(crate) fn host_with(
        cores: &Cores,
        projects: usize,
        transport: Transport,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("signalbox");
        ensure!(
            binary.is_file(),
            "{} is missing: `cargo build --release --package signalbox-cli` makes it",
            binary.display()
        );
        let folder = tempfile::tempdir()?;
        let (data, config) = (folder.path().join("data"), folder.path().join("config"));
        let mut environment =
            vec![("SIGNALBOX_DATA_DIR", data.as_os_str()), ("SIGNALBOX_CONFIG_DIR", config.as_os_str())];
        // One member has all the connections and makes all the calls.
        environment.extend(LIMITS.map(|limit| (limit, OsStr::new("0"))));
        environment.extend(settings.iter().map(|(name, value)| (*name, OsStr::new(*value))));
        let arguments = ["serve", "--listen", "127.0.0.1:0"].map(OsStr::new);
        let (child, _) = start(cores, binary.as_os_str(), &arguments, &environment)?;
        let found: Value = serde_json::from_slice(&fs::read(data.join("host.json"))?)?;
        let text = |name: &str| {
            found[name].as_str().map(ToOwned::to_owned).with_context(|| format!("host.json has no {name}"))
        };
        let address = text("url")?.trim_start_matches("http://").parse()?;
        let speech = Speech::Signalbox { token: text("token")?, projects: Vec::new(), transport, secret: false };
        let mut server = Self { child, address, speech, _folder: None };
        let opened = server.open_projects(folder.path(), projects)?;
        if let Speech::Signalbox { projects, .. } = &mut server.speech {
            *projects = opened;
        }
        server._folder = Some(folder);
        Ok(server)
    }

    /// A host of one project that is shared: its subscribers and the publisher come over TLS.
    pub(crate) fn shared(cores: &Cores) -> anyhow::Result<Self> {
        let mut server = Self::host(cores, 1, Transport::WebSocket)?;
        let mut stream = BufReader::new(TcpStream::connect(server.address)?);
        let sharing = server.call(&mut stream, "share.start", &json!({ "bind": "127.0.0.1", "port": 0 }))?;
        let url = sharing["urls"][0].as_str().with_context(|| format!("it is not shared: {sharing}"))?;
        server.address = url.trim_start_matches("https://").trim_end_matches('/').parse()?;
        if let Speech::Signalbox { secret, .. } = &mut server.speech {
            *secret = true;
        }
        Ok(server)
    }

    /// A floor: one thread that writes what was published to every socket, message by message or all that waits at once.
    pub(crate) fn floor(cores: &Cores, coalesced: bool) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let how = if coalesced { "coalesced" } else { "each" };
        Self::plain(cores, program.as_os_str(), &[OsStr::new(FLOOR), OsStr::new(how)])
    }

    /// Any program that prints its port, and hands on what it gets at `/pub`.
    pub(crate) fn plain(cores: &Cores, program: &OsStr, arguments: &[&OsStr]) -> anyhow::Result<Self> {
        let (child, line) = start(cores, program, arguments, &[])?;
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), speech: Speech::Plain, _folder: None };
        server.address.set_port(line.trim().parse().with_context(|| format!("no port: {line:?}"))?);
        Ok(server)
    }

    pub(crate) fn rooms(&self) -> usize {
        match &self.speech {
            Speech::Signalbox { projects, .. } => projects.len(),
            Speech::Plain => 1,
        }
    }

    pub(crate) fn subscriber(&self, index: usize, room: usize) -> Opening {
        let host = self.address;
        match &self.speech {
            Speech::Plain => plain("/sub", host),
            Speech::Signalbox { token, projects, transport: Transport::Events, secret } => Opening {
                transport: Transport::Events,
                secret: *secret,
                request: format!(
                    "GET /api/v1/events?rooms=project/{} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n",
                    projects[room]
                ),
                hello: None,
                live: Some(SYNCED),
            },
            Speech::Signalbox { token, projects, transport: Transport::WebSocket, secret } => Opening {
                secret: *secret,
                ..hello(host, token, &format!("s{index}"), &[format!("project/{}", projects[room])], SYNCED)
            },
        }
    }

    pub(crate) fn publisher(&self) -> Opening {
        match &self.speech {
            Speech::Plain => plain("/pub", self.address),
            Speech::Signalbox { token, secret, .. } => {
                Opening { secret: *secret, ..hello(self.address, token, "publisher", &[], CONNECTED) }
            }
        }
    }

    /// The message that publishes an event with this data.
    pub(crate) fn publication(&self, id: u64, room: usize, data: &str) -> String {
        match &self.speech {
            Speech::Plain => data.to_owned(),
            Speech::Signalbox { projects, .. } => format!(
                "{{\"type\":\"call\",\"rid\":{id},\"method\":\"event.publish\",\"params\":{{\"project\":\"{}\",\
                 \"type\":\"x_bench\",\"data\":{data}}}}}",
                projects[room]
            ),
        }
    }

    /// Processor time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        ensure!(nanoseconds > 0, "the kernel does not tell the processor time of threads");
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in KB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    fn open_projects(&self, folder: &Path, count: usize) -> anyhow::Result<Vec<String>> {
        let mut stream = BufReader::new(TcpStream::connect(self.address)?);
        let paths = (0..count).map(|n| folder.join(format!("room-{n}")));
        paths.map(|path| self.open_project(&mut stream, path)).collect()
    }

    fn open_project(&self, stream: &mut BufReader<TcpStream>, path: PathBuf) -> anyhow::Result<String> {
        fs::create_dir(&path)?;
        let reply = self.call(stream, "project.open", &json!({ "path": path }))?;
        let id = reply["project"]["id"].as_str().or_else(|| reply["id"].as_str());
        id.map(ToOwned::to_owned).with_context(|| format!("no project was opened: {reply}"))
    }

    /// Calls a method of the host over HTTP.
    fn call(&self, stream: &mut BufReader<TcpStream>, method: &str, params: &Value) -> anyhow::Result<Value> {
        let Speech::Signalbox { token, .. } = &self.speech else { bail!("only the host has methods") };
        let body = params.to_string();
        let request = format!(
            "POST /api/v1/call/{method} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(stream.read_line(&mut line)? > 0, "the host closed the connection");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }
}

fn plain(path: &str, host: SocketAddr) -> Opening {
    let request = upgrade(path, host, "");
    Opening { transport: Transport::WebSocket, secret: false, request, hello: None, live: None }
}

fn hello(host: SocketAddr, token: &str, instance: &str, rooms: &[String], live: &'static [u8]) -> Opening {
    let hello = json!({
        "type": "hello", "rid": 1, "v": 1, "token": token, "rooms": rooms,
        "client": { "name": "bench", "version": "1", "instance": instance },
    });
    Opening {
        transport: Transport::WebSocket,
        secret: false,
        request: upgrade("/api/v1/ws", host, "Sec-WebSocket-Protocol: signalbox.v1\r\n"),
        hello: Some(hello.to_string()),
        live: Some(live),
    }
}
