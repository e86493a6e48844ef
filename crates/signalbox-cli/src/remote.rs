//! Talking to a host: finding it, and the commands that are one call.

use std::io::Read;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use signalbox_client::{Client, Ended, Options, Update, connect};
use signalbox_host::{HostFile, settings};
use signalbox_wire::{CallError, ErrorCode};
use tokio::sync::mpsc;

use crate::{End, Target, output, share};

/// No host answers.
#[derive(Debug)]
pub(crate) struct Unreachable(pub(crate) String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// What was typed cannot be meant.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The exit code that fits an error.
pub(crate) fn end_of(error: &anyhow::Error) -> End {
    if error.is::<Unreachable>() {
        return End::Unreachable;
    }
    if error.is::<Usage>() {
        return End::Usage;
    }
    match error.downcast_ref::<CallError>().map(|error| error.code) {
        Some(ErrorCode::BadRequest) => End::Usage,
        _ => End::Failed,
    }
}

/// Where the host is: named, or by the `host.json` of the data folder.
pub(crate) fn find(target: &Target) -> anyhow::Result<Options> {
    if let Some(host) = &target.host {
        return share::find(host);
    }
    if let Some(url) = &target.url {
        let Some(token) = &target.token else {
            bail!(Usage("--url needs a token: --token, or SIGNALBOX_TOKEN".into()))
        };
        let mut options = options(url, token);
        options.pin = match &target.pin {
            Some(pin) => Some(pin.parse().map_err(|error| Usage(format!("--pin: {error}")))?),
            None => None,
        };
        return Ok(options);
    }
    let dir = target.data_dir.clone().unwrap_or_else(settings::data_dir);
    let none = || {
        Unreachable(format!(
            "no host runs on the data folder {}: start one with `signalbox serve`, or name one with --url",
            dir.display()
        ))
    };
    let file = HostFile::of_running(&dir).ok_or_else(none)?;
    let url = file.url.ok_or_else(|| {
        Unreachable("the host of this data folder does not listen: it is the desktop app, and sharing is off".into())
    })?;
    Ok(options(&url, &file.token))
}

pub(crate) fn options(url: &str, token: &str) -> Options {
    let mut options = Options::new(url, token);
    options.name = "signalbox-cli".into();
    options
}

/// Connects, or says why not.
pub(crate) async fn reach(mut options: Options) -> anyhow::Result<(Client, mpsc::Receiver<Update>)> {
    // The first connection is made once: somebody waits at a terminal. Later ones are made for as long as it takes.
    let attempts = options.attempts.take();
    let mut first = options.clone();
    first.rooms.clear();
    first.attempts = Some(1);
    let (probe, mut updates) = connect(first);
    match updates.recv().await {
        Some(Update::Connected(_)) => {}
        Some(Update::Disconnected { why: why @ Ended::Closed { .. }, .. }) => bail!(why.to_string()),
        Some(Update::Disconnected { why, .. }) => bail!(Unreachable(why.to_string())),
        _ => bail!(Unreachable("the host ended the connection".into())),
    }
    if options.rooms.is_empty() {
        return Ok((probe, updates));
    }
    drop((probe, updates));
    options.attempts = attempts;
    Ok(connect(options))
}

/// A connection for calls.
pub(crate) async fn client(target: &Target) -> anyhow::Result<(Client, mpsc::Receiver<Update>)> {
    reach(find(target)?).await
}

/// An error of a call with its hint, as a person reads it.
pub(crate) fn explain(error: CallError) -> anyhow::Error {
    if let Some(diagnostics) = error.details.as_ref().and_then(|details| details["diagnostics"].as_array()) {
        for found in diagnostics {
            output::note!(
                "{}:{}: {}: {}",
                found["line"],
                found["column"],
                found["severity"].as_str().unwrap_or("error"),
                found["message"].as_str().unwrap_or_default()
            );
        }
    }
    error.into()
}

/// Says what went wrong, and what to do.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many errors speak of their cause themselves.
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    output::note!("signalbox: {text}");
    if let Some(hint) = error.downcast_ref::<CallError>().and_then(|error| error.hint.as_ref()) {
        output::note!("hint: {hint}");
    }
}

pub(crate) async fn call(
    target: &Target,
    method: &str,
    params: Option<String>,
    key: Option<String>,
) -> anyhow::Result<End> {
    let text = match params.as_deref() {
        None => None,
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
            Some(text)
        }
        Some(text) => Some(text.to_owned()),
    };
    let params: Option<Value> = match text {
        None => None,
        Some(text) => {
            Some(serde_json::from_str(&text).map_err(|error| Usage(format!("the parameters are not JSON: {error}")))?)
        }
    };
    let (client, _updates) = client(target).await?;
    match client.call(method, params, key).await {
        Ok(reply) => {
            let value: Value = serde_json::from_str(reply.get())?;
            output::line(&if output::is_terminal() {
                serde_json::to_string_pretty(&value)?
            } else {
                reply.get().to_owned()
            });
            Ok(End::Success)
        }
        Err(error) => {
            let end = if error.code == ErrorCode::BadRequest { End::Usage } else { End::Failed };
            output::note!("{}", serde_json::to_string(&json!({ "error": error }))?);
            Ok(end)
        }
    }
}

/// Calls a method and gives its reply; its error is the command's.
pub(crate) async fn ask(
    target: &Target,
    method: &str,
    params: Value,
) -> anyhow::Result<Box<serde_json::value::RawValue>> {
    let (client, _updates) = client(target).await?;
    client.call(method, Some(params), None).await.map_err(explain)
}

pub(crate) async fn create_token(
    target: &Target,
    role: &str,
    name: &str,
    projects: &[String],
    ttl: Option<&str>,
) -> anyhow::Result<End> {
    let mut params = json!({ "name": name, "role": role });
    if !projects.is_empty() {
        params["projects"] = json!(projects);
    }
    if let Some(ttl) = ttl {
        params["ttl_ms"] = json!(duration_ms(ttl)?);
    }
    call(target, "token.create", Some(params.to_string()), None).await
}

/// `30d`, `12h`, `15m` or `20s` in milliseconds.
pub(crate) fn duration_ms(text: &str) -> anyhow::Result<u64> {
    let wrong = || Usage(format!("{text:?} is no duration: 30d, 12h, 15m"));
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'd' => 24 * 3600,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => bail!(wrong()),
    };
    Ok(number.saturating_mul(seconds).saturating_mul(1000))
}

pub(crate) async fn login(target: &Target) -> anyhow::Result<End> {
    let (client, _updates) = client(target).await?;
    let code: Value = client.get("login_code.create", json!({})).await.map_err(explain)?;
    // The host names itself as its own machine calls it; from here it is reached as it was joined.
    let link = match (&target.host, code["code"].as_str()) {
        (Some(host), Some(code)) => format!("{}/#code={code}", share::find(host)?.url.trim_end_matches('/')),
        _ => code["url"].as_str().or(code["code"].as_str()).unwrap_or_default().to_owned(),
    };
    output::line(&link);
    Ok(End::Success)
}
