//! Agents that can be started: those of the catalogue, and those of the settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use signalbox_agent::{
    Config, Failure, Offers, Session,
    catalogue::{self, Custom, Entry, Found, Mode, Search, SignIn},
    rehearsal::STATE,
};
use signalbox_model::AgentErrorKind;
use signalbox_wire::{
    CallError, ErrorCode,
    method::{AgentInfo, AgentTested, Agents},
};
use signalbox_workflow::{Capabilities, definition::AgentMode};
use tokio::{sync::Mutex, time::Instant};

use crate::{Host, Settings, ids};

/// How long what was found is good: programs are not installed by the second.
const FRESH: Duration = Duration::from_secs(60);

/// The agents that this host knows.
pub(crate) struct Catalogue {
    entries: Vec<Entry>,
    /// Where the rehearsal agent keeps its sessions, so that they can be resumed.
    rehearsals: PathBuf,
    /// What there is, with versions.
    found: Mutex<Looked<Found>>,
    /// Which can be started, for what waits for it: to ask each agent for its version takes as long as the slowest one.
    startable: Mutex<Looked<bool>>,
}

/// What was found when somebody began to look, in the order of the entries.
type Looked<T> = Option<(Instant, Vec<T>)>;

fn fresh<T>(looked: &Looked<T>) -> Option<&Vec<T>> {
    looked.as_ref().filter(|(when, _)| when.elapsed() < FRESH).map(|(_, found)| found)
}

/// How to start an agent.
pub(crate) struct Launch {
    pub(crate) name: String,
    pub(crate) rehearsal: bool,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) sign_in: Vec<String>,
    pub(crate) mode: Option<String>,
    pub(crate) offers: Offers,
}

fn mode(mode: AgentMode) -> Mode {
    match mode {
        AgentMode::Plan => Mode::Plan,
        AgentMode::ReadOnly => Mode::ReadOnly,
        AgentMode::Work => Mode::Work,
    }
}

/// This machine, as a step with this environment would see it.
fn search(env: &[(String, String)]) -> Search {
    let mut search = Search { own: program(), ..Search::here() };
    search.env.extend(env.iter().cloned());
    if let Some(path) = search.env.get("PATH") {
        search.path = path.into();
    }
    search
}

/// This program, which plays the rehearsal agent as well. Another one may be named.
fn program() -> Option<PathBuf> {
    std::env::var_os("SIGNALBOX_PROGRAM").map(Into::into).or_else(|| std::env::current_exe().ok())
}

impl Catalogue {
    /// # Errors
    /// The agent of the settings that cannot be used.
    pub(crate) fn new(custom: &BTreeMap<String, Custom>, data_dir: &Path) -> Result<Self, catalogue::CustomError> {
        let entries = catalogue::with_custom(custom)?;
        Ok(Self {
            entries,
            rehearsals: data_dir.join("rehearsals"),
            found: Mutex::default(),
            startable: Mutex::default(),
        })
    }

    fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// What is there of each, with its version, in the order of the entries.
    async fn look(&self, anew: bool) -> Vec<Found> {
        let mut known = self.found.lock().await;
        if let Some(found) = fresh(&known).filter(|_| !anew) {
            return found.clone();
        }
        let (when, found) = detect_all(&self.entries).await;
        *known = Some((when, found.clone()));
        let mut startable = self.startable.lock().await;
        if startable.as_ref().is_none_or(|(other, _)| *other < when) {
            *startable = Some((when, found.iter().map(can_start).collect()));
        }
        found
    }

    /// Which of them can be started, in the order of the entries. Node.js is asked for its version if there is an agent that needs it.
    async fn startable(&self) -> Vec<bool> {
        let mut known = self.startable.lock().await;
        if let Some(startable) = fresh(&known) {
            return startable.clone();
        }
        let quick: Vec<Entry> = self.entries.iter().map(without_version).collect();
        let (when, found) = detect_all(&quick).await;
        let startable: Vec<bool> = found.iter().map(can_start).collect();
        *known = Some((when, startable.clone()));
        startable
    }

    /// What workflows may name, and which of that can be started.
    pub(crate) async fn capabilities(&self) -> Capabilities {
        let startable = self.startable().await;
        let installed: BTreeSet<String> = (self.entries.iter().zip(startable))
            .filter(|(_, startable)| *startable)
            .map(|(entry, _)| entry.id.clone())
            .collect();
        let known = self.entries.iter().map(|entry| entry.id.clone()).collect();
        Capabilities { known_agents: known, ..Capabilities::with_agents(installed) }
    }

    pub(crate) async fn list(&self, anew: bool) -> Agents {
        let found = self.look(anew).await;
        let mut agents: Vec<AgentInfo> =
            self.entries.iter().zip(found).map(|(entry, found)| info(entry, found)).collect();
        agents.sort_by_key(|agent| (!agent.installed, agent.name.to_lowercase()));
        Agents { agents }
    }

    /// How to start an agent in a mode. `env` is the step's environment.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub(crate) async fn launch(
        &self,
        id: &str,
        wanted: AgentMode,
        env: &[(String, String)],
    ) -> Result<Launch, Failure> {
        let missing =
            |message: String| Failure { kind: AgentErrorKind::Missing, message, detail: None, resets_at: None };
        let entry = self.entry(id);
        let entry = entry.ok_or_else(|| {
            missing(format!("there is no agent {id:?}: `signalbox agent list` shows which there are"))
        })?;
        let found = catalogue::detect(&without_version(entry), &search(env)).await;
        if let Some(why) = found.missing {
            return Err(missing(why));
        }
        // The step's own variables win over those that keep an agent quiet.
        let mut all = entry.env.clone();
        all.extend(env.iter().cloned());
        if entry.rehearsal {
            all.push((STATE.to_owned(), self.rehearsals.to_string_lossy().into_owned()));
        }
        Ok(Launch {
            name: entry.name.clone(),
            rehearsal: entry.rehearsal,
            argv: found.argv,
            env: all,
            sign_in: found.ways,
            mode: entry.mode(mode(wanted)).map(str::to_owned),
            offers: entry.offers,
        })
    }
}

