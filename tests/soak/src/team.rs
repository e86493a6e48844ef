//! The team's room: a thousand clients of some dozen members, under the limits that a host has by itself, while ten runs
//! go on; an orderly restart and a violent one in the middle.
//!
//! Held at the end, besides every view against the log: how many were let in within any second after a restart, how soon
//! everybody had seen everything again, and what the host took of memory at most, and kept.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Wanted,
    host::Host,
    proxy,
    publish::{self, Acknowledged},
    readers::{
        Report,
        crowd::{self, Seat, Tally},
    },
    runs::{self, Runs, insist},
    truth, wire,
    world::{Known, Phase, Stage, World, get},
};

/// From the moment at which the host listens again until everybody has seen everything.
const BACK: Duration = Duration::from_secs(30);
/// Let in within any one second: `limits.joins_per_second` and the tenth that may come at once, by the host's own clock.
const JOINS: usize = 550;
/// Highest resident memory of the host, in MiB, with a thousand clients; the ring of recent events is 32 of them.
const PEAK: u64 = 192;
/// What it may keep when everybody has gone, in MiB more than before anybody came.
const KEPT: u64 = 96;
const CATCH_UP: Duration = Duration::from_secs(120);
const MEMBERS: u64 = 25;
const PUBLISHERS: u64 = 4;
const CHAINS: u64 = 10;
/// Calls are made by one member, far more than a person makes. All other limits are those that a host has by itself.
const LIMITS: &[(&str, &str)] = &[("CALLS_PER_SECOND", "0")];

struct Team {
    world: Arc<World>,
    tally: Arc<Tally>,
    acknowledged: Acknowledged,
    runs: Runs,
    reports: JoinSet<Report>,
    tasks: JoinSet<()>,
    lives: u64,
    told: Vec<(String, String)>,
}

