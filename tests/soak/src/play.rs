//! The play in two acts: the storm, with kills of the host, and a shorter one without, that shows that one host is at its
//! end what it was at its beginning.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Wanted,
    host::{Handles, Host, marker},
    proxy,
    publish::{self, Acknowledged},
    readers::{self, Report},
    runs::{self, Runs, insist},
    team,
    truth::{self, Findings},
    wire,
    world::{Counters, Known, Phase, Stage, World, get},
};

/// How long everybody may take to read to the end when nothing is disturbed any more.
const CATCH_UP: Duration = Duration::from_secs(120);
/// How long a host may take to notice that nobody is there any more: a half-open socket is found by its ping.
const NOTICE: Duration = Duration::from_secs(40);
const PUBLISHERS: u64 = 8;
const CHAINS: u64 = 3;
/// Handles of the log that the host may have more at the end: its pool keeps up to eight readers, each with the
/// database, its WAL and its index, and how many of them exist depends on how many ever read at once.
const POOL: usize = 8 * 3;
/// Memory that may stay, in KiB: the ring of recent events holds 32 MiB by design and the page caches of nine connections
/// theirs, and the allocator gives little back.
const MEMORY: u64 = 192 * 1024;

/// One member has all the connections and makes all the calls. Heartbeats come often, so that a short soak sees some, and
/// the replay limit is low, so that it sees resets.
const LIMITS: &[(&str, &str)] = &[
    ("CALLS_PER_SECOND", "0"),
    ("CONNECTIONS_PER_MEMBER", "0"),
    ("PING_MS", "8000"),
    ("STALL_MS", "6000"),
    ("REPLAY_EVENTS", "1500"),
];

/// One host before its clients came and after they went.
struct Measured {
    handles: Handles,
    memory: u64,
    threads: usize,
}

impl Measured {
    fn of(host: &Host) -> Self {
        Self { handles: host.handles(), memory: host.memory(), threads: host.threads() }
    }
}

struct Play {
    world: Arc<World>,
    acknowledged: Acknowledged,
    runs: Runs,
    reports: JoinSet<Report>,
    tasks: JoinSet<()>,
    lives: u64,
    ends: u64,
}

/// Runs it to its end; false if something was violated.
pub(crate) fn play(wanted: &Wanted) -> anyhow::Result<bool> {
    // A thousand clients need as many handles, here and in the host, which inherits the limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if wanted.team {
        // The crowd is to leave the host its core.
        builder.worker_threads(1);
    }
    let runtime = builder.enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("signalbox-soak-").tempdir()?.keep();
    println!(
        "soak: {} minutes, {} clients, seed {}, in {}",
        wanted.minutes,
        wanted.clients,
        wanted.seed,
        folder.display()
    );
    let whole = Duration::from_secs_f64(wanted.minutes * 60.0) + Duration::from_secs(900);
    let outcome = runtime.block_on(async {
        let acts: std::pin::Pin<Box<dyn Future<Output = anyhow::Result<bool>>>> = if wanted.team {
            Box::pin(team::acts(wanted, folder.clone()))
        } else {
            Box::pin(acts(wanted, folder.clone()))
        };
        tokio::select! {
            outcome = acts => outcome,
            () = tokio::time::sleep(whole) => bail!("it did not come to its end"),
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    });
    // Whatever still runs is a child of a task, and ends with it.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let fine = matches!(outcome, Ok(true));
    if fine {
        std::fs::remove_dir_all(&folder).ok();
    } else {
        println!("\nseed {}; everything is kept in {}", wanted.seed, folder.display());
    }
    outcome
}

