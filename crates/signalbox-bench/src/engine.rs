//! Steps that do nothing: what remains is the engine, its log, and starting processes.

use std::{
    fmt::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json, value::to_raw_value};
use signalbox_host::{Host, HostOptions, Settings};
use signalbox_model::{ProjectId, Room, RoomFilter};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::table::{Lap, Row, Unit, least};

const AT_ONCE: usize = 8;

/// Steps in layers: each waits for all of the layer before it.
struct Shape {
    name: &'static str,
    what: &'static str,
    layers: Vec<usize>,
    mark: Option<f64>,
}

fn shapes() -> [Shape; 3] {
    let lattice = [20, 1].repeat(10);
    [
        Shape { name: "wide", what: "1,000 independent steps, 8 at once", layers: vec![1000], mark: Some(1.5) },
        Shape { name: "chain", what: "chain of 200 steps", layers: vec![1; 200], mark: Some(1.5) },
        Shape { name: "lattice", what: "lattice of 10 x 20 steps and 10 joins", layers: lattice, mark: Some(1.5) },
    ]
}

pub(crate) fn bench(runtime: &Runtime, rounds: u32) -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let project = dir.path().join("project");
    write_files(&project)?;
    let mut settings = Settings::default();
    settings.engine.slots = AT_ONCE as u64;
    // No listener: what is measured is the engine, not a transport.
    let host = runtime.block_on(Host::open(HostOptions::new(dir.path().join("data"), settings)))?;
    let opened = runtime.block_on(call(&host, "project.open", &json!({ "path": project })))?;
    let id = opened["project"]["id"].as_str().context("the project has no id")?.to_owned();

    let mut rows = Vec::new();
    for Shape { name, what, layers, mark } in shapes() {
        let mut laps: Vec<Lap<'_>> =
            vec![Box::new(|| runtime.block_on(run(&host, &id, name))), Box::new(|| runtime.block_on(spawn(&layers)))];
        if make(&project, "none").is_ok() {
            laps.push(Box::new(|| make(&project, name)));
        }
        let times = least(rounds, &mut laps)?;
        let count = u32::try_from(layers.iter().sum::<usize>())?;
        let row = |floor: &str, bare: Duration, mark| Row {
            what: what.to_owned(),
            floor: floor.to_owned(),
            unit: Unit::Each,
            count,
            ours: times[0].as_secs_f64(),
            bare: bare.as_secs_f64(),
            mark,
        };
        rows.push(row("a loop that spawns `sh -c true`", times[1], mark));
        if let Some(time) = times.get(2) {
            rows.push(row("make -j8", *time, None));
        }
    }
    runtime.block_on(host.close());
    Ok(rows)
}

fn write_files(project: &Path) -> anyhow::Result<()> {
    let workflows = project.join(".signalbox/workflows");
    std::fs::create_dir_all(&workflows)?;
    let mut makefile = "none:\n".to_owned();
    for Shape { name, layers, .. } in shapes() {
        let mut workflow = format!("signalbox: 1\nname: {name}\nsteps:\n");
        let mut before: Vec<String> = Vec::new();
        for (layer, steps) in layers.iter().enumerate() {
            let these: Vec<String> = (0..*steps).map(|step| format!("s{layer}-{step}")).collect();
            for step in &these {
                writeln!(workflow, "  {step}: {{ kind: command, run: 'true', needs: [{}] }}", before.join(", "))?;
                let needs: String = before.iter().map(|step| format!(" {name}-{step}")).collect();
                writeln!(makefile, "{name}-{step}:{needs}\n\t@sh -c true")?;
            }
            before = these;
        }
        let ends: String = before.iter().map(|step| format!(" {name}-{step}")).collect();
        writeln!(makefile, "{name}:{ends}")?;
        std::fs::write(workflows.join(format!("{name}.yaml")), workflow)?;
    }
    std::fs::write(project.join("Makefile"), makefile)?;
    Ok(())
}

async fn call(host: &Host, method: &str, params: &Value) -> anyhow::Result<Value> {
    let params = to_raw_value(params)?;
    match host.call(&host.owner(), method, Some(&params)).await {
        Ok(reply) => Ok(serde_json::from_str(reply.get())?),
        Err(error) => bail!("{method}: {}", error.message),
    }
}

/// From the call that starts the run to the event that says it ended.
async fn run(host: &Host, project: &str, workflow: &str) -> anyhow::Result<Duration> {
    let mut session = host.session(host.owner());
    session.join(None, vec![RoomFilter::One(Room::Project(ProjectId::new(project)?))], None).await?;
    let start = Instant::now();
    call(host, "run.start", &json!({ "project": project, "workflow": workflow })).await?;
    loop {
        for frame in session.next(64 * 1024).await?.frames {
            if frame.starts_with(br#"{"type":"completion""#) {
                let time = start.elapsed();
                let event: Value = serde_json::from_slice(&frame)?;
                ensure!(event["data"]["conclusion"] == "success", "the run did not succeed: {event}");
                return Ok(time);
            }
        }
    }
}

/// What no program that starts these processes can be faster than. Nothing is stored, nothing is read from them.
async fn spawn(layers: &[usize]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for steps in layers {
        for _ in 0..*steps {
            if running.len() == AT_ONCE {
                ended(&mut running).await?;
            }
            running.spawn(async { tokio::process::Command::new("sh").args(["-c", "true"]).status().await });
        }
        while !running.is_empty() {
            ended(&mut running).await?;
        }
    }
    Ok(start.elapsed())
}

async fn ended(running: &mut JoinSet<std::io::Result<std::process::ExitStatus>>) -> anyhow::Result<()> {
    let status = running.join_next().await.context("nothing runs")???;
    ensure!(status.success(), "`true` ended with {status}");
    Ok(())
}

fn make(project: &Path, target: &str) -> anyhow::Result<Duration> {
    let mut command = Command::new("make");
    command.args(["-r", "-j8", target]).current_dir(project).stdout(Stdio::null()).stderr(Stdio::null());
    // Under `cargo` or another make these would lead it to a job server of somebody else.
    command.env_remove("MAKEFLAGS").env_remove("CARGO_MAKEFLAGS").env_remove("MFLAGS");
    let start = Instant::now();
    ensure!(command.status()?.success(), "make failed");
    Ok(start.elapsed())
}
