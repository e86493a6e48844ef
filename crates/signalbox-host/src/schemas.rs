//! Schemas of other programs' events: `.signalbox/schemas/<type>.json` in the project.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use jsonschema::Validator;
use serde_json::Value;
use signalbox_model::{CustomType, Json, Project};
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
/// Types that are remembered, of all projects, and bytes of their schemas.
const MOST: usize = 2_000;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The schemas of all projects, as they were when they were last looked at.
#[derive(Default)]
pub(crate) struct Schemas(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// By the project's folder and the type.
    of: HashMap<String, HashMap<String, Known>>,
    count: usize,
    bytes: usize,
}

struct Known {
    looked: Instant,
    /// None where there is no file.
    schema: Option<Arc<Schema>>,
}

/// A schema, and the text that it was made of.
struct Schema {
    text: Vec<u8>,
    validator: Validator,
}

impl Remembered {
    fn get(&self, project: &Project, kind: &str) -> Option<&Known> {
        self.of.get(&project.path)?.get(kind)
    }

    /// Gives what is to be dropped, so that nobody waits for it.
    fn put(&mut self, project: &Project, kind: &str, known: Known) -> impl Sized + use<> {
        let size = |known: &Known| known.schema.as_ref().map_or(0, |schema| schema.text.len());
        let old = self.of.get_mut(&project.path).and_then(|of| of.remove(kind));
        if let Some(old) = &old {
            self.count -= 1;
            self.bytes -= size(old);
        }
        let full = self.count >= MOST || self.bytes + size(&known) > MOST_BYTES;
        let forgotten = full.then(|| std::mem::take(self));
        self.count += 1;
        self.bytes += size(&known);
        self.of.entry(project.path.clone()).or_default().insert(kind.to_owned(), known);
        (old, forgotten)
    }
}

/// The schemas of one call, each as it was when it was first asked for.
pub(crate) struct OfCall<'a> {
    schemas: &'a Schemas,
    project: &'a Project,
    asked: Vec<(CustomType, Option<Arc<Schema>>)>,
}

impl Schemas {
    pub(crate) fn of<'a>(&'a self, project: &'a Project) -> OfCall<'a> {
        OfCall { schemas: self, project, asked: Vec::new() }
    }

    fn find(&self, project: &Project, kind: &str) -> Reply<Option<Arc<Schema>>> {
        let now = Instant::now();
        let held = match self.lock().get(project, kind) {
            Some(known) if now.duration_since(known.looked) < FRESH => return Ok(known.schema.clone()),
            known => known.and_then(|known| known.schema.clone()),
        };
        let schema = match read(project, kind)? {
            None => None,
            Some(text) => match held {
                Some(held) if held.text == text => Some(held),
                _ => Some(Arc::new(compile(kind, text)?)),
            },
        };
        let known = Known { looked: now, schema: schema.clone() };
        let forgotten = self.lock().put(project, kind, known);
        drop(forgotten);
        Ok(schema)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl OfCall<'_> {
    /// Holds an event's data to the schema of its type, if the project has one.
    ///
    /// # Errors
    /// `bad_request` with the places that do not fit, or `conflict` if the schema is none. Then nothing was published.
    pub(crate) fn check(&mut self, kind: &CustomType, data: &Json) -> Reply<()> {
        let known = self.asked.iter().position(|(asked, _)| asked == kind);
        let at = match known {
            Some(at) => at,
            None => {
                self.asked.push((kind.clone(), self.schemas.find(self.project, kind.as_str())?));
                self.asked.len() - 1
            }
        };
        let Some(schema) = &self.asked[at].1 else { return Ok(()) };
        let data = data.to_value().map_err(|error| CallError::bad_request(format!("data: {error}")))?;
        hold(&schema.validator, kind, &data)
    }
}

fn name(kind: &str) -> String {
    format!("{FOLDER}/{kind}.json")
}

fn broken(kind: &str, why: &dyn std::fmt::Display) -> CallError {
    let name = name(kind);
    CallError::new(ErrorCode::Conflict, format!("the schema {name} cannot be used: {why}; nothing was published"))
        .hint("mend it, or remove it")
}

/// The file's bytes; none if there is none.
fn read(project: &Project, kind: &str) -> Reply<Option<Vec<u8>>> {
    let broken = |why: &dyn std::fmt::Display| broken(kind, why);
    let path = Path::new(&project.path).join(FOLDER).join(format!("{kind}.json"));
    let missing = |error: &std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    // First without following it: a link that leads nowhere is no schema that is not there.
    match std::fs::symlink_metadata(&path) {
        Ok(_) => {}
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(broken(&error)),
    }
    let about = match std::fs::metadata(&path) {
        Ok(about) => about,
        Err(error) if missing(&error) && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(broken(&error)),
    };
    if about.len() > LARGEST {
        return Err(broken(&format!("it has more than {LARGEST} bytes")));
    }
    // A link could lead to a file that is nobody's business, and errors would tell of it.
    let root = std::fs::canonicalize(&project.path).map_err(|error| broken(&error))?;
    if !std::fs::canonicalize(&path).is_ok_and(|real| real.starts_with(root)) {
        return Err(broken(&"it is not within the project's folder"));
    }
    std::fs::read(&path).map(Some).map_err(|error| broken(&error))
}

fn compile(kind: &str, text: Vec<u8>) -> Reply<Schema> {
    let broken = |why: &dyn std::fmt::Display| broken(kind, why);
    let schema: Value = serde_json::from_slice(&text).map_err(|error| broken(&error))?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| broken(&error))?;
    Ok(Schema { text, validator })
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
