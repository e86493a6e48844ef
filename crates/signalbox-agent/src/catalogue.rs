//! The agents that are known, and those that somebody adds: how each is started, installed and signed in, and what of it is
//! there on this machine.
//!
//! The list itself costs nothing; [`detect`] looks at files and runs at most two programs with a deadline.

mod detect;
mod known;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use serde::Deserialize;

use crate::{Config, Offers};

pub use detect::{Found, Search, SignIn, detect};

/// What an agent may do, whatever it calls that itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Makes a plan and changes nothing.
    Plan,
    /// Reads and judges, and changes nothing.
    ReadOnly,
    /// Works, and asks before what matters.
    Work,
}

/// The agent's ids of its modes; none: it has no such mode.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modes {
    /// For [`Mode::Plan`].
    #[serde(default)]
    pub plan: Option<String>,
    /// For [`Mode::ReadOnly`].
    #[serde(default)]
    pub read_only: Option<String>,
    /// For [`Mode::Work`].
    #[serde(default)]
    pub work: Option<String>,
}

/// The oldest Node.js that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Major and minor version.
    pub at_least: (u32, u32),
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Names it in workflows and settings.
    pub id: String,
    /// What is shown.
    pub name: String,
    /// Under which terms it is used.
    pub licence: String,
    /// How it is started so that it speaks the protocol: the first whose program is there.
    pub commands: Vec<Vec<String>>,
    /// How to install it, for a person.
    pub install: String,
    /// How to sign in, for a person.
    pub sign_in: String,
    /// Arguments with which its program says its version; none: it is not asked.
    pub version: Option<Vec<String>>,
    /// What it needs if its program is a script for Node.js.
    pub node: Option<Node>,
    /// Its modes.
    pub modes: Modes,
    /// Set for it: what keeps it from sending statistics or updating itself in the middle of a run.
    pub env: Vec<(String, String)>,
    /// Variables that sign it in: their name, and the agent's way to sign in that uses them, if it has to be told.
    pub keys: Vec<(String, Option<String>)>,
    /// Files in the home folder that are there once somebody signed in.
    pub signed_in: Vec<String>,
    /// A script plays it: it needs no sign-in.
    pub rehearsal: bool,
    /// Somebody added it in the settings.
    pub custom: bool,
    /// What it may have us do for it.
    pub offers: Offers,
}

/// An agent in the settings, as `[agents.<id>]`. One of a known agent changes only what it names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// The known agent that it is, under another id: for a second account of it.
    #[serde(default)]
    pub like: Option<String>,
    /// What is shown.
    #[serde(default)]
    pub name: Option<String>,
    /// The program and its arguments. It speaks the Agent Client Protocol over its standard input and output.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Set for it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its ids of its modes.
    #[serde(default)]
    pub modes: Option<Modes>,
    /// Whether it may read and write the files of its folder through us, where the step allows both without asking.
    #[serde(default)]
    pub files: Option<bool>,
    /// Whether it may run commands through us, where the step allows that without asking.
    #[serde(default)]
    pub terminals: Option<bool>,
    /// Arguments with which its program says its version.
    #[serde(default)]
    pub version: Option<Vec<String>>,
    /// How to install it, for a person.
    #[serde(default)]
    pub install: Option<String>,
    /// How to sign in, for a person.
    #[serde(default)]
    pub sign_in: Option<String>,
}

/// Why an agent in the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    /// It is not known, and has no command.
    #[error("agents.{0}.command is missing: give the program and its arguments, e.g. [\"my-agent\", \"--acp\"]")]
    NoCommand(String),
    /// What it should be like is not known.
    #[error("agents.{id}.like is {like:?}, which is no known agent: known are {known}")]
    Like {
        /// The agent.
        id: String,
        /// What it names.
        like: String,
        /// What it could name.
        known: String,
    },
    /// Its id cannot be used.
    #[error("agents.{0}: an agent's id has only small letters, digits and '-', and begins with a letter")]
    Id(String),
}

