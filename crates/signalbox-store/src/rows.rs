//! The rows of events, written several at a time.
//!
//! A statement opens the table and each of its indexes before it writes anything, which costs about as much as the row itself:
//! so one statement writes the rows of several events.
//!
//! Such a statement may fail after its first row, and to undo that alone SQLite keeps a copy of each page before it changes it
//! (<https://www.sqlite.org/tempfiles.html>, section 2.3). Nobody wants that: when a row cannot be written the whole group is
//! undone. Hence `OR ROLLBACK`, and no value for the number where SQLite gives the right one by itself
//! (<https://www.sqlite.org/autoinc.html>, section 2): a value could be of the wrong type, and then it looks for its place.

use std::sync::LazyLock;

use rusqlite::{Connection, Statement};

use crate::{StoreError, batch::Submission};

/// How many rows one statement writes, the most first: any number is a sum of these.
const SIZES: [usize; 4] = [8, 4, 2, 1];

/// Where the numbers of rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Each is given.
    Given,
    /// The first is one more than the last in the table, and they follow one another.
    Next,
}

impl Numbers {
    /// The statement for each of [`SIZES`].
    pub(crate) fn inserts(self) -> &'static [String; 4] {
        static GIVEN: LazyLock<[String; 4]> = LazyLock::new(|| inserts(", seq", ", ?"));
        static NEXT: LazyLock<[String; 4]> = LazyLock::new(|| inserts("", ""));
        match self {
            Self::Given => &GIVEN,
            Self::Next => &NEXT,
        }
    }

    /// How many parameters a row has.
    fn columns(self) -> usize {
        match self {
            Self::Given => 9,
            Self::Next => 8,
        }
    }
}

fn inserts(number: &str, parameter: &str) -> [String; 4] {
    SIZES.map(|rows| {
        let row = format!("(?, ?, ?, ?, ?, ?, ?, ?{parameter})");
        format!(
            "INSERT OR ROLLBACK INTO events(prev, ts, room, type, actor, run, step, data{number}) VALUES {}",
            vec![row; rows].join(", ")
        )
    })
}

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
pub(crate) fn write(
    db: &Connection,
    group: &[Box<Submission>],
    ts: i64,
    mut rows: &[Row],
    numbers: Numbers,
) -> Result<(), StoreError> {
    for (size, sql) in SIZES.into_iter().zip(numbers.inserts()) {
        if rows.len() < size {
            continue;
        }
        let mut insert = db.prepare_cached(sql)?;
        let mut bound: Option<&[Row]> = None;
        while let Some((now, later)) = rows.split_at_checked(size) {
            for (index, row) in now.iter().enumerate() {
                let at = index * numbers.columns();
                bind(
                    &mut insert,
                    at,
                    ts,
                    &Columns::of(group, row),
                    bound.map(|rows| Columns::of(group, &rows[index])),
                )?;
                if numbers == Numbers::Given {
                    insert.raw_bind_parameter(at + 9, row.seq)?;
                }
            }
            insert.raw_execute()?;
            let (last, wanted) = (db.last_insert_rowid(), now[size - 1].seq);
            if u64::try_from(last) != Ok(wanted) {
                return Err(StoreError::Damaged(format!("the event {wanted} got the row {last}")));
            }
            bound = Some(now);
            rows = later;
        }
    }
    Ok(())
}

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
    new: &Columns<'_>,
    bound: Option<Columns<'_>>,
) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(at + 1, new.row.prev)?;
    let Some(bound) = bound else {
        insert.raw_bind_parameter(at + 2, ts)?;
        insert.raw_bind_parameter(at + 3, new.row.room)?;
        insert.raw_bind_parameter(at + 4, new.kind)?;
        insert.raw_bind_parameter(at + 5, new.actor)?;
        insert.raw_bind_parameter(at + 6, new.run)?;
        insert.raw_bind_parameter(at + 7, new.step)?;
        return insert.raw_bind_parameter(at + 8, new.data);
    };
    if bound.row.room != new.row.room {
        insert.raw_bind_parameter(at + 3, new.row.room)?;
    }
    if bound.kind != new.kind {
        insert.raw_bind_parameter(at + 4, new.kind)?;
    }
    if bound.actor != new.actor {
        insert.raw_bind_parameter(at + 5, new.actor)?;
    }
    if bound.run != new.run {
        insert.raw_bind_parameter(at + 6, new.run)?;
    }
    if bound.step != new.step {
        insert.raw_bind_parameter(at + 7, new.step)?;
    }
    insert.raw_bind_parameter(at + 8, new.data)
}
