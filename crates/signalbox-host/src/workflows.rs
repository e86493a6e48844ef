//! Workflow files of a project.

use std::path::{Path, PathBuf};

use signalbox_model::{EventData, NewEvent, Project, ProjectId, Room, WorkflowSaved};
use signalbox_store::Batch;
use signalbox_wire::{CallError, Caller, ErrorCode, method};
use signalbox_workflow::{Capabilities, Definition, Diagnostic, Diagnostics, Severity, load, parse};

use crate::{Host, files::within};

/// Where a project's workflows are, relative to its folder.
pub(crate) const FOLDER: &str = ".signalbox/workflows";
/// Largest workflow file, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// A workflow as it was read.
pub(crate) struct Workflow {
    pub(crate) name: String,
    /// Relative to the project folder; absent for a text that was handed over.
    pub(crate) file: Option<String>,
    pub(crate) text: String,
    pub(crate) definition: Option<Definition>,
    pub(crate) diagnostics: Diagnostics,
}

pub(crate) fn read_text(name: String, file: Option<String>, text: String, can: &Capabilities) -> Workflow {
    let (definition, diagnostics) = match load(&text, can) {
        Ok(loaded) => {
            let mut found = loaded.warnings;
            found.extend(broken_schemas(&loaded.definition));
            (Some(loaded.definition), found)
        }
        // What it says can be shown even if it may not run.
        Err(diagnostics) => (parse(&text).ok(), diagnostics),
    };
    Workflow { name, file, text, definition, diagnostics }
}

/// Schemas of answers that are none: else an agent would be told to mend what it cannot.
pub fn broken_schemas(definition: &Definition) -> Vec<Diagnostic> {
    let schemas = definition.steps.iter().filter_map(|(_, step)| {
        let outputs = step.outputs.as_ref()?;
        Some((outputs.position(), outputs.schema.as_ref()?))
    });
    schemas
        .filter_map(|(position, schema)| {
            let error = jsonschema::validator_for(schema).err()?;
            let message = format!("`schema` is no JSON Schema: {error}");
            Some(Diagnostic::error("bad-schema", position, message).hint("see json-schema.org, or leave it out"))
        })
        .collect()
}

/// Reads a workflow by name, or by its file within the project.
pub(crate) fn find(project: &Project, which: &str, can: &Capabilities) -> Result<Workflow, CallError> {
    let folder = Path::new(&project.path);
    let is_path = which.contains('/') || which.contains('\\') || has_yaml_ending(Path::new(which));
    let candidates: Vec<String> = if is_path {
        let relative = Path::new(which).strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or(which);
        vec![relative.to_owned()]
    } else {
        check_name(which)?;
        ["yaml", "yml"].map(|ending| format!("{FOLDER}/{which}.{ending}")).to_vec()
    };
    for file in candidates {
        let path = inside(folder, &file)?;
        let Some(path) = path else { continue };
        let text = read_file(&path)?;
        let name = path.file_stem().map_or_else(|| which.to_owned(), |stem| stem.to_string_lossy().into_owned());
        return Ok(read_text(name, Some(file), text, can));
    }
    let names: Vec<String> = list(folder, can).into_iter().map(|workflow| workflow.name).collect();
    Err(CallError::not_found("workflow", which).hint(match names.len() {
        0 => format!("`signalbox init` writes one into {FOLDER}"),
        1..=20 => format!("there are {}", names.join(", ")),
        more => format!("there are {more}, see `signalbox call workflow.list`"),
    }))
}

/// The path of a file that exists within a folder; an error if it leads out of it, also through a link.
fn inside(folder: &Path, file: &str) -> Result<Option<PathBuf>, CallError> {
    let outside = || CallError::bad_request(format!("{file} is not within the project folder"));
    let path = within(folder, file).ok_or_else(outside)?;
    let Ok(real) = std::fs::canonicalize(&path) else { return Ok(None) };
    let root = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    if real.starts_with(root) { Ok(Some(real)) } else { Err(outside()) }
}

