//! The rows of events, written several at a time.
//!
//! A statement opens the table and each of its indexes before it writes anything, which costs about as much as the row itself:
//! so one statement writes the rows of several events.
//!
//! `OR ROLLBACK`: such a statement may fail after its first row, and to undo that alone SQLite keeps a copy of each page before it
//! changes it (<https://www.sqlite.org/tempfiles.html>, section 2.3). Nobody wants that: when a row cannot be written the
//! whole group is undone.

use std::sync::LazyLock;

use rusqlite::Connection;

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
pub(crate) fn write(db: &Connection, group: &[Box<Submission>], ts: i64, mut rows: &[Row]) -> Result<(), StoreError> {
    for (size, sql) in SIZES.into_iter().zip(&*INSERTS) {
        if rows.len() < size {
            continue;
        }
        let mut insert = db.prepare_cached(sql)?;
        while let Some((now, later)) = rows.split_at_checked(size) {
            for (index, row) in now.iter().enumerate() {
                let Submission { batch, data, .. } = &*group[row.of.0];
                let (event, data) = (&batch.events[row.of.1], &data[row.of.1]);
                let mut column = index * 9;
                let mut next = || {
                    column += 1;
                    column
                };
                insert.raw_bind_parameter(next(), row.seq)?;
                insert.raw_bind_parameter(next(), row.prev)?;
                insert.raw_bind_parameter(next(), ts)?;
                insert.raw_bind_parameter(next(), row.room)?;
                insert.raw_bind_parameter(next(), event.body.type_name())?;
                insert.raw_bind_parameter(next(), event.actor.as_str())?;
                insert.raw_bind_parameter(next(), event.run.as_ref().map(AsRef::<str>::as_ref))?;
                insert.raw_bind_parameter(next(), event.step.as_ref().map(AsRef::<str>::as_ref))?;
                insert.raw_bind_parameter(next(), data)?;
            }
            insert.raw_execute()?;
            rows = later;
        }
    }
    Ok(())
}
