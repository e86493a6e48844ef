//! The rows of events, written several at a time.
//!
//! A statement opens the table and each of its indexes before it writes anything, which costs about as much as the row itself:
//! so one statement writes the rows of several events.
//!
//! `OR ROLLBACK`: such a statement may fail after its first row, and to undo that alone SQLite keeps a copy of each page before it
//! changes it (<https://www.sqlite.org/tempfiles.html>, section 2.3). Nobody wants that: when a row cannot be written the
//! whole group is undone.

use std::sync::LazyLock;

use rusqlite::{Connection, Statement};

use crate::{StoreError, batch::Submission};

/// How many rows one statement writes, the most first: any number is a sum of these.
const SIZES: [usize; 4] = [8, 4, 2, 1];

/// The statement for each of [`SIZES`].
pub(crate) static INSERTS: LazyLock<[String; 4]> = LazyLock::new(|| {
    SIZES.map(|rows| {
        let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
        format!(
            "INSERT OR ROLLBACK INTO events(seq, prev, ts, room, type, actor, run, step, data) VALUES {}",
            vec![row; rows].join(", ")
        )
    })
});

/// An event that has its place, and whose row is not written yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Which submission of the group, and which of its events.
    pub(crate) of: (usize, usize),
    pub(crate) seq: u64,
    pub(crate) prev: u64,
    /// The room's row.
    pub(crate) room: i64,
}

/// Writes the rows, which may then be forgotten.
///
/// A statement keeps what is bound to it from one execution to the next, and to bind a text is to copy it: of events in a row most
/// have room, type, actor, run and step in common.
pub(crate) fn write(db: &Connection, group: &[Box<Submission>], ts: i64, mut rows: &[Row]) -> Result<(), StoreError> {
    for (size, sql) in SIZES.into_iter().zip(&*INSERTS) {
        if rows.len() < size {
            continue;
        }
        let mut insert = db.prepare_cached(sql)?;
        let mut bound: Option<&[Row]> = None;
        while let Some((now, later)) = rows.split_at_checked(size) {
            for (index, row) in now.iter().enumerate() {
                bind(
                    &mut insert,
                    index * COLUMNS,
                    ts,
                    Columns::of(group, row),
                    bound.map(|rows| Columns::of(group, &rows[index])),
                )?;
            }
            insert.raw_execute()?;
            bound = Some(now);
            rows = later;
        }
    }
    Ok(())
}

const COLUMNS: usize = 9;

/// A row's values, but for the time.
struct Columns<'a> {
    row: &'a Row,
    kind: &'a str,
    actor: &'a str,
    run: Option<&'a str>,
    step: Option<&'a str>,
    data: &'a str,
}

impl<'a> Columns<'a> {
    fn of(group: &'a [Box<Submission>], row: &'a Row) -> Self {
        let Submission { batch, data, .. } = &*group[row.of.0];
        let event = &batch.events[row.of.1];
        Self {
            row,
            kind: event.body.type_name(),
            actor: event.actor.as_str(),
            run: event.run.as_ref().map(AsRef::as_ref),
            step: event.step.as_ref().map(AsRef::as_ref),
            data: &data[row.of.1],
        }
    }
}

/// Binds a row to the parameters after `at`, where `bound` is what they have now.
fn bind(
    insert: &mut Statement<'_>,
    at: usize,
    ts: i64,
    new: Columns<'_>,
    bound: Option<Columns<'_>>,
) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(at + 1, new.row.seq)?;
    insert.raw_bind_parameter(at + 2, new.row.prev)?;
    if bound.is_none() {
        insert.raw_bind_parameter(at + 3, ts)?;
    }
    if bound.as_ref().is_none_or(|bound| bound.row.room != new.row.room) {
        insert.raw_bind_parameter(at + 4, new.row.room)?;
    }
    if bound.as_ref().is_none_or(|bound| bound.kind != new.kind) {
        insert.raw_bind_parameter(at + 5, new.kind)?;
    }
    if bound.as_ref().is_none_or(|bound| bound.actor != new.actor) {
        insert.raw_bind_parameter(at + 6, new.actor)?;
    }
    if bound.as_ref().is_none_or(|bound| bound.run != new.run) {
        insert.raw_bind_parameter(at + 7, new.run)?;
    }
    if bound.as_ref().is_none_or(|bound| bound.step != new.step) {
        insert.raw_bind_parameter(at + 8, new.step)?;
    }
    insert.raw_bind_parameter(at + 9, new.data)
}
