//! The log as it is at the end, and everybody's view of it held against it.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use serde::Deserialize;
use signalbox_model::SystemClock;
use signalbox_store::{Durability, Options, Store};

use crate::{
    publish::KIND,
    readers::Report,
    track::{self, Stretch, between, roll},
    world::{Known, World},
};

/// Events read at a time.
const PAGE: u64 = 1_000;

/// The events of one profile's rooms: their places, and the hash of all up to each.
#[derive(Default)]
struct Line {
    seqs: Vec<u64>,
    sums: Vec<u64>,
}

/// What the checks found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) events: u64,
    pub(crate) stretches: u64,
    pub(crate) deliveries: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) wrong: Vec<String>,
}

#[derive(Deserialize)]
struct Stored {
    prev: u64,
    #[serde(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

/// Whether a profile covers a room.
fn covers(rooms: &[String], room: &str, project: Option<&str>) -> bool {
    rooms.iter().any(|wanted| {
        wanted == room
            // The feed of everything is those of all projects.
            || wanted == "activity" && room.starts_with("activity/")
            || wanted.strip_suffix("/**").and_then(|tree| tree.strip_prefix("project/")) == project && project.is_some()
    })
}

/// Opens the log of a host that has stopped, and checks everything. Blocks.
pub(crate) fn check(
    world: &World,
    known: &Known,
    acknowledged: &HashMap<(u64, u64), u64>,
    runs: &[String],
    reports: &[Report],
) -> anyhow::Result<Findings> {
    let store = Store::open(Options {
        dir: world.data(),
        durability: Durability::Process,
        clock: Arc::new(SystemClock),
        publish: Box::new(|_| {}),
    })
    .context("the log cannot be opened")?;
    let mut findings = Findings::default();
    if store.epoch().as_str() != known.epoch {
        findings.wrong.push(format!("the log's epoch is {}, it was {}", store.epoch(), known.epoch));
    }
    let mut published = HashMap::new();
    let lines = lines(&store, known, &mut published, &mut findings)?;
    for difference in store.rebuild_differences()? {
        findings.wrong.push(format!("a derived table differs from a replay: {difference}"));
    }
    for ((publisher, n), seq) in acknowledged {
        if published.get(&(*publisher, *n)) != Some(seq) {
            findings.lost += 1;
            findings.wrong.push(format!("lost: {publisher}/{n} was acknowledged as event {seq} and is not there"));
        }
    }
    for (publisher, n) in published.keys().filter(|event| !acknowledged.contains_key(event)) {
        findings
            .wrong
            .push(format!("{publisher}/{n} is in the log and was never acknowledged, although it was insisted on"));
    }
    for report in reports {
        findings.deliveries += report.seen;
        let Some(line) = lines.get(report.profile) else { continue };
        for stretch in &report.stretches {
            findings.stretches += 1;
            compare(line, stretch, &report.name, &mut findings);
        }
    }
    look_at_runs(world, &store, known, runs, &mut findings)?;
    store.close();
    Ok(findings)
}

/// Reads the whole log: checks its own order, and gives each profile's part of it.
fn lines(
    store: &Store,
    known: &Known,
    published: &mut HashMap<(u64, u64), u64>,
    findings: &mut Findings,
) -> anyhow::Result<Vec<Line>> {
    let mut lines: Vec<Line> = known.profiles.iter().map(|_| Line::default()).collect();
    let mut heads: HashMap<i64, u64> = HashMap::new();
    let mut from = 1;
    while from <= store.head() {
        let seqs: Vec<u64> = (from..=store.head().min(from + PAGE - 1)).collect();
        let frames = store.read(|reader| reader.events_by_seq(&seqs, |_| true))?;
        if frames.len() != seqs.len() {
            let missing = seqs.len() - frames.len();
            findings.wrong.push(format!("{missing} events from {from} on are missing in the log"));
        }
        for frame in &frames {
            let stored: Stored = serde_json::from_slice(&frame.json)?;
            let before = heads.insert(frame.room.id, frame.seq).unwrap_or(0);
            if stored.prev != before {
                findings.wrong.push(format!("event {} says {} is before it, it is {before}", frame.seq, stored.prev));
            }
            if stored.kind == KIND
                && let (Some(publisher), Some(n)) = (stored.data["p"].as_u64(), stored.data["n"].as_u64())
                && let Some(first) = published.insert((publisher, n), frame.seq)
            {
                findings.doubled += 1;
                findings.wrong.push(format!("doubled: {publisher}/{n} is event {first} and {}", frame.seq));
            }
            let (room, project) = (frame.room.room.to_string(), frame.room.project.as_ref().map(|id| id.as_str()));
            let sum = track::hash(&frame.json);
            for (line, rooms) in lines.iter_mut().zip(&known.profiles) {
                if covers(rooms, &room, project) {
                    line.seqs.push(frame.seq);
                    line.sums.push(roll(line.sums.last().copied().unwrap_or(0), sum));
                }
            }
            findings.events += 1;
        }
        from += PAGE;
    }
    Ok(lines)
}

/// Holds one stretch of a reader against the log.
fn compare(line: &Line, stretch: &Stretch, name: &str, findings: &mut Findings) {
    let upto = |place: u64| line.seqs.partition_point(|seq| *seq <= place);
    let sum = |count: usize| count.checked_sub(1).and_then(|at| line.sums.get(at)).copied().unwrap_or(0);
    let (from, to) = (upto(stretch.base), upto(stretch.end));
    let wanted = u32::try_from(to - from).unwrap_or(u32::MAX);
    let Stretch { base, end, events, hash } = *stretch;
    if wanted != events {
        let (less, more) = (u64::from(wanted.saturating_sub(events)), u64::from(events.saturating_sub(wanted)));
        findings.lost += less;
        findings.doubled += more;
        let what = if less > 0 { "lost" } else { "doubled" };
        findings.wrong.push(format!("{what}: {name} saw {events} events after {base} up to {end}, there are {wanted}"));
    } else if between(sum(from), sum(to), events) != hash {
        findings.wrong.push(format!("{name} saw other bytes or another order after {base} up to {end}"));
    }
}

fn look_at_runs(
    world: &World,
    store: &Store,
    known: &Known,
    runs: &[String],
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let marks = crate::runs::marks(world);
    let active = store.read(|reader| reader.active_runs(None))?;
    for run in active {
        findings.wrong.push(format!("the run {} is {:?} after everything has ended", run.id, run.status));
    }
    let project = known.projects[0].parse()?;
    let all = store.read(|reader| reader.runs(&project, None, None, usize::MAX >> 2))?;
    if all.len() != runs.len() {
        findings.wrong.push(format!("there are {} runs, {} were started", all.len(), runs.len()));
    }
    for run in all {
        let steps = store.read(|reader| reader.steps(&run.id))?;
        let found = serde_json::json!({ "run": &*run, "steps": steps });
        crate::runs::judge(run.id.as_str(), &found, &marks, &mut findings.wrong);
        if !runs.iter().any(|known| known == run.id.as_str()) {
            findings.wrong.push(format!("the run {} was started by nobody, or twice with one key", run.id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let mut line = Line::default();
        for seq in [2, 3, 7, 9] {
            line.seqs.push(seq);
            line.sums.push(roll(line.sums.last().copied().unwrap_or(0), seq * 1000));
        }
        line
    }

    fn stretch(base: u64, end: u64, seen: &[u64]) -> Stretch {
        let hash = seen.iter().fold(0, |sum, seq| roll(sum, seq * 1000));
        Stretch { base, end, events: seen.len() as u32, hash }
    }

    #[test]
    fn a_true_view_fits_and_each_false_one_is_named() {
        let found = |stretch| {
            let mut findings = Findings::default();
            compare(&line(), &stretch, "somebody", &mut findings);
            (findings.lost, findings.doubled, findings.wrong.join(""))
        };
        assert_eq!(found(stretch(0, 12, &[2, 3, 7, 9])), (0, 0, String::new()));
        assert_eq!(found(stretch(2, 8, &[3, 7])), (0, 0, String::new()));
        assert!(matches!(found(stretch(2, 9, &[3, 9])), (1, 0, what) if what.contains("lost")));
        assert!(matches!(found(stretch(2, 3, &[3, 3])), (0, 1, what) if what.contains("doubled")));
        assert!(found(stretch(2, 8, &[7, 3])).2.contains("another order"));
    }

    #[test]
    fn a_profile_covers_its_rooms_and_its_trees() {
        let rooms = ["project/a/**".to_owned(), "activity".to_owned()];
        assert!(covers(&rooms, "run/r_1", Some("a")) && covers(&rooms, "project/a", Some("a")));
        assert!(covers(&rooms, "activity", None) && covers(&rooms, "activity/b", Some("b")));
        assert!(!covers(&rooms[..1], "activity/a", Some("b")));
        assert!(!covers(&rooms, "host", None) && !covers(&rooms, "run/r_1", Some("b")));
    }
}
