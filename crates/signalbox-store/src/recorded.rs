//! Every event of one run, for its export.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{OptionalExtension, params};
use signalbox_model::{Run, UnixMillis};

use crate::{Page, Reader, StoreError, kinds::of_told};

pub(crate) const OF_RUN: &str = "SELECT seq, prev, ts, type, actor, run, step, data, room FROM events
     WHERE seq > ?1 AND seq <= ?2 AND +run = ?3 ORDER BY seq LIMIT ?4";
pub(crate) const TOLD_LATER: &str = concat!(
    "SELECT seq, prev, ts, type, actor, run, step, data, room FROM events WHERE seq > ?1 AND run = ?2 AND ",
    of_told!(),
    " ORDER BY seq LIMIT ?3"
);
pub(crate) const FIRST_FROM: &str = "SELECT seq, ts FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1";

/// A clock may be set back while a run goes on: so much earlier and later is looked.
const MARGIN_MS: UnixMillis = 60_000;

impl Reader<'_> {
    /// Events that are about a run, in its own room and in its project's, after `after`, oldest first, at most `limit`.
    ///
    /// They are looked for from a minute before the run was made until a minute after it ended; what is told of it later -
    /// commits, verdicts, answers - is found by an index. What retention deleted is not there.
    pub fn run_events(&self, run: &Run, after: u64, limit: usize) -> Result<Page, StoreError> {
        let head = self.head()?;
        let first = self.first_since(run.created_at - MARGIN_MS, head)?;
        let end = match run.ended_at {
            Some(ended) => self.first_since(ended + MARGIN_MS, head)?,
            None => head,
        };
        let mut frames = Vec::new();
        let mut rooms = HashMap::new();
        let mut take = |row: &rusqlite::Row<'_>| -> Result<(), StoreError> {
            let id: i64 = row.get(8)?;
            let room = match rooms.get(&id) {
                Some(room) => Arc::clone(room),
                None => Arc::clone(rooms.entry(id).or_insert(self.room_by_id(id)?)),
            };
            frames.push(self.frame(row, &room)?);
            Ok(())
        };
        let from = after.max(first.saturating_sub(1));
        let mut statement = self.connection().prepare_cached(OF_RUN)?;
        let mut rows = statement.query(params![from, end, run.id.as_str(), limit + 1])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        let mut statement = self.connection().prepare_cached(TOLD_LATER)?;
        let mut rows = statement.query(params![after.max(end), run.id.as_str(), limit + 1])?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        let more = frames.len() > limit;
        frames.truncate(limit);
        let upto = if more { frames.last().map_or(after, |frame| frame.seq) } else { head };
        Ok(Page { frames, upto, more })
    }

    /// The first event of `ts` or later, by halves: times follow the order of the log but where a clock was set.
    fn first_since(&self, ts: UnixMillis, head: u64) -> Result<u64, StoreError> {
        let (mut low, mut high) = (self.oldest()?, head + 1);
        let mut statement = self.connection().prepare_cached(FIRST_FROM)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let found: Option<(u64, UnixMillis)> =
                statement.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            match found {
                Some((seq, at)) if at < ts => low = seq + 1,
                _ => high = middle,
            }
        }
        Ok(low.min(head))
    }
}
