//! Schemas of other programs' events: `.signalbox/schemas/<type>.json` in the project.

use std::{
    collections::HashMap,
    fs::Metadata,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use jsonschema::Validator;
use serde_json::Value;
use signalbox_model::{CustomType, Project};
use signalbox_wire::{CallError, ErrorCode};

use crate::handlers::Reply;

/// Where they are, relative to the project's folder.
const FOLDER: &str = ".signalbox/schemas";
/// Largest schema, in bytes.
const LARGEST: u64 = 256 * 1024;
/// What is told of data that does not fit, at most.
const TOLD: usize = 10;
/// For so long a look at a file counts: thousands of events a second need not ask the disk for each.
const FRESH: Duration = Duration::from_millis(20);
/// A file that was changed so shortly before it was read may be changed again without looking any different.
const SETTLED: Duration = Duration::from_secs(2);
/// Types that are remembered, of all projects.
const MOST: usize = 2_000;

/// The schemas of all projects, as they were when they were last looked at.
#[derive(Default)]
pub(crate) struct Schemas {
    /// By the project's folder and the type.
    known: Mutex<HashMap<String, HashMap<String, Known>>>,
}

struct Known {
    looked: Instant,
    file: File,
    /// None where there is no file.
    schema: Option<Arc<Validator>>,
}

/// What tells one state of a file from another.
#[derive(PartialEq, Eq)]
enum File {
    Absent,
    /// Its length, when it was changed, and which one it is.
    Present(u64, SystemTime, (u64, i64)),
    /// It looks like others that it may still become.
    Unsettled,
}

impl File {
    fn of(path: &Path) -> (Self, Option<Metadata>) {
        let Ok(about) = std::fs::metadata(path) else { return (Self::Absent, None) };
        let file = match about.modified() {
            Ok(at) if at.elapsed().is_ok_and(|age| age > SETTLED) => Self::Present(about.len(), at, identity(&about)),
            _ => Self::Unsettled,
        };
        (file, Some(about))
    }
}

#[cfg(unix)]
fn identity(about: &Metadata) -> (u64, i64) {
    use std::os::unix::fs::MetadataExt;
    (about.ino(), about.ctime().wrapping_mul(1_000_000_000).wrapping_add(about.ctime_nsec()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64) {
    (0, 0)
}

impl Schemas {
    /// Holds an event's data to the schema of its type, if the project has one.
    ///
    /// # Errors
    /// `bad_request` with the places that do not fit, or `conflict` if the schema is none. Then nothing was published.
    pub(crate) fn check(&self, project: &Project, kind: &CustomType, data: &Value) -> Reply<()> {
        match self.find(project, kind.as_str())? {
            Some(schema) => hold(&schema, kind, data),
            None => Ok(()),
        }
    }

    fn find(&self, project: &Project, kind: &str) -> Reply<Option<Arc<Validator>>> {
        let now = Instant::now();
        if let Some(known) = self.lock().get(&project.path).and_then(|of| of.get(kind))
            && now.duration_since(known.looked) < FRESH
        {
            return Ok(known.schema.clone());
        }
        let path = Path::new(&project.path).join(FOLDER).join(format!("{kind}.json"));
        let (file, about) = File::of(&path);
        if file != File::Unsettled
            && let Some(known) = self.lock().get_mut(&project.path).and_then(|of| of.get_mut(kind))
            && known.file == file
        {
            known.looked = now;
            return Ok(known.schema.clone());
        }
        let schema = about.map(|about| read(project, kind, &path, &about)).transpose()?.map(Arc::new);
        let mut known = self.lock();
        if known.values().map(HashMap::len).sum::<usize>() >= MOST {
            known.clear();
        }
        let entry = Known { looked: now, file, schema: schema.clone() };
        known.entry(project.path.clone()).or_default().insert(kind.to_owned(), entry);
        Ok(schema)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, HashMap<String, Known>>> {
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn name(kind: &str) -> String {
    format!("{FOLDER}/{kind}.json")
}

fn read(project: &Project, kind: &str, path: &Path, about: &Metadata) -> Reply<Validator> {
    let name = name(kind);
    let broken = |why: &dyn std::fmt::Display| {
        CallError::new(ErrorCode::Conflict, format!("the schema {name} cannot be used: {why}; nothing was published"))
            .hint("mend it, or remove it")
    };
    if about.len() > LARGEST {
        return Err(broken(&format!("it has more than {LARGEST} bytes")));
    }
    // A link could lead to a file that is nobody's business, and errors would tell of it.
    let root = std::fs::canonicalize(&project.path).map_err(|error| broken(&error))?;
    if !std::fs::canonicalize(path).is_ok_and(|real| real.starts_with(root)) {
        return Err(broken(&"it is not within the project's folder"));
    }
    let text = std::fs::read(path).map_err(|error| broken(&error))?;
    let schema: Value = serde_json::from_slice(&text).map_err(|error| broken(&error))?;
    jsonschema::validator_for(&schema).map_err(|error| broken(&error))
}

fn hold(validator: &Validator, kind: &CustomType, data: &Value) -> Reply<()> {
    let problems: Vec<Value> = validator
        .iter_errors(data)
        .take(TOLD)
        .map(|error| {
            let message: String = error.to_string().chars().take(300).collect();
            serde_json::json!({ "path": error.instance_path().to_string(), "message": message })
        })
        .collect();
    let Some(first) = problems.first() else { return Ok(()) };
    let place = match first["path"].as_str() {
        None | Some("") => "data".to_owned(),
        Some(path) => format!("data{path}"),
    };
    let text = format!(
        "{place} does not fit {}: {}; nothing was published",
        name(kind.as_str()),
        first["message"].as_str().unwrap_or_default()
    );
    Err(CallError::bad_request(text).details(serde_json::json!({ "problems": problems })))
}
