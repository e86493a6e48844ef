//! From a step's script as it is written to one that can be run.
//!
//! In two stages: a [`Draft`] is made by the engine's loop, which knows the run; it is completed by the step's own task,
//! because the keychain may ask a person and hashing files takes time, and the engine waits for neither.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use indexmap::IndexMap;
use signalbox_workflow::{
    script::Script as Source,
    template::{Piece, Template},
};

use crate::{
    expressions::View,
    files::{hash_files, within},
    secrets,
};

/// A script that is ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) argv: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    /// The values of secrets in `env`.
    pub(crate) secrets: Vec<String>,
}

/// A script whose secrets and hashes of files are still missing.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    argv: Vec<String>,
    folder: PathBuf,
    dir: PathBuf,
    env: Vec<(String, Vec<Piece>)>,
}

/// How a step's scripts are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) shell: Option<&'a [String]>,
    pub(crate) dir: Option<&'a str>,
    pub(crate) env: &'a IndexMap<String, String>,
}

impl Setting<'_> {
    /// The folder in which the step works.
    ///
    /// # Errors
    /// If it is not within the project.
    pub(crate) fn folder(&self, view: &View<'_>) -> Result<PathBuf, String> {
        let project = PathBuf::from(&view.plan.project.path);
        let Some(dir) = self.dir else { return Ok(project) };
        let dir = view.text(dir);
        within(&project, &dir).ok_or_else(|| format!("the folder {dir} is not within the project"))
    }
}

/// The system's shell, looked up once: else each process looks for it in every folder of `PATH` before it begins.
fn shell() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|f| f.join("sh"));
        let found = places.find(|place| place.is_file()).and_then(|place| place.into_os_string().into_string().ok());
        found.unwrap_or_else(|| "sh".into())
    })
}

impl Draft {
    /// # Errors
    /// If the step's folder is not within the project.
    pub(crate) fn new(view: &View<'_>, source: &Source, setting: Setting<'_>) -> Result<Self, String> {
        let run = view.run.run();
        let key = view.run.step(view.step).map(|step| step.key.to_string()).unwrap_or_default();
        let text = |text: String| vec![Piece::Text(text)];
        let mut env = vec![
            ("SIGNALBOX".to_owned(), text("1".to_owned())),
            ("SIGNALBOX_RUN".to_owned(), text(run.id.to_string())),
            ("SIGNALBOX_RUN_NUMBER".to_owned(), text(run.number.to_string())),
            ("SIGNALBOX_PROJECT".to_owned(), text(run.project.to_string())),
            ("SIGNALBOX_STEP_KEY".to_owned(), text(key)),
        ];
        let pieces = |template: &str, view: &View<'_>| {
            Template::parse(template).map(|template| template.pieces(view)).map_err(|error| error.to_string())
        };
        for (name, text) in view.plan.env.iter().chain(setting.env) {
            env.push((name.clone(), pieces(text, view)?));
        }
        // The step's own variables may speak of the workflow's; its script may speak of both.
        let inner = View { env: Some(setting.env), ..*view };
        for variable in &source.variables {
            // As it is, so that a secret in it is not lost on the way.
            let named = variable.expr.trim().strip_prefix("env.");
            let known = named.and_then(|name| env.iter().rev().find(|(known, _)| known == name));
            let value = match known {
                Some((_, pieces)) => pieces.clone(),
                None => pieces(&format!("${{{{ {} }}}}", variable.expr), &inner)?,
            };
            env.push((variable.name.clone(), value));
        }
        let mut argv: Vec<String> = match setting.shell {
            Some(shell) if !shell.is_empty() => shell.to_vec(),
            _ if cfg!(windows) => vec!["cmd".into(), "/C".into()],
            _ => vec![shell().to_owned(), "-e".into(), "-c".into()],
        };
        argv.push(source.text.clone());
        Ok(Self { argv, folder: PathBuf::from(&view.plan.project.path), dir: setting.folder(view)?, env })
    }

    /// The same script in a worktree of the project.
    pub(crate) fn moved_to(mut self, folder: &Path) -> Self {
        let within = self.dir.strip_prefix(&self.folder).map(Path::to_owned).unwrap_or_default();
        // Joined with nothing, a path would end with a separator.
        self.dir = if within.as_os_str().is_empty() { folder.to_owned() } else { folder.join(within) };
        self
    }

    /// Fetches the secrets and hashes the files.
    ///
    /// # Errors
    /// Which secret is missing, and what to do.
    pub(crate) async fn complete(self) -> Result<Script, String> {
        let Self { argv, folder, dir, env: drafted } = self;
        let mut env = Vec::with_capacity(drafted.len() + 1);
        let mut secrets = Vec::new();
        for (name, pieces) in drafted {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(part) => text.push_str(&part),
                    Piece::Secret(name) => {
                        let value = secrets::value(&folder.to_string_lossy(), &name).await?;
                        text.push_str(&value);
                        secrets.push(value);
                    }
                    Piece::HashFiles(patterns) => {
                        let folder = folder.clone();
                        let hash = tokio::task::spawn_blocking(move || hash_files(&folder, &patterns)).await;
                        text.push_str(&hash.ok().flatten().unwrap_or_default());
                    }
                }
            }
            env.push((name, text));
        }
        Ok(Script { argv, dir, env, secrets })
    }
}
