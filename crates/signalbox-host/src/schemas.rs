//! Schemas of other programs' events: `.signalbox/schemas/<type>.json` in the project.

use std::{collections::HashMap, path::Path};

use serde_json::Value;
use signalbox_model::{CustomType, Project};
use signalbox_wire::{CallError, ErrorCode};

use crate::{files::within, handlers::Reply};

/// Where they are, relative to the project's folder.
const FOLDER: &str = ".signalbox/schemas";
/// Largest schema, in bytes.
const LARGEST: u64 = 256 * 1024;
/// What is told of data that does not fit, at most.
const TOLD: usize = 10;

/// The schemas of a project, as they are while one call is looked at.
pub(crate) struct Schemas<'a> {
    project: &'a Project,
    /// Those that were looked for; none where there is no file.
    known: HashMap<String, Option<jsonschema::Validator>>,
}

impl<'a> Schemas<'a> {
    pub(crate) fn of(project: &'a Project) -> Self {
        Self { project, known: HashMap::new() }
    }

    /// Holds an event's data to the schema of its type, if the project has one.
    ///
    /// # Errors
    /// `bad_request` with the places that do not fit, or `conflict` if the schema is none. Then nothing was published.
    pub(crate) fn check(&mut self, kind: &CustomType, data: &Value) -> Reply<()> {
        if !self.known.contains_key(kind.as_str()) {
            self.known.insert(kind.as_str().to_owned(), read(self.project, kind)?);
        }
        match self.known.get(kind.as_str()) {
            Some(Some(validator)) => hold(validator, kind, data),
            _ => Ok(()),
        }
    }
}

fn name(kind: &CustomType) -> String {
    format!("{FOLDER}/{}.json", kind.as_str())
}

fn read(project: &Project, kind: &CustomType) -> Reply<Option<jsonschema::Validator>> {
    let name = name(kind);
    let Some(path) = within(Path::new(&project.path), &name) else { return Ok(None) };
    let Ok(about) = std::fs::metadata(&path) else { return Ok(None) };
    let broken = |why: &dyn std::fmt::Display| {
        CallError::new(ErrorCode::Conflict, format!("the schema {name} cannot be used: {why}; nothing was published"))
            .hint("mend it, or remove it")
    };
    if about.len() > LARGEST {
        return Err(broken(&format!("it has more than {LARGEST} bytes")));
    }
    // A link could lead to a file that is nobody's business, and errors would tell of it.
    let root = std::fs::canonicalize(&project.path).map_err(|error| broken(&error))?;
    if !std::fs::canonicalize(&path).is_ok_and(|real| real.starts_with(root)) {
        return Err(broken(&"it is not within the project's folder"));
    }
    let text = std::fs::read(&path).map_err(|error| broken(&error))?;
    let schema: Value = serde_json::from_slice(&text).map_err(|error| broken(&error))?;
    jsonschema::validator_for(&schema).map(Some).map_err(|error| broken(&error))
}

fn hold(validator: &jsonschema::Validator, kind: &CustomType, data: &Value) -> Reply<()> {
    let name = name(kind);
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
        "{place} does not fit {name}: {}; nothing was published",
        first["message"].as_str().unwrap_or_default()
    );
    Err(CallError::bad_request(text).details(serde_json::json!({ "problems": problems })))
}
