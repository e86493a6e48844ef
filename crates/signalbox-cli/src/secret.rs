//! `signalbox secret`: the keychain of this machine, or through a host elsewhere that of its machine.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use signalbox_host::secrets;
use signalbox_wire::method::{SecretSource, Secrets};

use crate::{
    End, Project, output,
    remote::{self, Usage, explain},
};

/// The folder as the host knows it.
fn folder(of: &Project) -> anyhow::Result<String> {
    let path = of.project.as_deref().unwrap_or(".");
    let folder = std::fs::canonicalize(path).with_context(|| format!("the project folder {path} cannot be opened"))?;
    folder.into_os_string().into_string().map_err(|_| Usage("the folder's name is not Unicode".into()).into())
}

/// The parameters of a call about a project elsewhere.
fn params(of: &Project) -> anyhow::Result<Value> {
    match &of.project {
        Some(project) => Ok(json!({ "project": project })),
        None => bail!(Usage("--url needs --project with the project's id".into())),
    }
}

async fn call<T: serde::de::DeserializeOwned>(of: &Project, method: &str, params: Value) -> anyhow::Result<T> {
    let (client, _updates) = remote::client(&of.target).await?;
    client.get(method, params).await.map_err(explain)
}

pub(crate) async fn set(of: &Project, name: String) -> anyhow::Result<End> {
    let stdin = std::io::stdin();
    let value = if stdin.is_terminal() {
        rpassword::prompt_password(format!("{name} (not shown): ")).context("the value could not be read")?
    } else {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).context("standard input cannot be read")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if of.target.url.is_some() {
        let mut params = params(of)?;
        params["name"] = json!(name);
        params["value"] = json!(value);
        let _: Value = call(of, "secret.set", params).await?;
    } else {
        secrets::set(&folder(of)?, &name, value).await?;
    }
    output::line(&format!("{name} is in the keychain"));
    Ok(End::Success)
}

pub(crate) async fn remove(of: &Project, name: String) -> anyhow::Result<End> {
    let removed = if of.target.url.is_some() {
        let mut params = params(of)?;
        params["name"] = json!(name);
        let reply: Value = call(of, "secret.remove", params).await?;
        reply["removed"] == true
    } else {
        secrets::remove(&folder(of)?, &name).await?
    };
    output::line(&if removed { format!("{name} was removed") } else { format!("{name} was not in the keychain") });
    Ok(if removed { End::Success } else { End::Failed })
}

pub(crate) async fn list(of: &Project, json: bool) -> anyhow::Result<End> {
    let found: Secrets = if of.target.url.is_some() {
        call(of, "secret.list", params(of)?).await?
    } else {
        secrets::list(&folder(of)?).await
    };
    if json {
        output::line(&serde_json::to_string(&found)?);
        return Ok(End::Success);
    }
    if let Some(error) = &found.keychain_error {
        output::note!("signalbox: {error}");
    }
    if found.secrets.is_empty() {
        output::line("no workflow here asks for a secret");
    }
    for secret in &found.secrets {
        let source = match secret.source {
            Some(SecretSource::Environment) => "from the host's environment",
            Some(SecretSource::Keychain) => "in the keychain",
            None => "not set",
        };
        output::line(&format!("{:<24} {source:<28} {}", secret.name, secret.workflows.join(", ")));
    }
    Ok(End::Success)
}
