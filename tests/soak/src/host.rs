//! The host as a process: started, looked at, stopped for a while, killed.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    wire,
    world::{Address, World, count},
};

/// How long a start may take: a busy machine, and a log of a long soak.
const START: Duration = Duration::from_secs(90);

/// Handles of a process, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handles {
    pub(crate) sockets: usize,
    /// Of the log's database.
    pub(crate) log: usize,
    pub(crate) others: usize,
}

impl Handles {
    pub(crate) fn all(self) -> usize {
        self.sockets + self.log + self.others
    }
}

pub(crate) struct Host {
    child: Child,
    pid: u32,
    world: Arc<World>,
    pub(crate) address: Arc<Address>,
}

/// Sends a signal to a process that this soak started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

impl Host {
    /// Starts it on the data folder of the soak, and waits until it answers.
    pub(crate) async fn start(world: &Arc<World>, life: u64) -> anyhow::Result<Self> {
        world.life.store(life, Ordering::Relaxed);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(world.folder.join("host.log"))?;
        let mut command = Command::new(&world.binary);
        command.args(["serve", "--listen", &world.listen]).env("SIGNALBOX_DATA_DIR", world.data());
        command.env("SIGNALBOX_CONFIG_DIR", world.folder.join("config"));
        for project in 0..2 {
            command.arg("--project").arg(world.project(project));
        }
        command.envs(world.limits.iter().map(|(name, value)| (format!("SIGNALBOX_LIMITS_{name}"), *value)));
        if let Some(proxy) = world.proxy.get() {
            command.env("SIGNALBOX_HOST_ALLOWED_HOSTS", proxy.to_string());
        }
        command.env("SIGNALBOX_ENGINE_SLOTS", "6").env_remove("SIGNALBOX_URL").env_remove("SIGNALBOX_TOKEN");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", world.binary.display()))?;
        let pid = child.id().context("it ended at once")?;
        let file = world.data().join("host.json");
        let found = World::until(START, async || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(status));
            }
            let value: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            (value["pid"] == pid && value["url"].is_string()).then_some(Ok(value))
        });
        let value = match found.await {
            Some(Ok(value)) => value,
            Some(Err(status)) => bail!("the host ended at its start, with {status}; its words are in host.log"),
            None => bail!("the host did not listen within {} s", START.as_secs()),
        };
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let address = Address { host: text("url").replace("http://", ""), token: text("token"), life };
        if let Some(known) = world.known.get()
            && known.epoch != text("epoch")
        {
            world.violation(format!("life {life} has the epoch {}, the log was {}", text("epoch"), known.epoch));
        }
        let host = Self { child, pid, world: Arc::clone(world), address: Arc::new(address) };
        let opened = World::until(START, async || {
            let list = wire::call(&host.address, "project.list", &serde_json::json!({}), None).await.ok()?;
            let open = list["projects"].as_array()?.iter().filter(|project| project["open"] == true).count();
            (open >= 2).then_some(())
        });
        opened.await.context("the host did not open its projects")?;
        Ok(host)
    }

    /// Says where it is, to everybody.
    pub(crate) fn announce(&self) {
        self.world.address.send_replace(Some(Arc::clone(&self.address)));
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.world.address.send_replace(None);
        if let Ok(Some(status)) = self.child.try_wait() {
            self.world.violation(format!("the host ended by itself, with {status}"));
        }
        self.child.start_kill().ok();
        self.child.wait().await.ok();
        count(&self.world.counters.host_kills);
    }

    /// Stops it, lets time pass, and lets it go on: a machine that sleeps.
    pub(crate) async fn nap(&self, time: Duration) {
        signal(self.pid, Signal::STOP);
        tokio::time::sleep(time).await;
        signal(self.pid, Signal::CONT);
        count(&self.world.counters.naps);
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.memory();
        self.world.address.send_replace(None);
        signal(self.pid, Signal::TERM);
        let status = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let status = status.context("the host did not stop within 30 s")??;
        if !status.success() {
            bail!("the host stopped with {status}");
        }
        Ok(())
    }

    /// Whether it has ended by itself; that is said.
    pub(crate) fn ended(&mut self) -> bool {
        let Ok(Some(status)) = self.child.try_wait() else { return false };
        self.world.violation(format!("the host ended by itself, with {status}; its words are in host.log"));
        true
    }

    pub(crate) fn handles(&self) -> Handles {
        let links = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
        let mut handles = Handles { sockets: 0, log: 0, others: 0 };
        for target in targets {
            let text = target.to_string_lossy();
            if text.starts_with("socket:") {
                handles.sockets += 1;
            } else if text.contains("/log.db") {
                handles.log += 1;
            } else {
                handles.others += 1;
            }
        }
        handles
    }

    /// Resident memory in KiB; the highest one is counted.
    pub(crate) fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
        };
        self.world.counters.peak_memory.fetch_max(field("VmHWM:").unwrap_or(0), Ordering::Relaxed);
        field("VmRSS:").unwrap_or(0)
    }

    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid)).map_or(0, Iterator::count)
    }
}

/// The beginning of the marker of the steps of this data folder's host: see `signalbox-host`.
pub(crate) fn marker(data: PathBuf) -> String {
    let path = std::fs::canonicalize(&data).unwrap_or(data);
    format!("{}/", &signalbox_store::blob::hash(path.to_string_lossy().as_bytes())[..16])
}
