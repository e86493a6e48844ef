//! From a started process to a session that is set as it should be.

use std::time::Duration;

use serde_json::Value;
use signalbox_model::{AgentChoice, AgentErrorKind};
use signalbox_process::SpawnError;

use super::{
    Config,
    link::Link,
    messages::{self, Request, VERSION},
};
use crate::failure::{Failure, Refusal};

/// After a session was loaded some tell its past after their answer: silence of this length ends that.
const PAUSE: Duration = Duration::from_millis(300);
/// The longest wait for it.
const PAST: Duration = Duration::from_secs(5);
/// JSON-RPC 2.0, section 5.1.
const METHOD_NOT_FOUND: i64 = -32601;

/// Which requests an agent takes for its mode and its model: newer ones have both among their settings.
#[derive(Debug, Clone, Default)]
pub(super) struct SetBy {
    modes: bool,
    models: bool,
}

pub(super) struct Opened {
    pub(super) session: String,
    /// It wants to be told when a session is over.
    pub(super) closes: bool,
    pub(super) set_by: SetBy,
}

/// What can be known to fail before anything is started.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    if config.argv.is_empty() {
        let message = format!("{} has no command: give it one in the settings", config.agent);
        return Err(Failure::new(AgentErrorKind::Missing, message));
    }
    Ok(())
}

pub(super) fn not_started(config: &Config, error: &SpawnError) -> Failure {
    let agent = &config.agent;
    let message = match error {
        SpawnError::Folder(folder) => {
            format!("{agent} could not be started: the folder {} does not exist or cannot be entered", folder.display())
        }
        SpawnError::System { program, source } if source.kind() == std::io::ErrorKind::NotFound => {
            format!("{agent} is not installed: there is no program {program}")
        }
        SpawnError::System { .. } => format!("{agent} could not be started"),
    };
    let detail = Some(config.masker.mask(&error.to_string()));
    Failure { detail, ..Failure::new(AgentErrorKind::Missing, message) }
}

/// `initialize`, a session, and its settings.
pub(super) async fn open(link: &Link, config: &Config) -> Result<Opened, Failure> {
    let first =
        link.request(&messages::initialize(config.offers), config.deadlines.initialize, "its first request").await?;
    match first.get("protocolVersion").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(version) => {
            let agent = &link.agent;
            return Err(Failure::protocol(format!(
                "{agent} speaks version {version} of the Agent Client Protocol, and Signalbox version {VERSION}: install a version of it that speaks that"
            )));
        }
        None => {
            let agent = &link.agent;
            return Err(Failure::protocol(format!(
                "{agent} does not say which version of the Agent Client Protocol it speaks: is this command the right one?"
            )));
        }
    }
    let (session, answer) = session(link, config, &first).await?;
    let set_by = SetBy {
        modes: answer.get("modes").is_some_and(Value::is_object),
        models: answer.get("models").is_some_and(Value::is_object),
    };
    // Options first: a mode may forbid to change them.
    for (option, value) in &config.options {
        set_option(link, config, &session, option, value).await?;
    }
    if let Some(model) = &config.model {
        set_model(link, config, &session, &set_by, model).await?;
    }
    if let Some(mode) = &config.mode {
        set_mode(link, config, &session, &set_by, mode).await?;
    }
    let closes = first["agentCapabilities"]["sessionCapabilities"]["close"].is_object();
    Ok(Opened { session, closes, set_by })
}

/// Resumes, loads or makes a session: whatever the agent can.
async fn session(link: &Link, config: &Config, first: &Value) -> Result<(String, Value), Failure> {
    let capabilities = &first["agentCapabilities"];
    let http = capabilities["mcpCapabilities"]["http"] == true;
    let servers = if http { config.mcp_servers.as_slice() } else { &[] };
    if let Some(session) = &config.resume {
        let folder = &config.folder;
        let resume = messages::resume_session(session, folder, servers);
        let load = messages::load_session(session, folder, servers);
        let mut ways = Vec::new();
        if capabilities["sessionCapabilities"]["resume"].is_object() {
            ways.push((resume, "the request to resume its session", false));
        }
        if capabilities["loadSession"] == true {
            ways.push((load, "the request to load its session", true));
        }
        let mut why = "it cannot resume sessions".to_owned();
        for (request, what, tells_past) in ways {
            let refusal = match signed_in(link, config, first, &request, what).await? {
                Ok(answer) => {
                    if tells_past {
                        link.quiet(PAUSE, PAST).await;
                    }
                    return Ok((session.clone(), answer));
                }
                Err(refusal) => refusal,
            };
            why = link.refused(what, &refusal).detail.unwrap_or_else(|| "no reason given".to_owned());
            // One agent says that it can resume, and does not know the method. All other reasons hold for both ways.
            if refusal.code != METHOD_NOT_FOUND {
                break;
            }
        }
        link.state().not_resumed = Some(format!("{} began a new session: {why}", link.agent));
    }
    let what = "the request for a session";
    let answer = signed_in(link, config, first, &messages::new_session(&config.folder, servers), what)
        .await?
        .map_err(|refusal| wants_sign_in(link, config, first, what, &refusal))?;
    match answer.get("sessionId").and_then(Value::as_str) {
        Some(session) => Ok((session.to_owned(), answer)),
        None => Err(Failure::protocol(format!("{} opened a session without an id", link.agent))),
    }
}

