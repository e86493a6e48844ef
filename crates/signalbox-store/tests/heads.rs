//! The newest event of each room, which the writer does not write down with each commit.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use proptest::prelude::*;
use signalbox_model::{
    Actor, Cursor, CustomType, EventBody, EventData, ManualClock, NewEvent, ProjectId, Room, RoomFilter, Run, RunId,
    RunStatus,
};
use signalbox_store::{Batch, Durability, Options, Resume, RetentionPolicy, Store, StoreError};

fn project() -> ProjectId {
    ProjectId::new("demo").unwrap()
}

fn run_id(n: u32) -> RunId {
    RunId::new(format!("r_{n:08}")).unwrap()
}

fn note(room: &Room) -> NewEvent {
    let body = EventBody::Custom(CustomType::new("x_test").unwrap(), serde_json::json!({ "text": "note" }).into());
    NewEvent::new(room.clone(), Actor::new("tester").unwrap(), body)
}

/// A run that ended, so that retention may take its detail.
fn run(n: u32) -> NewEvent {
    let id = run_id(n);
    let run = Run {
        id: id.clone(),
        number: u64::from(n),
        project: project(),
        workflow: "ship".into(),
        file: None,
        plan: "0".repeat(64),
        status: RunStatus::Done,
        conclusion: None,
        generation: 1,
        inputs: Default::default(),
        actor: Actor::engine(),
        started_by: None,
        created_at: 0,
        started_at: None,
        ended_at: None,
        progress: 0.0,
        steps_total: 1,
        steps_done: 0,
        current_step: None,
        group: None,
        goal: None,
        queue_position: None,
        paused: false,
        reason: None,
    };
    NewEvent::new(Room::Project(project()), Actor::engine(), EventData::RunUpdated(Arc::new(run))).of_run(id)
}

#[derive(Debug, Clone)]
enum Op {
    /// Notes to these rooms in one batch: 0 to 2 are the host, the feed and the project, others runs that were opened.
    Notes(Vec<usize>),
    /// So many events that are none of the project's.
    Elsewhere(usize),
    /// Opens so many runs, with a note in each.
    Runs(u32),
    /// A batch that is refused after it wrote to a room.
    Refused(usize),
    /// Enough time for what is there now to be old.
    Age,
    /// Deletes what is old, and the detail of ended runs.
    Retain { runs: bool },
    /// Lets the writer do what it does in a quiet moment.
    Quiet,
    /// Closes the log and opens it again.
    Reopen,
    /// Goes on with a copy of the files, taken without closing.
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec(0usize..9, 1..6).prop_map(Op::Notes),
        2 => (20usize..80).prop_map(Op::Elsewhere),
        2 => (1u32..4).prop_map(Op::Runs),
        1 => Just(Op::Runs(70)),
        1 => Just(Op::Runs(600)),
        1 => (0usize..9).prop_map(Op::Refused),
        1 => Just(Op::Age),
        1 => any::<bool>().prop_map(|runs| Op::Retain { runs }),
        1 => Just(Op::Quiet),
        1 => Just(Op::Reopen),
        2 => Just(Op::Crash),
    ]
}

#[derive(Default)]
struct RoomModel {
    kept: Vec<u64>,
    head: u64,
    floor: u64,
}

impl RoomModel {
    fn delete_upto(&mut self, upto: u64) {
        if let Some(last) = self.kept.iter().copied().filter(|seq| *seq <= upto).max() {
            self.floor = last;
            self.kept.retain(|seq| *seq > upto);
        }
    }
}

/// The log as it would be without a database.
#[derive(Default)]
struct Model {
    rooms: BTreeMap<Room, RoomModel>,
    runs: u32,
    head: u64,
    /// The newest event at the time of the last [`Op::Age`].
    old: u64,
}

impl Model {
    fn room(&self, n: usize) -> Room {
        match n {
            0 => Room::Host,
            1 => Room::Activity,
            2 => Room::Feed(project()),
            n if n > 2 && self.runs > 0 => Room::Run(run_id(u32::try_from(n).unwrap() % self.runs)),
            _ => Room::Project(project()),
        }
    }

    fn append(&mut self, events: &[NewEvent]) {
        for event in events {
            self.head += 1;
            let room = self.rooms.entry(event.room.clone()).or_default();
            room.kept.push(self.head);
            room.head = self.head;
        }
    }