/// What is there of each, and when the look at them began.
async fn detect_all(entries: &[Entry]) -> (Instant, Vec<Found>) {
    let (when, search) = (Instant::now(), search(&[]));
    (when, join_all(entries.iter().map(|entry| catalogue::detect(entry, &search))).await)
}

fn can_start(found: &Found) -> bool {
    found.missing.is_none()
}

/// An agent whose version is not asked for: that is for people to read.
fn without_version(entry: &Entry) -> Entry {
    Entry { version: None, ..entry.clone() }
}

fn info(entry: &Entry, found: Found) -> AgentInfo {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    AgentInfo {
        id: entry.id.clone(),
        name: entry.name.clone(),
        rehearsal: entry.rehearsal,
        custom: entry.custom,
        installed: found.missing.is_none(),
        program: found.program.map(|program| program.to_string_lossy().into_owned()),
        version: found.version,
        missing: found.missing,
        sign_in: match found.sign_in {
            SignIn::NotNeeded => None,
            SignIn::Found(how) => Some(format!("signed in: {how}")),
            SignIn::NotFound => Some(format!("no sign of a sign-in: {}", entry.sign_in)),
            SignIn::Unknown => Some(format!("whether it is signed in cannot be told: {}", entry.sign_in)),
        },
        install: some(&entry.install),
        licence: some(&entry.licence),
    }
}

impl Host {
    /// What this host is able to run.
    pub(crate) async fn capabilities(&self) -> Capabilities {
        self.inner.services.catalogue.capabilities().await
    }

    pub(crate) async fn list_agents(&self, anew: bool) -> Agents {
        self.inner.services.catalogue.list(anew).await
    }

    /// Starts an agent in an empty folder, asks it who it is, and ends it.
    pub(crate) async fn test_agent(&self, id: &str) -> Result<AgentTested, CallError> {
        let catalogue = &self.inner.services.catalogue;
        if catalogue.entry(id).is_none() {
            return Err(CallError::not_found("agent", id));
        }
        let began = Instant::now();
        let failed = |failure: Failure| AgentTested {
            ok: false,
            message: match failure.detail {
                Some(detail) => format!("{}\n{detail}", failure.message),
                None => failure.message,
            },
            took_ms: millis(began),
        };
        let launch = match catalogue.launch(id, AgentMode::Work, &[]).await {
            Ok(launch) => launch,
            Err(failure) => return Ok(failed(failure)),
        };
        let folder = std::env::temp_dir().join(format!("signalbox-test-{}", ids::token(12)));
        std::fs::create_dir_all(&folder).map_err(|error| {
            CallError::new(ErrorCode::Unavailable, format!("{} cannot be made: {error}", folder.display()))
        })?;
        let marker = format!("signalbox-test/{}", ids::token(12));
        let mut config = Config::new(launch.name.clone(), launch.argv, folder.clone(), marker);
        config.env = launch.env;
        config.sign_in = launch.sign_in;
        let (sender, mut updates) = tokio::sync::mpsc::channel(64);
        // What it tells must be read, or it waits for ever.
        let reader = tokio::spawn(async move { while updates.recv().await.is_some() {} });
        let tested = match Session::start(config, sender).await {
            Err(failure) => failed(failure),
            Ok(session) => {
                let info = session.info();
                let name = info.name.unwrap_or(launch.name);
                let version = info.version.map(|version| format!(" {version}")).unwrap_or_default();
                let tested =
                    AgentTested { ok: true, message: format!("{name}{version} answers"), took_ms: millis(began) };
                session.close().await;
                tested
            }
        };
        reader.abort();
        std::fs::remove_dir_all(&folder).ok();
        Ok(tested)
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What a host with these settings would be able to run on this machine.
pub async fn capabilities(settings: &Settings) -> Capabilities {
    match Catalogue::new(&settings.agents, Path::new("")) {
        Ok(catalogue) => catalogue.capabilities().await,
        Err(_) => Capabilities::with_agents(BTreeSet::new()),
    }
}

/// The agents of a machine with these settings.
///
/// # Errors
/// The agent of the settings that cannot be used.
pub async fn agents(settings: &Settings) -> Result<Agents, catalogue::CustomError> {
    Ok(Catalogue::new(&settings.agents, Path::new(""))?.list(true).await)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_versions_to_know_what_can_be_started() {
        let dir = tempfile::tempdir().unwrap();
        let (program, asked) = (dir.path().join("agent"), dir.path().join("asked"));
        fs::write(&program, format!("#!/bin/sh\ntouch {}\necho 7.1\n", asked.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let custom = Custom {
            command: Some(words(&[program.to_str().unwrap()])),
            version: Some(words(&["--version"])),
            ..Custom::default()
        };
        let catalogue = Catalogue::new(&BTreeMap::from([("mine".to_owned(), custom)]), dir.path()).unwrap();
        assert!(catalogue.capabilities().await.agents.contains("mine"));
        assert!(!asked.exists());
        let listed = catalogue.list(false).await.agents;
        assert_eq!(listed.iter().find(|agent| agent.id == "mine").unwrap().version.as_deref(), Some("7.1"));
        // What a list that looks anew does not find cannot be started from then on.
        fs::remove_file(&program).unwrap();
        catalogue.list(true).await;
        assert!(!catalogue.capabilities().await.agents.contains("mine"));
    }
}
