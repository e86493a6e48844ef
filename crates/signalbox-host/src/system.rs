//! The machine under the host: measured now and then, published when it changed enough to matter.

use std::{path::Path, time::Duration};

use signalbox_model::{EventData, Health, HealthCheck, SystemStatus};
use signalbox_store::RetentionPolicy;
use signalbox_wire::{
    Caller,
    method::{LogReport, SystemReport},
};

use crate::{Host, VERSION, handlers::Reply};

/// How often the machine is looked at.
const EVERY: Duration = Duration::from_secs(10);
/// How often old events are looked for.
const RETAIN_EVERY: Duration = Duration::from_secs(3600);
/// Free space below which the disk is a worry, in bytes.
const LITTLE_SPACE: u64 = 512 * 1024 * 1024;

/// Starts looking. Ends with the host.
pub(crate) fn watch(host: &Host) {
    let host = host.clone();
    tokio::spawn(async move {
        let mut cpu = Cpu::default();
        let mut shown: Option<SystemStatus> = None;
        let mut healths: Vec<HealthCheck> = Vec::new();
        let mut retained: Option<tokio::time::Instant> = None;
        cpu.busy_share();
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = host.stopping() => return,
            }
            if let Some(mut status) = measure(&mut cpu, &host.inner.data_dir) {
                (status.active_runs, status.active_steps) = host.inner.engine.figures().await;
                if shown.as_ref().is_none_or(|shown| differs(shown, &status)) {
                    shown = Some(status.clone());
                    host.publish_quietly(EventData::SystemStatus(status)).await;
                }
            }
            for check in checks(&host) {
                let known = healths.iter().position(|known| known.service == check.service);
                if known.is_none_or(|at| healths[at] != check) {
                    match known {
                        Some(at) => healths[at] = check.clone(),
                        None => healths.push(check.clone()),
                    }
                    host.publish_quietly(EventData::HealthCheck(check)).await;
                }
            }
            if retained.is_none_or(|at| at.elapsed() > RETAIN_EVERY) {
                retained = Some(tokio::time::Instant::now());
                retain(&host).await;
            }
        }
    });
}

async fn retain(host: &Host) {
    let log = &host.settings().log;
    if log.keep_days == 0 && log.keep_megabytes == 0 {
        return;
    }
    let policy = RetentionPolicy {
        project: None,
        max_age_ms: (log.keep_days > 0).then_some(log.keep_days * 24 * 3600 * 1000),
        max_bytes: (log.keep_megabytes > 0).then_some(log.keep_megabytes * 1024 * 1024),
    };
    match host.store().retain(policy).await {
        Ok(done) if done.events > 0 => {
            tracing::info!(events = done.events, blobs = done.blobs, "old events were deleted")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "old events could not be deleted"),
    }
}

impl Host {
    /// How the host is, as far as it is the caller's business.
    pub(crate) async fn report(&self, caller: &Caller) -> Reply<SystemReport> {
        let services = checks(self);
        let worst = |a: Health, b: Health| match (a, b) {
            (Health::Down, _) | (_, Health::Down) => Health::Down,
            (Health::Degraded, _) | (_, Health::Degraded) => Health::Degraded,
            _ => Health::Ok,
        };
        let whole = caller.projects.is_empty();
        let active_runs = if whole {
            self.inner.engine.figures().await.0
        } else {
            let active = self.read(|reader| reader.active_runs(None))?;
            u32::try_from(active.iter().filter(|run| caller.sees(&run.project)).count()).unwrap_or(u32::MAX)
        };
        let (log, system) = self.read(|reader| {
            let report = LogReport {
                epoch: self.inner.store.epoch().clone(),
                head: reader.head()?,
                oldest: reader.oldest()?,
                bytes: std::fs::metadata(self.inner.store.path()).map(|data| data.len()).unwrap_or(0),
                durability: self.inner.store.durability().as_str().to_owned(),
                schema: reader.schema()?,
            };
            Ok((report, reader.system_status()?))
        })?;
        let report = SystemReport {
            status: services.iter().map(|check| check.health).fold(Health::Ok, worst),
            version: VERSION.to_owned(),
            started_at: self.inner.started_at,
            data_dir: self.inner.data_dir.to_string_lossy().into_owned(),
            url: self.url(),
            services,
            log,
            system,
            connections: self.inner.connections.len() as u64,
            active_runs,
            slots: self.inner.settings.slots(),
            limits: self.limits(),
        };
        Ok(if whole { report } else { self.narrowed(report, caller) })
    }