    fn covered<'a>(&'a self, filter: &'a RoomFilter) -> impl Iterator<Item = &'a RoomModel> {
        let covers = |room: &Room| match filter {
            RoomFilter::One(one) => room == one,
            RoomFilter::Activity(None) => matches!(room, Room::Activity | Room::Feed(_)),
            RoomFilter::Activity(Some(_)) => matches!(room, Room::Feed(_)),
            RoomFilter::ProjectTree(_) => matches!(room, Room::Project(_) | Room::Run(_) | Room::Feed(_)),
        };
        self.rooms.iter().filter(move |(room, _)| covers(room)).map(|(_, state)| state)
    }

    fn resume(&self, filter: &RoomFilter, after: u64) -> Resume {
        if after > self.head {
            return Resume::Future;
        }
        if self.covered(filter).any(|room| room.head > after && room.floor > after) {
            return Resume::TooOld;
        }
        let missed = self.covered(filter).flat_map(|room| &room.kept).filter(|seq| **seq > after).count();
        Resume::Yes { missed: missed as u64 }
    }
}

struct Log {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    runtime: tokio::runtime::Runtime,
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    Store::open(Options {
        dir: dir.to_owned(),
        durability: Durability::Process,
        clock: Arc::<ManualClock>::clone(clock),
        publish: Box::new(|_| {}),
    })
    .unwrap()
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_000_000_000));
        let store = open(dir.path(), &clock);
        Self { dir, clock, store, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    fn perform(&mut self, op: &Op, model: &mut Model) {
        match op {
            Op::Notes(rooms) => {
                let events: Vec<_> = rooms.iter().map(|n| note(&model.room(*n))).collect();
                self.append(events, model);
            }
            Op::Elsewhere(count) => self.append(vec![note(&Room::Host); *count], model),
            Op::Runs(count) => {
                let mut events = Vec::new();
                for _ in 0..*count {
                    events.extend([run(model.runs), note(&Room::Run(run_id(model.runs)))]);
                    model.runs += 1;
                }
                self.append(events, model);
            }
            Op::Refused(room) => {
                let lost = vec![note(&model.room(*room)), note(&Room::Run(RunId::new("r_nosuchrun").unwrap()))];
                let refused = self.runtime.block_on(self.store.append(Batch::of(lost)));
                assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
            }
            Op::Age => {
                self.clock.advance(10_000);
                model.old = model.head;
            }
            Op::Retain { runs } => {
                let policy = RetentionPolicy { project: None, max_age_ms: Some(5_000), max_bytes: runs.then_some(0) };
                self.runtime.block_on(self.store.retain(policy)).unwrap();
                for (room, state) in &mut model.rooms {
                    let all_old = state.kept.last().is_some_and(|last| *last <= model.old);
                    match room {
                        Room::Run(_) if *runs || all_old => state.delete_upto(u64::MAX),
                        Room::Run(_) => {}
                        _ => state.delete_upto(model.old),
                    }
                }
            }
            Op::Quiet => self.runtime.block_on(self.store.index_now()).unwrap(),
            Op::Reopen => {
                self.store.close();
                self.store = open(self.dir.path(), &self.clock);
            }
            Op::Crash => {
                // The writer has nothing to do after this, so that the files hold still.
                self.runtime.block_on(self.store.index_now()).unwrap();
                let copy = tempfile::tempdir().unwrap();
                for file in ["log.db", "log.db-wal", "log.mark"] {
                    std::fs::copy(self.dir.path().join(file), copy.path().join(file)).unwrap();
                }
                self.store.close();
                self.store = open(copy.path(), &self.clock);
                self.dir = copy;
            }
        }
    }

    fn append(&self, events: Vec<NewEvent>, model: &mut Model) {
        model.append(&events);
        self.runtime.block_on(self.store.append(Batch::of(events))).unwrap();
    }

    fn check(&self, model: &Model, after: u64) {
        assert_eq!(self.store.head(), model.head);
        let rooms = model.rooms.keys().cloned().map(RoomFilter::One);
        // Of hundreds of runs a few say enough.
        let trees = [
            RoomFilter::ProjectTree(project()),
            RoomFilter::Activity(None),
            RoomFilter::Activity(Some(vec![project()])),
        ];
        let filters: Vec<_> = rooms.take(12).chain(trees).collect();
        let cursor = Cursor { epoch: self.store.epoch().clone(), seq: after };
        self.store
            .read(|reader| {
                assert_eq!(reader.head()?, model.head);
                for filter in &filters {
                    let own = |room: &Room| match filter {
                        RoomFilter::One(one) => one == room,
                        RoomFilter::Activity(projects) => match room {
                            Room::Feed(_) => true,
                            room => *room == Room::Activity && projects.is_none(),
                        },
                        RoomFilter::ProjectTree(_) => matches!(room, Room::Project(_)),
                    };
                    let heads = model.rooms.iter().filter(|(room, _)| own(room)).map(|(_, room)| room.head);
                    let head = heads.max().unwrap_or(0);
                    assert_eq!(reader.room_head(filter)?, head, "head of {filter:?}");
                    let one = std::slice::from_ref(filter);
                    assert_eq!(
                        reader.resume(one, &cursor, u64::from(u32::MAX))?,
                        model.resume(filter, after),
                        "{filter:?} after {after}"
                    );
                    let mut kept: Vec<u64> =
                        model.covered(filter).flat_map(|room| &room.kept).copied().filter(|seq| *seq > after).collect();
                    kept.sort_unstable();
                    let page = reader.events(one, after, model.head, kept.len() + 1)?;
                    assert_eq!(page.frames.iter().map(|frame| frame.seq).collect::<Vec<_>>(), kept, "{filter:?}");
                    let (mut from, mut pages) = (after, kept.chunks(4).take(8));
                    loop {
                        let page = reader.events(one, from, model.head, 4)?;
                        let seqs: Vec<_> = page.frames.iter().map(|frame| frame.seq).collect();
                        let Some(wanted) = pages.next() else { break };
                        assert_eq!(seqs, wanted, "page of {filter:?} after {from}");
                        from = page.upto;
                        if !page.more {
                            assert_eq!(pages.next(), None);
                            break;
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_those_of_a_plain_list_at_any_moment(ops in prop::collection::vec((op(), 0.0f64..1.2), 1..25)) {
        let (mut log, mut model) = (Log::new(), Model::default());
        for (op, place) in &ops {
            log.perform(op, &mut model);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place somewhere in a short log")]
            let after = (model.head as f64 * place) as u64;
            log.check(&model, after);
        }
        prop_assert_eq!(log.store.rebuild_differences().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_log_of_the_first_schema_keeps_its_heads() {
    let dir = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    db.execute_batch(include_str!("../src/schema/1.sql")).unwrap();
    // As the first version left it: of four events in two rooms retention took the newest two.
    db.execute_batch(
        "INSERT INTO rooms(id, name, project, head, floor) VALUES (1, 'activity', NULL, 4, 4), (2, 'host', NULL, 2, 0);
         INSERT INTO events(seq, prev, ts, room, type, actor, data) VALUES
            (1, 0, 1, 2, 'x_test', 'tester', '{}'), (2, 1, 1, 2, 'x_test', 'tester', '{}');
         INSERT INTO meta(key, value) VALUES ('epoch', 'abcdefghij');
         PRAGMA user_version = 1;",
    )
    .unwrap();
    db.close().unwrap();
    std::fs::write(dir.path().join("log.mark"), format!("{:<16} {:>20}\n", "abcdefghij", 4)).unwrap();
    let store = open(dir.path(), &Arc::new(ManualClock::new(0)));
    assert_eq!(store.cursor().to_string(), "abcdefghij.4");
    let head = |room| store.read(|reader| reader.room_head(&RoomFilter::One(room))).unwrap();
    assert_eq!((head(Room::Activity), head(Room::Host)), (4, 2));
}

/// The kinds that have an index of their own are in it, however old the log is.
#[test]
fn a_log_of_an_older_schema_is_indexed_anew() {
    let indexes = |db: &rusqlite::Connection| -> Vec<(String, String)> {
        let mut all = db
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
            .unwrap();
        all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), &Arc::new(ManualClock::new(0))).close();
    let new = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    for version in [3, 7, 8] {
        let dir = tempfile::tempdir().unwrap();
        let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
        for schema in 1..=version {
            let file = format!("{}/src/schema/{schema}.sql", env!("CARGO_MANIFEST_DIR"));
            db.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
        }
        db.execute_batch(&format!(
            "INSERT INTO rooms(id, name, project, head, floor) VALUES (1, 'project/p', 'p', 3, 0);
             INSERT INTO events(seq, prev, ts, room, type, actor, data) VALUES (1, 0, 1, 1, 'x_test', 'tester', '{{}}'),
                (2, 1, 1, 1, 'webhook_updated', 'tester', '{{}}'), (3, 2, 1, 1, 'log', 'tester', '{{}}');
             INSERT INTO meta(key, value) VALUES ('epoch', 'abcdefghij');
             PRAGMA user_version = {version};"
        ))
        .unwrap();
        db.close().unwrap();
        open(dir.path(), &Arc::new(ManualClock::new(0))).close();
        let db = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
        let said: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!((said.as_str(), indexes(&db)), ("ok", indexes(&new)), "from schema {version}");
    }
}