async fn acts(wanted: &Wanted, folder: PathBuf) -> anyhow::Result<bool> {
    let world = World::new(Stage {
        seed: wanted.seed,
        folder,
        binary: wanted.binary.clone(),
        listen: "127.0.0.1:0".into(),
        limits: LIMITS,
    });
    for number in 0..2 {
        std::fs::create_dir_all(world.project(number).join(".signalbox/workflows"))?;
    }
    std::fs::write(world.project(0).join(".signalbox/workflows/steps.yaml"), runs::WORKFLOW)?;
    proxy::start(&world).await?;
    let mut play = Play {
        world: Arc::clone(&world),
        acknowledged: Arc::default(),
        runs: Arc::new(Mutex::new(Vec::new())),
        reports: JoinSet::new(),
        tasks: JoinSet::new(),
        lives: 0,
        ends: 0,
    };
    let host = play.begin(wanted.clients).await?;
    let seconds = wanted.minutes * 60.0;
    let second = (seconds / 6.0).clamp(15.0, 60.0);
    println!("first act: {:.0} s with kills of the host", seconds - second);
    let host = play.storm(host, Duration::from_secs_f64(seconds - second), true).await?;
    play.calm(&host).await?;
    play.away(&host).await;
    println!("second act: {second:.0} s of one host");
    let mut host = play.restart(host).await?;
    play.warm(&host).await;
    let before = Measured::of(&host);
    host = play.storm(host, Duration::from_secs_f64(second), false).await?;
    play.calm(&host).await?;
    play.away(&host).await;
    let after = play.settled(&host, &before).await;
    world.phase.send_replace(Phase::Over);
    let reports = play.world.collect(&mut play.reports, &mut play.tasks, CATCH_UP).await;
    host.stop().await?;
    let findings = play.check(&reports).await?;
    Ok(summary(&world, &findings, (&before, &after), reports.len()))
}

impl Play {
    async fn start(&mut self) -> anyhow::Result<Host> {
        self.lives += 1;
        Host::start(&self.world, self.lives).await
    }

    /// The first life: finds out what everybody has to know, and calls everybody.
    async fn begin(&mut self, clients: u64) -> anyhow::Result<Host> {
        let host = self.start().await?;
        let failed = |failed: wire::Failed| anyhow::anyhow!("{failed}");
        let list = wire::call(&host.address, "project.list", &json!({}), None).await.map_err(failed)?;
        let id = |number: usize| {
            let path = self.world.project(number);
            let found =
                list["projects"].as_array()?.iter().find(|project| project["path"] == *path.to_string_lossy())?;
            found["id"].as_str().map(str::to_owned)
        };
        let projects = [id(0).context("the first project")?, id(1).context("the second project")?];
        let made = json!({ "name": "soak", "role": "owner" });
        let made = wire::call(&host.address, "token.create", &made, None).await.map_err(failed)?;
        let status = wire::call(&host.address, "system.status", &json!({}), None).await.map_err(failed)?;
        let [busy, quiet] = &projects;
        let profiles = vec![
            vec![format!("project/{busy}")],
            vec![format!("project/{busy}/**")],
            vec![format!("project/{quiet}/**"), "activity".into()],
            vec![format!("project/{busy}/**"), format!("project/{quiet}/**"), "host".into(), "activity".into()],
        ];
        let known = Known {
            epoch: status["log"]["epoch"].as_str().context("the epoch")?.to_owned(),
            token: made["token"].as_str().context("a token")?.to_owned(),
            projects,
            profiles,
        };
        self.world.known.set(known).ok();
        readers::start(&self.world, clients, &mut self.reports);
        // About as many deliveries a second whatever the number of readers, so that a small machine keeps up.
        let per_second = (20_000 / clients.max(1)).clamp(15, 100);
        publish::start(&self.world, PUBLISHERS, per_second, &self.acknowledged, &mut self.tasks);
        runs::start(&self.world, CHAINS, &self.runs, &mut self.tasks);
        host.announce();
        Ok(host)
    }

    /// `kill -9`, and a new life.
    async fn restart(&mut self, host: Host) -> anyhow::Result<Host> {
        host.kill().await;
        let host = self.start().await?;
        host.announce();
        Ok(host)
    }

