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

use rusqlite::Connection;

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
        while let Some((now, later)) = rows.split_at_checked(size) {
            let mut column = 0;
            let mut next = || {
                column += 1;
                column
            };
            for row in now {
                let submission = &group[row.of.0];
                let (event, data) = (&submission.batch.events[row.of.1], submission.data(row.of.1));
                insert.raw_bind_parameter(next(), row.prev)?;
                insert.raw_bind_parameter(next(), ts)?;
                insert.raw_bind_parameter(next(), row.room)?;
                insert.raw_bind_parameter(next(), event.body.type_name())?;
                insert.raw_bind_parameter(next(), event.actor.as_str())?;
                insert.raw_bind_parameter(next(), event.run.as_ref().map(AsRef::<str>::as_ref))?;
                insert.raw_bind_parameter(next(), event.step.as_ref().map(AsRef::<str>::as_ref))?;
                insert.raw_bind_parameter(next(), data)?;
                if numbers == Numbers::Given {
                    insert.raw_bind_parameter(next(), row.seq)?;
                }
            }
            insert.raw_execute()?;
            let (last, wanted) = (db.last_insert_rowid(), now[size - 1].seq);
            if u64::try_from(last) != Ok(wanted) {
                return Err(StoreError::Damaged(format!("the event {wanted} got the row {last}")));
            }
            rows = later;
        }
    }
    Ok(())
}