    /// For a member of some projects: nothing of the machine and of what others do on it.
    fn narrowed(&self, report: SystemReport, caller: &Caller) -> SystemReport {
        SystemReport {
            data_dir: String::new(),
            url: None,
            services: report.services.into_iter().map(|check| HealthCheck { detail: None, ..check }).collect(),
            log: LogReport { bytes: 0, ..report.log },
            system: None,
            connections: self.inner.connections.of_member(&caller.member),
            ..report
        }
    }
}

/// The health of each service, as of now.
pub(crate) fn checks(host: &Host) -> Vec<HealthCheck> {
    let check = |service: &str, health, detail| HealthCheck { service: service.to_owned(), health, detail };
    let log = match host.store().trouble() {
        None => check("log", Health::Ok, None),
        Some(trouble) => check("log", Health::Down, Some(trouble)),
    };
    let disk = match disk(&host.inner.data_dir) {
        Some((free, _)) if free < LITTLE_SPACE => {
            check("disk", Health::Degraded, Some(format!("{} MiB are free where the log lives", free / 1024 / 1024)))
        }
        _ => check("disk", Health::Ok, None),
    };
    let websocket = match host.url() {
        Some(_) => check("websocket", Health::Ok, None),
        None => check("websocket", Health::Ok, Some("the listener is off".into())),
    };
    vec![log, check("engine", Health::Ok, None), disk, websocket]
}

fn differs(a: &SystemStatus, b: &SystemStatus) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "shares of bytes")]
    let share = |used: u64, total: u64| if total == 0 { 0.0 } else { used as f64 / total as f64 };
    (a.cpu - b.cpu).abs() > 0.1
        || (share(a.memory_used, a.memory_total) - share(b.memory_used, b.memory_total)).abs() > 0.02
        || (share(a.disk_free, a.disk_total) - share(b.disk_free, b.disk_total)).abs() > 0.01
        || (a.active_runs, a.active_steps) != (b.active_runs, b.active_steps)
}

fn measure(cpu: &mut Cpu, dir: &Path) -> Option<SystemStatus> {
    let (memory_used, memory_total) = memory()?;
    let (disk_free, disk_total) = disk(dir)?;
    Some(SystemStatus {
        cpu: cpu.busy_share()?,
        memory_used,
        memory_total,
        disk_free,
        disk_total,
        active_runs: 0,
        active_steps: 0,
    })
}

/// Free and total bytes of the disk that holds `dir`.
fn disk(dir: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(dir).ok()?;
        Some((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        None
    }
}

/// Used and total bytes of memory (Linux).
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    };
    let total = field("MemTotal:")?;
    Some((total.saturating_sub(field("MemAvailable:")?), total))
}

/// Time of all cores at the last look (Linux).
#[derive(Default)]
struct Cpu {
    busy: u64,
    total: u64,
}

impl Cpu {
    /// The share of busy time since the last call; none at the first.
    fn busy_share(&mut self) -> Option<f64> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let times: Vec<u64> =
            text.lines().next()?.split_whitespace().skip(1).filter_map(|time| time.parse().ok()).collect();
        let total: u64 = times.iter().take(8).sum();
        let busy = total - times.get(3)? - times.get(4)?;
        let first = self.total == 0;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = (busy - self.busy.min(busy)) as f64 / (total - self.total).max(1) as f64;
        (self.busy, self.total) = (busy, total);
        (!first).then_some(share)
    }
}
