//! Full-text search over events (SQLite FTS5).
//!
//! The index is written by the writer while nothing waits, so it costs appends nothing; a search
//! brings it up to date first. Output of steps is not in it: [`crate::Reader::walk_log`] searches that.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use signalbox_model::ProjectId;

use crate::{Frame, Reader, RoomInfo, StoreError, schema};
use std::sync::Arc;

/// What to search for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words, all of which must occur; the last may be the beginning of one. Absent: every event.
    pub text: Option<String>,
    /// Only these types; empty: all.
    pub types: Vec<String>,
    /// Only of this project and its runs.
    pub project: Option<ProjectId>,
    /// Only events before this one.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: usize,
}

pub(crate) fn indexed(db: &Connection) -> Result<u64, StoreError> {
    let text: Option<String> =
        db.query_row("SELECT value FROM meta WHERE key = 'indexed'", [], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Indexes at most `count` events after `after`; returns the last one looked at.
pub(crate) fn index_some(db: &mut Connection, after: u64, count: u64) -> Result<u64, StoreError> {
    let transaction = db.transaction()?;
    let mut upto = after;
    {
        let mut select = transaction.prepare_cached(
            "SELECT seq, type, actor, step, CASE type WHEN 'log' THEN NULL ELSE data END FROM events
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut insert = transaction.prepare_cached("INSERT INTO search(rowid, body) VALUES (?1, ?2)")?;
        let mut rows = select.query(params![after, count])?;
        while let Some(row) = rows.next()? {
            upto = row.get(0)?;
            let Some(data) = row.get_ref(4)?.as_str_or_null().unwrap_or(None) else { continue };
            let mut body = format!("{} {}", row.get::<_, String>(1)?, row.get::<_, String>(2)?);
            if let Some(step) = row.get::<_, Option<String>>(3)? {
                body.push(' ');
                body.push_str(&step);
            }
            if let Ok(value) = serde_json::from_str(data) {
                collect_text(&value, &mut body);
            }
            insert.execute(params![upto, body])?;
        }
    }
    if upto == after {
        // A gap left by retention: nothing after it.
        upto = schema::head(&transaction)?.max(after);
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES ('indexed', ?1)")?
        .execute([upto.to_string()])?;
    transaction.commit()?;
    Ok(upto)
}

fn collect_text(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push(' ');
            out.push_str(text);
        }
        Value::Array(items) => items.iter().for_each(|item| collect_text(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| collect_text(field, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Each word quoted, so that nothing a person types is taken as the query language.
fn fts_query(text: &str) -> Option<String> {
    let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    if words.is_empty() { None } else { Some(format!("{}*", words.join(" "))) }
}

impl Reader<'_> {
    /// Events that match, newest first, only those in rooms that `sees` lets through; and whether there may be more.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn search(
        &self,
        search: &Search,
        sees: impl Fn(&RoomInfo) -> bool,
    ) -> Result<(Vec<Arc<Frame>>, bool), StoreError> {
        let query = search.text.as_deref().and_then(fts_query);
        let types = if search.types.is_empty() { None } else { Some(serde_json::to_string(&search.types)?) };
        let project = search.project.as_ref().map(ProjectId::as_str);
        let mut before = search.before.unwrap_or(signalbox_model::Cursor::MAX_SEQ);
        let mut found = Vec::new();
        loop {
            let wanted = search.limit + 1 - found.len();
            let mut statement = self.connection().prepare_cached(if query.is_some() {
                "SELECT e.seq FROM search s CROSS JOIN events e ON e.seq = s.rowid JOIN rooms r ON r.id = e.room
                 WHERE s.search MATCH ?1 AND s.rowid < ?2 AND (?3 IS NULL OR e.type IN (SELECT value FROM json_each(?3)))
                 AND (?4 IS NULL OR r.project = ?4) ORDER BY s.rowid DESC LIMIT ?5"
            } else {
                "SELECT e.seq FROM events e JOIN rooms r ON r.id = e.room
                 WHERE ?1 IS NULL AND e.seq < ?2 AND (?3 IS NULL OR e.type IN (SELECT value FROM json_each(?3)))
                 AND (?4 IS NULL OR r.project = ?4) ORDER BY e.seq DESC LIMIT ?5"
            })?;
            let seqs: Vec<u64> = statement
                .query_map(params![query, before, types, project, wanted], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let exhausted = seqs.len() < wanted;
            before = seqs.last().copied().unwrap_or(0);
            found.extend(self.events_by_seq(&seqs, &sees)?);
            if exhausted || found.len() > search.limit {
                let more = found.len() > search.limit;
                found.truncate(search.limit);
                return Ok((found, more));
            }
        }
    }
}