/// Asks, and if a sign-in is wanted and one is possible without a person, signs in and asks again.
async fn signed_in(
    link: &Link,
    config: &Config,
    first: &Value,
    request: &Request,
    what: &str,
) -> Result<Result<Value, Refusal>, Failure> {
    let within = config.deadlines.session;
    let answer = link.ask(request, within, what).await?;
    let Err(refusal) = &answer else { return Ok(answer) };
    if link.refused(what, refusal).kind != AgentErrorKind::Auth {
        return Ok(answer);
    }
    let offered: Vec<AgentChoice> = ways(first);
    let Some(way) = config.sign_in.iter().find(|way| offered.iter().any(|offer| offer.id == **way)) else {
        return Ok(answer);
    };
    link.request(&messages::authenticate(way), within, "the sign-in").await?;
    link.ask(request, within, what).await
}

/// The ways to sign in that an agent offers.
fn ways(first: &Value) -> Vec<AgentChoice> {
    let offered = first["authMethods"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ways = offered.iter().take(32).filter_map(|way| {
        let id = way["id"].as_str()?;
        Some(AgentChoice { id: id.to_owned(), name: way["name"].as_str().unwrap_or(id).to_owned() })
    });
    ways.collect()
}

fn wants_sign_in(link: &Link, config: &Config, first: &Value, what: &str, refusal: &Refusal) -> Failure {
    let mut failure = link.refused(what, refusal);
    let ways: Vec<String> = ways(first).into_iter().map(|way| config.masker.mask(&way.name)).collect();
    if failure.kind == AgentErrorKind::Auth && !ways.is_empty() {
        failure.message = format!("{}. It offers: {}", failure.message, ways.join(", "));
    }
    failure
}

pub(super) async fn set_mode(
    link: &Link,
    config: &Config,
    session: &str,
    set_by: &SetBy,
    mode: &str,
) -> Result<(), Failure> {
    let info = link.info();
    let (agent, names) = (&link.agent, |choices: &[AgentChoice]| {
        choices.iter().map(|choice| choice.id.as_str()).collect::<Vec<_>>().join(", ")
    });
    if !info.modes.iter().any(|offer| offer.id == mode) {
        return Err(Failure::protocol(match info.modes.as_slice() {
            [] => format!("{agent} has no modes, so none called {mode}"),
            modes => format!("{agent} has no mode {mode}: it has {}", names(modes)),
        }));
    }
    if set_by.modes {
        let within = config.deadlines.session;
        return link.request(&messages::set_mode(session, mode), within, "the change of its mode").await.map(drop);
    }
    set_option(link, config, session, &option_for(link, "mode"), mode).await
}

pub(super) async fn set_model(
    link: &Link,
    config: &Config,
    session: &str,
    set_by: &SetBy,
    model: &str,
) -> Result<(), Failure> {
    // A list of models may be long and cut: whether there is this one only the agent knows.
    let option = option_for(link, "model");
    if link.info().settings.iter().any(|setting| setting.id == option) {
        return set_option(link, config, session, &option, model).await;
    }
    if set_by.models {
        let within = config.deadlines.session;
        return link.request(&messages::set_model(session, model), within, "the change of its model").await.map(drop);
    }
    Err(Failure::protocol(format!("{} does not let its model be chosen: leave it out", link.agent)))
}

/// The setting of a category. It is named as the category unless the agent says otherwise.
fn option_for(link: &Link, category: &str) -> String {
    let settings = link.info().settings;
    settings
        .iter()
        .find(|setting| setting.category == category)
        .map_or_else(|| category.to_owned(), |found| found.id.clone())
}

pub(super) async fn set_option(
    link: &Link,
    config: &Config,
    session: &str,
    option: &str,
    value: &str,
) -> Result<(), Failure> {
    let request = messages::set_option(session, option, value);
    link.request(&request, config.deadlines.session, &format!("the change of its setting {option}")).await.map(drop)
}