fn read_file(path: &Path) -> Result<String, CallError> {
    let failed = |error: &dyn std::fmt::Display| {
        CallError::new(ErrorCode::NotFound, format!("{} cannot be read: {error}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > LARGEST {
        return Err(CallError::new(
            ErrorCode::LimitExceeded,
            format!("{} has {size} bytes, the limit is {LARGEST}", path.display()),
        ));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

fn has_yaml_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn check_name(name: &str) -> Result<(), CallError> {
    let ok = (1..=100).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '))
        && !name.starts_with('.');
    if ok {
        Ok(())
    } else {
        Err(CallError::bad_request(format!(
            "{name:?} is no name of a workflow: letters, digits, '-', '_', '.' and blanks, at most 100 bytes"
        )))
    }
}

/// Every workflow of the project in `folder`, by name, the broken ones as well.
pub(crate) fn list(folder: &Path, can: &Capabilities) -> Vec<Workflow> {
    let folder = folder.join(FOLDER);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut found: Vec<Workflow> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| has_yaml_ending(path) && path.is_file())
        .take(1000)
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            let file = format!("{FOLDER}/{}", path.file_name()?.to_str()?);
            Some(read_text(name, Some(file), read_file(&path).unwrap_or_default(), can))
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Writes a workflow. `base_hash` must be the hash of what is there; absent: nothing may be there.
pub(crate) fn save(
    project: &Project,
    name: &str,
    text: &str,
    base_hash: Option<&str>,
    can: &Capabilities,
) -> Result<Workflow, CallError> {
    check_name(name)?;
    let folder = Path::new(&project.path);
    let existing = match find(project, name, can) {
        Ok(workflow) => Some(workflow),
        Err(error) if error.code == ErrorCode::NotFound => None,
        Err(error) => return Err(error),
    };
    let found = existing.as_ref().map(|workflow| hash(&workflow.text));
    if found.as_deref() != base_hash {
        let message = match &found {
            Some(_) if base_hash.is_none() => format!("there is a workflow {name} already; nothing was written"),
            Some(_) => format!("the workflow {name} was changed by somebody else in the meantime; nothing was written"),
            None => format!("the workflow {name} was deleted in the meantime; nothing was written"),
        };
        let current = existing.map(|workflow| serde_json::json!({ "text": workflow.text, "hash": found }));
        let error =
            CallError::conflict(message).hint("compare the two texts, then save with the hash of the present one");
        return Err(match current {
            Some(details) => error.details(details),
            None => error,
        });
    }
    let file = existing.and_then(|workflow| workflow.file).unwrap_or_else(|| format!("{FOLDER}/{name}.yaml"));
    let path = within(folder, &file).ok_or_else(|| CallError::bad_request("not within the project folder"))?;
    let failed = |error: std::io::Error| {
        CallError::new(ErrorCode::Unavailable, format!("{file} cannot be written: {error}; nothing was changed"))
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    // Beside and renamed: a reader, or a crash, never meets half a file.
    let beside = path.with_extension("yaml.saving");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &path)).map_err(|error| {
        std::fs::remove_file(&beside).ok();
        failed(error)
    })?;
    find(project, name, can)
}

impl Host {
    /// Tells those who have the workflow open. The file is written already: it must not look as if it were not.
    pub(crate) async fn tell_saved(&self, caller: &Caller, project: ProjectId, workflow: String, hash: &str) {
        let room = Room::Project(project.clone());
        let data = EventData::WorkflowUpdated(WorkflowSaved { project, workflow, hash: hash.to_owned() });
        let event = NewEvent::new(room, caller.actor.clone(), data);
        if let Err(error) = self.inner.store.append(Batch::of(vec![event])).await {
            tracing::warn!(%error, "a workflow was saved, but those who have it open were not told");
        }
    }
}

pub(crate) fn hash(text: &str) -> String {
    signalbox_store::blob::hash(text.as_bytes())
}

impl Workflow {
    pub(crate) fn is_valid(&self) -> bool {
        self.definition.is_some() && !self.diagnostics.has_errors()
    }

    pub(crate) fn summary(&self) -> method::WorkflowSummary {
        let definition = self.definition.as_ref();
        method::WorkflowSummary {
            name: self.name.clone(),
            file: self.file.clone().unwrap_or_default(),
            description: definition.and_then(|definition| definition.description.clone()),
            valid: self.is_valid(),
            steps: definition.map_or(0, |definition| u32::try_from(definition.steps.len()).unwrap_or(u32::MAX)),
            inputs: definition.map(inputs).unwrap_or_default(),
            diagnostics: self.diagnostics.iter().map(diagnostic).collect(),
        }
    }

    pub(crate) fn reply(&self) -> method::WorkflowReply {
        method::WorkflowReply {
            workflow: self.summary(),
            hash: hash(&self.text),
            text: self.text.clone(),
            graph: self.definition.as_ref().map(graph).unwrap_or_default(),
        }
    }

    /// Why it cannot be run, with every finding.
    pub(crate) fn refusal(&self) -> CallError {
        let file = self.file.as_deref().unwrap_or(&self.name);
        let first = self.diagnostics.iter().find(|found| found.severity == Severity::Error);
        let message = match first {
            Some(found) => format!("{file}:{}: {}", found.line, found.message),
            None => format!("{file} is not a workflow"),
        };
        let details: Vec<method::Diagnostic> = self.diagnostics.iter().map(diagnostic).collect();
        let error = CallError::bad_request(message).details(serde_json::json!({ "diagnostics": details }));
        error.hint(
            first.and_then(|found| found.hint.clone()).unwrap_or_else(|| "`signalbox validate` shows where".into()),
        )
    }
}

fn diagnostic(found: &signalbox_workflow::Diagnostic) -> method::Diagnostic {
    method::Diagnostic {
        severity: match found.severity {
            Severity::Error => "error".into(),
            Severity::Warning => "warning".into(),
        },
        code: found.code.clone(),
        message: found.message.clone(),
        hint: found.hint.clone(),
        line: found.line,
        column: found.column,
    }
}

fn inputs(definition: &Definition) -> Vec<method::WorkflowInput> {
    let each = definition.inputs.iter().map(|(name, input)| method::WorkflowInput {
        name: name.to_string(),
        kind: format!("{:?}", *input.kind).to_lowercase(),
        required: input.required,
        multiline: input.multiline,
        values: input.values.clone(),
        default: input.default.as_deref().cloned(),
        description: input.description.clone(),
    });
    each.collect()
}

fn graph(definition: &Definition) -> Vec<method::GraphStep> {
    let each = definition.steps.iter().map(|(id, step)| method::GraphStep {
        id: id.to_string(),
        title: step.title.as_ref().map_or_else(|| id.to_string(), |title| title.as_str().to_owned()),
        kind: *step.kind,
        needs: step.needs.iter().map(|need| need.as_str().to_owned()).collect(),
        matrix: step.matrix.is_some(),
        line: id.position().line,
    });
    each.collect()
}