    async fn storm(&mut self, mut host: Host, time: Duration, kills: bool) -> anyhow::Result<Host> {
        let mut random = self.world.random("host", self.lives);
        self.world.phase.send_replace(Phase::Storm);
        let until = Instant::now() + time;
        // The first kill comes soon, so that the shortest soak has one.
        let mut kill_at = Instant::now() + random.millis(8_000, 20_000);
        let mut nap_at = Instant::now() + random.millis(15_000, 60_000);
        let mut tell_at = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && self.world.violations() == 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            host.memory();
            if host.ended() {
                bail!("the host ended by itself");
            }
            if kills && Instant::now() > kill_at {
                self.world.burst.store(true, Ordering::Relaxed);
                tokio::time::sleep(random.millis(100, 600)).await;
                host.kill().await;
                self.world.burst.store(false, Ordering::Relaxed);
                tokio::time::sleep(random.millis(0, 2_000)).await;
                host = self.start().await?;
                host.announce();
                kill_at = Instant::now() + random.millis(20_000, 60_000);
            }
            if Instant::now() > nap_at {
                host.nap(random.millis(500, 12_000)).await;
                nap_at = Instant::now() + random.millis(30_000, 90_000);
            }
            if Instant::now() > tell_at {
                tell(&self.world, host.memory());
                tell_at = Instant::now() + Duration::from_secs(10);
            }
        }
        Ok(host)
    }

    /// No more trouble: every run ends, and every reader comes to the end of the log.
    async fn calm(&mut self, host: &Host) -> anyhow::Result<()> {
        self.world.phase.send_replace(Phase::Calm);
        let (world, runs) = (&self.world, &self.runs);
        let started = || runs.lock().unwrap_or_else(|e| e.into_inner()).len() as u64;
        let ended = World::until(CATCH_UP * 3, async || (get(&world.counters.runs) >= started()).then_some(())).await;
        if ended.is_none() {
            world.violation("runs did not come to their end".into());
        }
        self.ends += 1;
        let mut ends = Vec::new();
        for project in &world.known().projects {
            let params = json!({ "project": project, "type": "x_end", "data": self.ends });
            let key = format!("end-{}-{}-{project}", world.seed, self.ends);
            let reply = insist(world, "event.publish", &params, Some(&key)).await.context("the end cannot be said")?;
            ends.push(reply["seq"].as_u64().context("a place")?);
        }
        let wanted = [ends[0], ends[0], ends[1], ends[1]];
        let places = world.places.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let behind = || {
            let late = places.iter().filter(|place| place.end.load(Ordering::Relaxed) < wanted[place.profile]);
            late.map(|place| format!("{} is at {}", place.name, place.end.load(Ordering::Relaxed))).collect::<Vec<_>>()
        };
        let start = Instant::now();
        if World::until(CATCH_UP, async || behind().is_empty().then_some(())).await.is_none() {
            let late = behind();
            let some = late.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            world.violation(format!("{} readers did not come to the end at {ends:?}: {some}", late.len()));
        }
        println!("everybody read to the end in {:.1} s; {} KiB", start.elapsed().as_secs_f64(), host.memory());
        Ok(())
    }

    /// Everybody goes; the host has to notice.
    async fn away(&self, host: &Host) {
        self.world.phase.send_replace(Phase::Away);
        let left = async || {
            let list = wire::call(&host.address, "connection.list", &json!({}), None).await.ok()?;
            let listed = list["connections"].as_array()?.len();
            let metrics = wire::get(&host.address, "/metrics").await.ok()?;
            let gauges = metrics.lines().filter(|line| line.starts_with("signalbox_connections{"));
            let open: u64 = gauges.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
            Some((listed, open))
        };
        let gone = World::until(NOTICE, async || left().await.filter(|left| *left == (0, 0))).await;
        if gone.is_none() {
            let left = left().await;
            self.world.violation(format!("everybody has gone, listed and counted connections are still {left:?}"));
        }
    }

    /// Lets the host make what it makes once: its pool of readers, its threads.
    async fn warm(&self, host: &Host) {
        let mut calls = JoinSet::new();
        for _ in 0..64 {
            let (address, room) = (Arc::clone(&host.address), format!("project/{}/**", self.world.known().projects[0]));
            calls.spawn(async move {
                wire::call(&address, "event.list", &json!({ "rooms": [room], "limit": 1000 }), None).await.is_ok()
            });
        }
        while calls.join_next().await.is_some() {}
        // What these calls opened has to be closed before it is counted.
        World::until(NOTICE, async || {
            let before = host.handles();
            tokio::time::sleep(Duration::from_secs(1)).await;
            (host.handles() == before).then_some(())
        })
        .await;
    }

    /// After everybody has gone: handles and memory are back, and no process of a step is left.
    async fn settled(&self, host: &Host, before: &Measured) -> Measured {
        let back = |now: Handles| {
            now.sockets <= before.handles.sockets
                && now.log <= before.handles.log + POOL
                && now.others <= before.handles.others
        };
        let settled = World::until(NOTICE, async || back(host.handles()).then_some(())).await;
        if settled.is_none() {
            let (was, is) = (before.handles, host.handles());
            self.world.violation(format!("handles before the clients came: {was:?}, after they went: {is:?}"));
        }
        // Two looks a few seconds apart that agree: it no longer moves.
        let mut memory = host.memory();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = host.memory();
            if now.abs_diff(memory) < 256 {
                break;
            }
            memory = now;
        }
        let after = Measured::of(host);
        if after.memory > before.memory + MEMORY {
            self.world.violation(format!("{} KiB were resident, {} KiB are", before.memory, after.memory));
        }
        let prefix = marker(self.world.data());
        let left = || {
            tokio::task::spawn_blocking({
                let prefix = prefix.clone();
                move || signalbox_process::leftovers(&prefix)
            })
        };
        let gone = World::until(NOTICE, async || left().await.ok()?.is_empty().then_some(())).await;
        if gone.is_none() {
            self.world.violation(format!("processes of steps are left: {:?}", left().await.unwrap_or_default()));
        }
        after
    }

    async fn check(&self, reports: &[Report]) -> anyhow::Result<Findings> {
        println!("comparing {} views with the log", reports.len());
        let acknowledged: HashMap<_, _> = self.acknowledged.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let runs = self.runs.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let findings = tokio::task::block_in_place(|| {
            truth::check(&self.world, self.world.known(), &acknowledged, &runs, reports)
        })?;
        findings.wrong.iter().for_each(|what| self.world.violation(what.clone()));
        Ok(findings)
    }
}