/// A port that nobody has, outside of those that the system gives to clients: it has to be free again after a restart.
async fn free_port(world_seed: u64) -> anyhow::Result<u16> {
    for attempt in 0..200 {
        let port = u16::try_from(
            20_000 + (world_seed.wrapping_mul(7919) + attempt * 37 + u64::from(std::process::id())) % 12_000,
        )?;
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 32000")
}

pub(crate) async fn acts(wanted: &Wanted, folder: PathBuf) -> anyhow::Result<bool> {
    let listen = format!("127.0.0.1:{}", free_port(wanted.seed).await?);
    let world = World::new(Stage { seed: wanted.seed, folder, binary: wanted.binary.clone(), listen, limits: LIMITS });
    for number in 0..2 {
        std::fs::create_dir_all(world.project(number).join(".signalbox/workflows"))?;
    }
    std::fs::write(world.project(0).join(".signalbox/workflows/steps.yaml"), runs::WORKFLOW)?;
    proxy::start(&world).await?;
    let clients = usize::try_from(wanted.clients)?;
    let mut team = Team {
        world: Arc::clone(&world),
        tally: Arc::new(Tally::new(clients)),
        acknowledged: Arc::default(),
        runs: Arc::new(Mutex::new(Vec::new())),
        reports: JoinSet::new(),
        tasks: JoinSet::new(),
        lives: 0,
        told: Vec::new(),
    };
    let whole = Duration::from_secs_f64(wanted.minutes * 60.0);
    // A short one has one restart, the violent one.
    let restarts: &[bool] = if wanted.minutes < 1.0 { &[true] } else { &[false, true] };
    let stretch = whole / u32::try_from(restarts.len() + 1)?;
    let mut host = team.begin(wanted.clients, stretch).await?;
    let idle = host.memory();
    team.arrive("first arrival", Instant::now(), &host).await;
    world.phase.send_replace(Phase::Storm);
    for violent in restarts {
        team.storm(&mut host, stretch).await?;
        host = team.restart(host, *violent).await?;
    }
    team.storm(&mut host, stretch).await?;
    team.calm().await?;
    host.memory();
    let kept = team.away(&host, idle).await;
    world.phase.send_replace(Phase::Over);
    let reports = team.world.collect(&mut team.reports, &mut team.tasks, CATCH_UP).await;
    host.stop().await?;
    let peak = get(&world.counters.peak_memory) / 1024;
    if peak > PEAK {
        world.violation(format!("the host took {peak} MiB, it may take {PEAK}"));
    }
    let acknowledged = team.acknowledged.lock().unwrap_or_else(|e| e.into_inner()).clone();
    let started = team.runs.lock().unwrap_or_else(|e| e.into_inner()).clone();
    println!("comparing {} views with the log", reports.len());
    let findings =
        tokio::task::block_in_place(|| truth::check(&world, world.known(), &acknowledged, &started, &reports))?;
    findings.wrong.iter().for_each(|what| world.violation(what.clone()));
    let (counters, tally) = (&world.counters, &team.tally);
    team.told.extend(
        [
            ("clients, members", format!("{clients}, {MEMBERS}")),
            ("connects, resumes, resets", {
                let [a, b, c] = [&counters.connects, &counters.resumes, &counters.resets].map(get);
                format!("{a}, {b}, {c}")
            }),
            ("attempts that failed, told to come later", format!("{}, {}", get(&tally.failed), get(&tally.told_later))),
            ("stalls, half-open connections, cuts", {
                let [a, b, c] = [&counters.stalls, &counters.half_open, &counters.cuts].map(get);
                format!("{a}, {b}, {c}")
            }),
            ("runs, events in the log", format!("{}, {}", get(&counters.runs), findings.events)),
            ("deliveries checked", format!("{} in {} stretches", findings.deliveries, findings.stretches)),
            ("lost, doubled", format!("{}, {}", findings.lost, findings.doubled)),
            ("memory: idle, highest, after all had gone", format!("{}, {peak}, {} MiB", idle / 1024, kept / 1024)),
            ("memory: bounds", format!("at most {PEAK} MiB, {KEPT} MiB more than idle after all had gone")),
            ("violations", world.violations().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    println!();
    team.told.iter().for_each(|(name, value)| println!("{name:<44}{value}"));
    world.told().iter().for_each(|what| println!("  {what}"));
    Ok(world.violations() == 0)
}

impl Team {
    async fn start(&mut self) -> anyhow::Result<Host> {
        self.lives += 1;
        Host::start(&self.world, self.lives).await
    }

    /// The first life: makes the members, and calls everybody.
    async fn begin(&mut self, clients: u64, stretch: Duration) -> anyhow::Result<Host> {
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
        let [busy, quiet] = &projects;
        let profiles = vec![
            vec![format!("project/{busy}")],
            vec![format!("project/{busy}/**")],
            vec![format!("project/{quiet}/**")],
            vec![format!("project/{quiet}/**"), "activity".into()],
            vec![format!("project/{busy}"), format!("project/{quiet}"), "host".into(), "activity".into()],
        ];
        let mut seats = Vec::new();
        for number in 0..MEMBERS {
            let profile = usize::try_from(number)? % profiles.len();
            // More than half of them are let into one project only.
            let of = match profile {
                0 | 1 => vec![busy],
                2 => vec![quiet],
                _ => Vec::new(),
            };
            let role = ["viewer", "operator"][usize::from(number % 2 == 0)];
            let made = json!({ "name": format!("member {number}"), "role": role, "projects": of });
            let made = wire::call(&host.address, "token.create", &made, None).await.map_err(failed)?;
            seats.push(Seat { token: made["token"].as_str().context("a token")?.to_owned(), profile });
        }
        let made = json!({ "name": "publisher", "role": "owner" });
        let made = wire::call(&host.address, "token.create", &made, None).await.map_err(failed)?;
        let status = wire::call(&host.address, "system.status", &json!({}), None).await.map_err(failed)?;
        let known = Known {
            epoch: status["log"]["epoch"].as_str().context("the epoch")?.to_owned(),
            token: made["token"].as_str().context("a token")?.to_owned(),
            projects,
            profiles,
        };
        self.world.known.set(known).ok();
        self.world.phase.send_replace(Phase::Calm);
        let pace = stretch.min(Duration::from_secs(60));
        crowd::start(&self.world, clients, &seats, pace, &self.tally, &mut self.reports);
        // About as many deliveries a second whatever the number of readers, so that a small machine keeps up.
        publish::start(
            &self.world,
            PUBLISHERS,
            (10_000 / clients.max(1)).clamp(10, 60),
            &self.acknowledged,
            &mut self.tasks,
        );
        runs::start(&self.world, CHAINS, &self.runs, &mut self.tasks);
        host.announce();
        Ok(host)
    }

    /// Waits until everybody has seen everything in this life, and says how that went.
    async fn arrive(&mut self, what: &str, from: Instant, host: &Host) {
        let life = self.lives;
        let all = World::until(CATCH_UP, async || self.tally.behind(life).is_empty().then_some(())).await;
        let took = from.elapsed();
        if all.is_none() || took > BACK {
            let behind = self.tally.behind(life);
            let places = self.world.places.lock().unwrap_or_else(|e| e.into_inner());
            let some = behind.iter().take(10).filter_map(|number| places.get(*number));
            let some = some.map(|place| format!("{} of profile {} at {}", place.name, place.profile, get(&place.end)));
            let (seconds, number) = (took.as_secs_f64(), behind.len());
            let some = some.collect::<Vec<_>>().join(", ");
            self.world.violation(format!(
                "{what}: after {seconds:.1} s {number} are not back, {BACK:?} is the bound: {some}"
            ));
        }
        let client_side = self.tally.peak(tokio::time::Instant::from_std(from));
        let host_side = self.peak_of(host).await;
        if host_side > JOINS {
            self.world.violation(format!("{what}: {host_side} were let in within a second, {JOINS} is the bound"));
        }
        let memory = host.memory() / 1024;
        let text = format!(
            "everybody complete after {:.1} s; let in within a second at most {host_side} (bound {JOINS}; seen by the clients {client_side}); {memory} MiB",
            took.as_secs_f64()
        );
        println!("{what}: {text}");
        self.told.push((what.to_owned(), text));
    }

    /// The most that the host let in within a second, of those that are there, by its own clock.
    async fn peak_of(&self, host: &Host) -> usize {
        let list = wire::call(&host.address, "connection.list", &json!({}), None).await.unwrap_or_default();
        let mut times: Vec<i64> = list["connections"]
            .as_array()
            .map(|all| all.iter().filter_map(|connection| connection["connected_at"].as_i64()).collect())
            .unwrap_or_default();
        if times.is_empty() {
            self.world.violation("the host lists no connections".into());
        }
        times.sort_unstable();
        (0..times.len()).map(|at| times.partition_point(|time| *time < times[at] + 1000) - at).max().unwrap_or(0)
    }

    async fn storm(&self, host: &mut Host, time: Duration) -> anyhow::Result<()> {
        self.world.gentle.send_replace(false);
        let until = Instant::now() + time;
        while Instant::now() < until && self.world.violations() == 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            host.memory();
            if host.ended() {
                bail!("the host ended by itself");
            }
        }
        Ok(())
    }

    async fn restart(&mut self, host: Host, violent: bool) -> anyhow::Result<Host> {
        // Nobody disturbs while it is seen how they come back.
        self.world.gentle.send_replace(true);
        host.memory();
        let what = if violent { "after SIGKILL" } else { "after SIGTERM" };
        let gone = Instant::now();
        if violent {
            host.kill().await;
        } else {
            host.stop().await?;
        }
        let stopped = gone.elapsed();
        let host = self.start().await?;
        let back = Instant::now();
        host.announce();
        println!(
            "{what}: ended after {:.1} s, listens again {:.1} s later",
            stopped.as_secs_f64(),
            (back - gone).as_secs_f64()
        );
        self.arrive(what, back, &host).await;
        Ok(host)
    }

    /// No more trouble: every run ends, and every reader comes to the end of the log.
    async fn calm(&mut self) -> anyhow::Result<()> {
        self.world.gentle.send_replace(true);
        self.world.phase.send_replace(Phase::Calm);
        let (world, runs) = (&self.world, &self.runs);
        let started = || runs.lock().unwrap_or_else(|e| e.into_inner()).len() as u64;
        let ended = World::until(CATCH_UP * 3, async || (get(&world.counters.runs) >= started()).then_some(())).await;
        if ended.is_none() {
            world.violation("runs did not come to their end".into());
        }
        let mut ends = Vec::new();
        for project in &world.known().projects {
            let params = json!({ "project": project, "type": "x_end", "data": 1 });
            let key = format!("end-{}-{project}", world.seed);
            let reply = insist(world, "event.publish", &params, Some(&key)).await.context("the end cannot be said")?;
            ends.push(reply["seq"].as_u64().context("a place")?);
        }
        let wanted = [ends[0], ends[0], ends[1], ends[1], ends[1]];
        let places = world.places.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let late = || places.iter().filter(|place| place.end.load(Ordering::Relaxed) < wanted[place.profile]).count();
        if World::until(CATCH_UP, async || (late() == 0).then_some(())).await.is_none() {
            world.violation(format!("{} clients did not come to the end at {ends:?}", late()));
        }
        Ok(())
    }

    /// Everybody goes; gives the memory that the host keeps, in KiB.
    async fn away(&self, host: &Host, idle: u64) -> u64 {
        self.world.phase.send_replace(Phase::Away);
        let left = async || {
            let list = wire::call(&host.address, "connection.list", &json!({}), None).await.ok()?;
            Some(list["connections"].as_array()?.len())
        };
        if World::until(CATCH_UP, async || left().await.filter(|left| *left == 0)).await.is_none() {
            self.world.violation(format!("everybody has gone, and {:?} connections are listed", left().await));
        }
        let back = async || Some(host.memory()).filter(|now| *now < idle + KEPT * 1024);
        match World::until(Duration::from_secs(20), back).await {
            Some(kept) => kept,
            None => {
                let kept = host.memory();
                self.world.violation(format!("{} MiB were resident, {} MiB are", idle / 1024, kept / 1024));
                kept
            }
        }
    }
}
