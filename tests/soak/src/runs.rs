//! Runs of workflows while all this goes on, somebody who kills their processes, and what must be true of each at its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    host::{marker, signal},
    wire::{self, Failed},
    world::{Phase, World, count},
};

/// Each step leaves a mark at its beginning and at its end, so that what is said of it can be held against what it did.
pub(crate) const WORKFLOW: &str = r#"
signalbox: 1
name: steps
steps:
  one:
    kind: command
    run: echo "${{ run.id }} one begin" >> marks; echo hello; sleep 0.3; echo "${{ run.id }} one end" >> marks
  many:
    kind: command
    needs: [one]
    matrix: { axes: { n: [a, b, c] }, key: "${{ matrix.n }}" }
    run: |
      echo "${{ run.id }} many[${{ matrix.n }}] begin" >> marks
      for i in 1 2 3 4; do echo "line $i of ${{ matrix.n }}"; sleep 0.4; done
      echo "${{ run.id }} many[${{ matrix.n }}] end" >> marks
  again:
    kind: command
    needs: [one]
    idempotent: true
    run: echo "${{ run.id }} again begin" >> marks; sleep 1; echo "${{ run.id }} again end" >> marks
  child:
    kind: command
    needs: [one]
    run: echo "${{ run.id }} child begin" >> marks; sleep 300 & sleep 0.6; echo "${{ run.id }} child end" >> marks; kill $!
  big:
    kind: command
    needs: [many]
    run: echo "${{ run.id }} big begin" >> marks; seq 1 6000; echo "${{ run.id }} big end" >> marks
  end:
    kind: command
    needs: [again, child, big]
    run: echo "${{ run.id }} end begin" >> marks; echo "${{ run.id }} end end" >> marks
"#;

/// Longest time from a run's start to its end, kills and sleeps included.
const RUN: Duration = Duration::from_secs(300);

pub(crate) type Runs = Arc<Mutex<Vec<String>>>;

/// Starts `at_once` chains of runs.
pub(crate) fn start(world: &Arc<World>, at_once: u64, runs: &Runs, tasks: &mut JoinSet<()>) {
    for number in 0..at_once {
        tasks.spawn(chain(Arc::clone(world), number, Arc::clone(runs)));
    }
    tasks.spawn(kill_steps(Arc::clone(world)));
}

/// Runs one after the other, as long as the storm lasts.
async fn chain(world: Arc<World>, number: u64, runs: Runs) {
    let mut random = world.random("chain", number);
    let mut n = 0;
    loop {
        match world.phase(|phase| matches!(phase, Phase::Storm | Phase::Over)).await {
            Phase::Storm => {}
            _ => return,
        }
        n += 1;
        let key = format!("run-{}-{number}-{n}", world.seed);
        let params = json!({ "project": world.known().projects[0], "workflow": "steps" });
        let Some(reply) = insist(&world, "run.start", &params, Some(&key)).await else { return };
        let run = reply["run"].as_str().unwrap_or_default().to_owned();
        runs.lock().unwrap_or_else(|e| e.into_inner()).push(run.clone());
        let params = json!({ "run": run });
        let ended = async {
            while let Some(found) = insist(&world, "run.get", &params, None).await {
                if found["run"]["status"] == "done" {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        if tokio::time::timeout(RUN, ended).await.is_err() {
            world.violation(format!("the run {run} has not ended after {} s", RUN.as_secs()));
        }
        count(&world.counters.runs);
        let wait = random.millis(100, 2_000);
        tokio::time::sleep(wait).await;
    }
}

/// Calls until there is an answer. None: it was refused, which is a violation.
pub(crate) async fn insist(world: &World, method: &str, params: &Value, key: Option<&str>) -> Option<Value> {
    loop {
        let address = world.host().await;
        match wire::call(&address, method, params, key).await {
            Ok(reply) => return Some(reply),
            Err(Failed::Refused(status, error))
                if status != 503 && world.lives(&address) && error["error"]["code"] != "unavailable" =>
            {
                world.violation(format!("{method} was refused: {status} {error}"));
                return None;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Kills a process of a step every few seconds.
async fn kill_steps(world: Arc<World>) {
    let mut random = world.random("steps", 0);
    let prefix = marker(world.data());
    loop {
        let wait = random.millis(2_000, 9_000);
        tokio::time::sleep(wait).await;
        match world.phase(|phase| matches!(phase, Phase::Storm | Phase::Over)).await {
            Phase::Storm => {}
            _ => return,
        }
        let wanted = prefix.clone();
        let found =
            tokio::task::spawn_blocking(move || signalbox_process::leftovers(&wanted)).await.unwrap_or_default();
        let chosen = usize::try_from(random.below(found.len() as u64)).unwrap_or(0);
        if let Some(pid) = found.get(chosen) {
            signal(*pid, Signal::KILL);
            count(&world.counters.step_kills);
        }
    }
}

/// Whether what is said of a run is true: by its own words, and by the marks that its steps left.
pub(crate) fn judge(run: &str, found: &Value, marks: &HashMap<(String, String, String), u64>, wrong: &mut Vec<String>) {
    let mut say = |what: String| wrong.push(format!("run {run}: {what}"));
    if found["run"]["status"] != "done" {
        say(format!("is {} after everything has ended", found["run"]["status"]));
        return;
    }
    let conclusion = found["run"]["conclusion"].as_str().unwrap_or("none");
    let steps = found["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut by_conclusion: HashMap<&str, u32> = HashMap::new();
    for step in steps {
        let key = step["key"].as_str().unwrap_or_default();
        let of_step = step["conclusion"].as_str().unwrap_or("none");
        *by_conclusion.entry(of_step).or_default() += 1;
        let attempts = step["attempts"].as_array().map_or(0, Vec::len) as u64;
        let mark = |at: &str| marks.get(&(run.to_owned(), key.to_owned(), at.to_owned())).copied().unwrap_or(0);
        let (begun, ended) = (mark("begin"), mark("end"));
        if step["status"] != "done" {
            say(format!("{key} is {} in a run that is done", step["status"]));
        }
        if begun > attempts {
            say(format!("{key} ran {begun} times in {attempts} attempts"));
        }
        if key != "again" && attempts > 1 {
            say(format!("{key} is not idempotent and was tried {attempts} times"));
        }
        match of_step {
            "success" if ended == 0 => say(format!("{key} is said to have succeeded and never came to its end")),
            "omitted" | "skipped" if begun > 0 => say(format!("{key} is said to be {of_step} and ran")),
            "success" | "failed" | "omitted" => {}
            "crashed" if key == "again" => say("again is idempotent and was given up".into()),
            "crashed" => {}
            other => say(format!("{key} ended {other}")),
        }
    }
    let has = |what: &str| by_conclusion.contains_key(what);
    let fits = match conclusion {
        "success" => by_conclusion.keys().all(|of_step| *of_step == "success"),
        "failed" => has("failed"),
        "crashed" => has("crashed"),
        _ => false,
    };
    if !fits || steps.is_empty() {
        say(format!("is {conclusion}, its steps are {by_conclusion:?}"));
    }
}

/// The marks, counted: run, step, `begin` or `end`.
pub(crate) fn marks(world: &World) -> HashMap<(String, String, String), u64> {
    let text = std::fs::read_to_string(world.project(0).join("marks")).unwrap_or_default();
    let mut counted = HashMap::new();
    for line in text.lines() {
        if let [run, step, at] = line.split(' ').collect::<Vec<_>>()[..] {
            *counted.entry((run.to_owned(), step.to_owned(), at.to_owned())).or_default() += 1;
        }
    }
    counted
}
