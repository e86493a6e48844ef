//! Full-text search over events (SQLite FTS5).
//!
//! The index is written by the writer while nothing waits, so it costs appends nothing; a search
//! brings it up to date first. Output of steps is not in it, only that there was some: [`crate::Reader::walk_log`]
//! searches that.

use rusqlite::{Connection, OptionalExtension, params};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
        // A notice repeats what its message said, whatever became of that.
        let mut select = transaction.prepare_cached(
            "SELECT e.seq, e.type, e.actor, e.step, CASE WHEN e.type IN ('log', 'notice') THEN NULL ELSE e.data END, r.project
             FROM events e JOIN rooms r ON r.id = e.room WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
        )?;
        let mut insert = transaction.prepare_cached("INSERT INTO search(rowid, body, tags) VALUES (?1, ?2, ?3)")?;
        let (mut body, mut tags) = (String::new(), String::new());
        let mut rows = select.query(params![after, count])?;
        while let Some(row) = rows.next()? {
            upto = row.get(0)?;
            body.clear();
            tags.clear();
            let kind = row.get_ref(1)?.as_str().unwrap_or_default();
            push_tag(&mut tags, 't', kind);
            if let Some(project) = row.get_ref(5)?.as_str_or_null().unwrap_or(None) {
                tags.push(' ');
                push_tag(&mut tags, 'p', project);
            }
            if let Some(data) = row.get_ref(4)?.as_str_or_null().unwrap_or(None) {
                body.push_str(kind);
                for column in 2..4 {
                    body.push(' ');
                    body.push_str(row.get_ref(column)?.as_str_or_null().unwrap_or(None).unwrap_or_default());
                }
                let before = body.len();
                let mut reader = serde_json::Deserializer::from_str(data);
                if Texts(&mut body).deserialize(&mut reader).is_err() {
                    body.truncate(before);
                }
            }
            insert.execute(params![upto, body, tags])?;
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

/// Takes every text of a JSON value, but no field's name, without making the value: most of what is indexed is seen once.
struct Texts<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push(' ');
        self.0.push_str(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Texts(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(Texts(self.0))?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// One word, whatever is in `of`.
fn push_tag(out: &mut String, kind: char, of: &str) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(kind);
    for byte in of.bytes() {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn tag(kind: char, of: &str) -> String {
    let mut out = String::new();
    push_tag(&mut out, kind, of);
    out
}

/// Each word quoted, so that nothing a person types is taken as the query language. None for every event.
fn fts_query(search: &Search) -> Option<String> {
    let words = search.text.as_deref().unwrap_or_default().split_whitespace();
    let words: Vec<String> = words.map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    let mut parts = Vec::new();
    if !words.is_empty() {
        parts.push(format!("body : ({}*)", words.join(" ")));
    }
    if let Some(project) = &search.project {
        parts.push(format!("tags : {}", tag('p', project.as_str())));
    }
    if !search.types.is_empty() {
        let types: Vec<String> = search.types.iter().map(|kind| tag('t', kind)).collect();
        parts.push(format!("tags : ({})", types.join(" OR ")));
    }
    if parts.is_empty() { None } else { Some(parts.join(" AND ")) }
}

/// Newest first: both walk backwards from `?2` and stop at the limit.
pub(crate) const MATCHING: &str =
    "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC LIMIT ?3";
pub(crate) const ANY: &str = "SELECT seq FROM events WHERE ?1 IS NULL AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

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
        let query = fts_query(search);
        let mut before = search.before.unwrap_or(signalbox_model::Cursor::MAX_SEQ);
        let mut found = Vec::new();
        loop {
            let wanted = search.limit + 1 - found.len();
            let mut statement = self.connection().prepare_cached(if query.is_some() { MATCHING } else { ANY })?;
            let seqs: Vec<u64> =
                statement.query_map(params![query, before, wanted], |row| row.get(0))?.collect::<Result<_, _>>()?;
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

#[test]
fn every_text_of_a_value_is_found_and_nothing_else() {
    let mut out = String::new();
    let text = r#"{"name":"a \"b\" \u00fc","n":-1,"big":1e3,"of":[1,"c",[null,{"d":"e"}],true],"empty":""}"#;
    Texts(&mut out).deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
    assert_eq!(out, " a \"b\" ü c e ");
}