/// All agents that are known, the rehearsal agent last.
#[must_use]
pub fn known() -> Vec<Entry> {
    known::entries()
}

/// The known agents with those of the settings.
///
/// # Errors
/// The first of the settings that cannot be used.
pub fn with_custom(customs: &BTreeMap<String, Custom>) -> Result<Vec<Entry>, CustomError> {
    let mut entries = known();
    for (id, custom) in customs {
        let plain = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !plain || !id.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            return Err(CustomError::Id(id.clone()));
        }
        if custom.command.as_ref().is_some_and(Vec::is_empty) {
            return Err(CustomError::NoCommand(id.clone()));
        }
        match entries.iter_mut().find(|entry| entry.id == *id) {
            Some(entry) => entry.change(custom),
            None => {
                let mut entry = match (&custom.like, &custom.command) {
                    (Some(like), _) => Entry::alike(id, like)?,
                    (None, Some(command)) => Entry::added(id, command.clone()),
                    (None, None) => return Err(CustomError::NoCommand(id.clone())),
                };
                entry.change(custom);
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

impl Entry {
    fn added(id: &str, command: Vec<String>) -> Self {
        let install = format!("install {} as its makers say", command[0]);
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            licence: "as its makers say".to_owned(),
            commands: vec![command],
            install,
            sign_in: "as its makers say".to_owned(),
            version: None,
            node: None,
            modes: Modes::default(),
            env: Vec::new(),
            keys: Vec::new(),
            signed_in: Vec::new(),
            rehearsal: false,
            custom: true,
            offers: Offers::default(),
        }
    }

    /// A known agent under another id.
    fn alike(id: &str, like: &str) -> Result<Self, CustomError> {
        let known = known();
        let Some(entry) = known.iter().find(|entry| entry.id == like) else {
            let known: Vec<&str> = known.iter().map(|entry| entry.id.as_str()).collect();
            return Err(CustomError::Like { id: id.to_owned(), like: like.to_owned(), known: known.join(", ") });
        };
        let name = format!("{} ({id})", entry.name);
        Ok(Self { id: id.to_owned(), name, custom: true, ..entry.clone() })
    }

    fn change(&mut self, custom: &Custom) {
        let Custom { like: _, name, command, env, modes, files, terminals, version, install, sign_in } = custom.clone();
        self.name = name.unwrap_or_else(|| self.name.clone());
        if let Some(command) = command {
            self.commands = vec![command];
            self.custom = true;
        }
        for (name, value) in env {
            self.env.retain(|(known, _)| *known != name);
            self.env.push((name, value));
        }
        self.modes = modes.unwrap_or_else(|| self.modes.clone());
        let files = files.unwrap_or(self.offers.read);
        self.offers = Offers { read: files, write: files, terminals: terminals.unwrap_or(self.offers.terminals) };
        self.version = version.or_else(|| self.version.take());
        self.install = install.unwrap_or_else(|| self.install.clone());
        self.sign_in = sign_in.unwrap_or_else(|| self.sign_in.clone());
    }

    /// The agent's own id of a mode; none if it has no such mode.
    #[must_use]
    pub fn mode(&self, mode: Mode) -> Option<&str> {
        match mode {
            Mode::Plan => self.modes.plan.as_deref(),
            Mode::ReadOnly => self.modes.read_only.as_deref(),
            Mode::Work => self.modes.work.as_deref(),
        }
    }

    /// What to start, as it was found; everything else is as usual, and may be changed.
    #[must_use]
    pub fn config(&self, found: &Found, folder: PathBuf, marker: &str) -> Config {
        let argv: Vec<OsString> = found.argv.clone();
        let mut config = Config::new(self.name.clone(), argv, folder, marker);
        config.env.clone_from(&self.env);
        config.sign_in.clone_from(&found.ways);
        config.offers = self.offers;
        config
    }
}