fn tell(world: &World, memory: u64) {
    let Counters { host_kills, connects, acknowledged, events, resets, runs, .. } = &world.counters;
    println!(
        "{:>5} s: {} kills of the host, {} connections, {} resets, {} acknowledged, {} delivered, {} runs, {} MiB",
        world.started.elapsed().as_secs(),
        get(host_kills),
        get(connects),
        get(resets),
        get(acknowledged),
        get(events),
        get(runs),
        memory / 1024
    );
}

fn summary(world: &World, findings: &Findings, (before, after): (&Measured, &Measured), readers: usize) -> bool {
    let counters = &world.counters;
    let of = |measured: &Measured| {
        let Handles { sockets, log, others } = measured.handles;
        let all = measured.handles.all();
        format!("{all} ({sockets} sockets, {log} of the log, {others} others), {} threads", measured.threads)
    };
    let rows = [
        ("minutes", format!("{:.1}", world.started.elapsed().as_secs_f64() / 60.0)),
        ("seed", world.seed.to_string()),
        ("readers", readers.to_string()),
        ("kills of the host, of steps, of clients", {
            let [host, steps, clients] = [&counters.host_kills, &counters.step_kills, &counters.client_kills].map(get);
            format!("{host}, {steps}, {clients}")
        }),
        ("sleeps of the host", get(&counters.naps).to_string()),
        ("stalls, half-open sockets, cuts", {
            let [stalls, half, cuts] = [&counters.stalls, &counters.half_open, &counters.cuts].map(get);
            format!("{stalls}, {half}, {cuts}")
        }),
        ("connects, resumes, rewinds, resets", {
            let [a, b, c, d] = [&counters.connects, &counters.resumes, &counters.rewinds, &counters.resets].map(get);
            format!("{a}, {b}, {c}, {d}")
        }),
        ("events in the log", findings.events.to_string()),
        ("events acknowledged, said again, unanswered", {
            let [a, b, c] = [&counters.acknowledged, &counters.repeated, &counters.unanswered].map(get);
            format!("{a}, {b}, {c}")
        }),
        ("runs", get(&counters.runs).to_string()),
        ("deliveries checked", format!("{} in {} stretches", findings.deliveries, findings.stretches)),
        ("lost", findings.lost.to_string()),
        ("doubled", findings.doubled.to_string()),
        ("highest resident memory", format!("{} MiB", get(&counters.peak_memory) / 1024)),
        ("memory before and after the second act", {
            format!("{} MiB, {} MiB", before.memory / 1024, after.memory / 1024)
        }),
        ("handles before", of(before)),
        ("handles after", of(after)),
        ("violations", world.violations().to_string()),
    ];
    println!();
    for (name, value) in rows {
        println!("{name:<44}{value}");
    }
    let told = world.told();
    if !told.is_empty() {
        println!("\nViolations, seed {}:", world.seed);
        told.iter().for_each(|what| println!("  {what}"));
    }
    told.is_empty()
}
