//! Projects: folders that were opened.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard},
};

use signalbox_model::{EventData, NewEvent, Project, ProjectId, Room};
use signalbox_wire::{CallError, Caller, ErrorCode, method};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::{Host, host::store_error, ids};

/// Projects as they were read last: almost every call asks for one.
#[derive(Debug, Default)]
pub(crate) struct Known {
    projects: HashMap<ProjectId, Arc<Project>>,
    /// How often a project was changed: what was read before a change is not kept after it.
    changes: u64,
}

/// Forgets a project when it is dropped: also when whoever changes it is not there any more to hear of it.
struct Changing<'a>(&'a Host, ProjectId);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut known = self.0.known_projects();
        known.changes += 1;
        known.projects.remove(&self.1);
    }
}

impl Host {
    fn known_projects(&self) -> MutexGuard<'_, Known> {
        self.inner.projects.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Opens a folder as a project, or gives the project that it already is.
    pub(crate) async fn open_project(
        &self,
        caller: &Caller,
        path: &str,
        trust: Option<bool>,
    ) -> Result<Project, CallError> {
        let folder = canonical(path)?;
        let text = folder.to_str().ok_or_else(|| CallError::bad_request("the folder's path is not UTF-8"))?.to_owned();
        let known = self.inner.store.read(|reader| reader.projects()).map_err(store_error)?;
        if let Some(project) = known.iter().find(|project| project.path == text) {
            let trusted = trust.unwrap_or(project.trusted);
            if project.open && project.trusted == trusted {
                return Ok(project.clone());
            }
            return self.put_project(caller, Project { open: true, trusted, ..project.clone() }).await;
        }
        let name = folder.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
        let id = free_id(&name, &known);
        let project = Project {
            id,
            name,
            path: text,
            trusted: trust.unwrap_or(false),
            open: true,
            opened_at: self.inner.clock.now(),
        };
        self.put_project(caller, project).await
    }

    pub(crate) async fn put_project(&self, caller: &Caller, project: Project) -> Result<Project, CallError> {
        let _changing = Changing(self, project.id.clone());
        let event = NewEvent::new(Room::Host, caller.actor.clone(), EventData::ProjectUpdated(project.clone()));
        self.publish(event).await.map_err(store_error)?;
        Ok(project)
    }

    /// A project that the caller may see.
    pub(crate) fn project(&self, caller: &Caller, id: &ProjectId) -> Result<Arc<Project>, CallError> {
        caller.check_project(id)?;
        let changes = {
            let known = self.known_projects();
            if let Some(project) = known.projects.get(id) {
                return Ok(Arc::clone(project));
            }
            known.changes
        };
        let found = self.inner.store.read(|reader| reader.project(id)).map_err(store_error)?;
        let project = Arc::new(found.ok_or_else(|| CallError::not_found("project", id))?);
        let mut known = self.known_projects();
        if known.changes == changes {
            known.projects.insert(id.clone(), Arc::clone(&project));
        }
        Ok(project)
    }

    /// A project that is open and whose folder is there.
    pub(crate) fn present_project(&self, caller: &Caller, id: &ProjectId) -> Result<Arc<Project>, CallError> {
        let project = self.project(caller, id)?;
        if !Path::new(&project.path).is_dir() {
            return Err(CallError::new(
                ErrorCode::NotFound,
                format!("the folder {} of this project is not there", project.path),
            )
            .hint("bring it back, or open the project where it is now; its runs are kept"));
        }
        if !project.open {
            return Err(CallError::conflict(format!("the project {id} is closed")).hint("open it with project.open"));
        }
        Ok(project)
    }

    pub(crate) fn project_reply(project: Project) -> method::ProjectReply {
        method::ProjectReply { project }
    }
}

fn canonical(path: &str) -> Result<PathBuf, CallError> {
    if !Path::new(path).is_absolute() {
        return Err(CallError::bad_request(format!("{path:?} is not an absolute path")));
    }
    let folder = std::fs::canonicalize(path)
        .map_err(|error| CallError::new(ErrorCode::NotFound, format!("the folder {path} cannot be opened: {error}")))?;
    if !folder.is_dir() {
        return Err(CallError::bad_request(format!("{path} is not a folder")));
    }
    Ok(folder)
}

/// An id made from the folder's name that no other project has.
fn free_id(name: &str, known: &[Project]) -> ProjectId {
    let mut slug = String::new();
    // "é" is "e" and a mark: without it the name is still the name.
    let plain: String = name.nfkd().filter(|letter| !is_combining_mark(*letter)).collect();
    for letter in plain.to_lowercase().replace('ß', "ss").chars().take(50) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches('-');
    let base = if slug.is_empty() { "project" } else { slug };
    let candidates = std::iter::once(base.to_owned()).chain((2..1000).map(|n| format!("{base}-{n}")));
    candidates
        .filter_map(|text| ProjectId::new(text).ok())
        .find(|id| known.iter().all(|project| project.id != *id))
        .or_else(|| ProjectId::new(format!("project-{}", ids::token(12))).ok())
        .unwrap_or_else(|| unreachable!("random letters are an id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_as_much_of_the_name_as_an_id_may_hold() {
        let id = |name: &str| free_id(name, &[]).to_string();
        assert_eq!(id("Über die Straße"), "uber-die-strasse");
        assert_eq!(id("café №5"), "cafe-no5");
        assert_eq!(id("--a__b--"), "a-b");
        assert_eq!(id("日本"), "project");
    }
}
