//! Agents that can be started: those of the catalogue, and those of the settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use signalbox_agent::{Failure, rehearsal::STATE};
use signalbox_model::AgentErrorKind;
use signalbox_workflow::{Capabilities, definition::AgentMode};

use crate::{Host, Settings, settings::AgentSetting};

/// The id of the agent that a script plays.
pub(crate) const REHEARSAL: &str = "rehearsal";

pub(crate) struct Catalogue {
    custom: BTreeMap<String, AgentSetting>,
    /// Where the rehearsal agent keeps its sessions, so that they can be resumed.
    rehearsals: PathBuf,
}

/// How to start an agent.
pub(crate) struct Launch {
    pub(crate) name: String,
    pub(crate) rehearsal: bool,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) sign_in: Vec<String>,
    pub(crate) mode: Option<String>,
}

fn word(mode: AgentMode) -> &'static str {
    match mode {
        AgentMode::Plan => "plan",
        AgentMode::ReadOnly => "read_only",
        AgentMode::Work => "work",
    }
}

impl Catalogue {
    pub(crate) fn new(custom: BTreeMap<String, AgentSetting>, data_dir: &Path) -> Self {
        Self { custom, rehearsals: data_dir.join("rehearsals") }
    }

    /// Agents that can be named in a workflow.
    pub(crate) async fn installed(&self) -> BTreeSet<String> {
        self.custom.keys().cloned().chain([REHEARSAL.to_owned()]).collect()
    }

    /// How to start an agent in a mode. `env` is the step's environment.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub(crate) async fn launch(&self, id: &str, mode: AgentMode, env: &[(String, String)]) -> Result<Launch, Failure> {
        if let Some(custom) = self.custom.get(id) {
            let own = custom.env.iter().map(|(name, value)| (name.clone(), value.clone()));
            return Ok(Launch {
                name: custom.name.clone().unwrap_or_else(|| id.to_owned()),
                rehearsal: false,
                argv: custom.command.iter().map(OsString::from).collect(),
                // The step's own variables win.
                env: own.chain(env.iter().cloned()).collect(),
                sign_in: Vec::new(),
                mode: custom.modes.get(word(mode)).cloned(),
            });
        }
        if id == REHEARSAL {
            let argv = [program(), "agent".into(), REHEARSAL.into()];
            return Ok(Launch {
                name: "Rehearsal".to_owned(),
                rehearsal: true,
                argv: argv.to_vec(),
                env: env
                    .iter()
                    .cloned()
                    .chain([(STATE.to_owned(), self.rehearsals.to_string_lossy().into_owned())])
                    .collect(),
                sign_in: Vec::new(),
                mode: (mode != AgentMode::Work).then(|| "plan".to_owned()),
            });
        }
        let message = format!("there is no agent {id:?}: `signalbox agent list` shows which there are");
        Err(Failure { kind: AgentErrorKind::Missing, message, detail: None, resets_at: None })
    }
}

/// This program, which plays the rehearsal agent as well. Another one may be named: a program that holds the host within it
/// may have no such command.
fn program() -> OsString {
    std::env::var_os("SIGNALBOX_PROGRAM")
        .or_else(|| std::env::current_exe().ok().map(Into::into))
        .unwrap_or_else(|| "signalbox".into())
}

impl Host {
    /// What this host is able to run.
    pub(crate) async fn capabilities(&self) -> Capabilities {
        Capabilities::with_agents(self.inner.services.catalogue.installed().await)
    }
}

/// What a host with these settings would be able to run on this machine.
pub async fn capabilities(settings: &Settings) -> Capabilities {
    Capabilities::with_agents(Catalogue::new(settings.agents.clone(), Path::new("")).installed().await)
}
