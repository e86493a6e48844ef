//! `signalbox share`, `invite` and `join`; and the hosts that were joined.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use signalbox_client::{JoinError, JoinLink, Known, Options, Pin};
use signalbox_host::{private, settings};
use signalbox_wire::{ErrorCode, method::HostFind};

use crate::{
    End, Target, output,
    remote::{self, Unreachable, Usage},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ShareCommand {
    /// Lets others reach this host, over TLS. It stays so, also after a restart, until `share stop`.
    Start {
        #[command(flatten)]
        target: Target,
        /// Where: an address of this machine with or without a port, or a port alone [default: share.bind and share.port].
        address: Option<String>,
    },
    /// Closes the way in for others; their connections end.
    Stop {
        #[command(flatten)]
        target: Target,
    },
    /// Shows whether others can reach this host, and how.
    Status {
        #[command(flatten)]
        target: Target,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `ADDRESS:PORT`, `ADDRESS` or `PORT` as the parameters of `share.start`.
pub(crate) fn place(text: Option<&str>) -> anyhow::Result<Value> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(json!({})) };
    if let Ok(port) = text.parse::<u16>() {
        return Ok(json!({ "port": port }));
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Ok(json!({ "bind": address.ip(), "port": address.port() }));
    }
    match text.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(ip) => Ok(json!({ "bind": ip })),
        Err(_) => bail!(Usage(format!("{text:?} is no address to share on: 0.0.0.0:7118, 192.168.1.7 or 7118"))),
    }
}

/// Says how the host is shared.
pub(crate) fn tell(sharing: &Value) {
    match sharing["state"].as_str() {
        Some("on") => {
            output::line("Shared with others at");
            for url in sharing["urls"].as_array().into_iter().flatten() {
                output::line(&format!("  {}", url.as_str().unwrap_or_default()));
            }
            output::line(&format!("Fingerprint {}", sharing["fingerprint"].as_str().unwrap_or_default()));
            output::line("`signalbox invite --role viewer|operator|owner` makes a link for somebody.");
        }
        Some("failed") => output::line(&format!("Not shared: {}", sharing["error"].as_str().unwrap_or_default())),
        _ => output::line("Not shared: only this machine reaches the host. `signalbox share start` changes that."),
    }
}

pub(crate) async fn share(command: ShareCommand) -> anyhow::Result<End> {
    let (target, method, params, as_json) = match &command {
        ShareCommand::Start { target, address } => (target, "share.start", place(address.as_deref())?, false),
        ShareCommand::Stop { target } => (target, "share.stop", json!({}), false),
        ShareCommand::Status { target, json } => (target, "share.status", json!({}), *json),
    };
    let reply = remote::ask(target, method, params).await?;
    if as_json {
        output::line(reply.get());
    } else {
        tell(&serde_json::from_str(reply.get())?);
    }
    Ok(End::Success)
}

pub(crate) struct Invitation {
    pub(crate) target: Target,
    pub(crate) role: String,
    pub(crate) projects: Vec<String>,
    pub(crate) uses: u32,
    pub(crate) ttl: String,
    pub(crate) name: Option<String>,
    pub(crate) json: bool,
}

pub(crate) async fn invite(wish: Invitation) -> anyhow::Result<End> {
    let mut params = json!({ "role": wish.role, "uses": wish.uses, "ttl_ms": remote::duration_ms(&wish.ttl)? });
    if !wish.projects.is_empty() {
        params["projects"] = json!(wish.projects);
    }
    if let Some(name) = wish.name {
        params["name"] = json!(name);
    }
    let reply = remote::ask(&wish.target, "invite.create", params).await?;
    let mut made: Value = serde_json::from_str(reply.get())?;
    if wish.json {
        // A picture is for pages.
        made.as_object_mut().and_then(|fields| fields.remove("qr"));
        output::line(&made.to_string());
        return Ok(End::Success);
    }
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    if output::is_terminal()
        && let Ok(code) = qrcode::QrCode::with_error_correction_level(text("link"), qrcode::EcLevel::L)
    {
        output::line(&code.render::<qrcode::render::unicode::Dense1x2>().build());
    }
    output::line(&text("link"));
    for other in made["links"].as_array().into_iter().flatten().skip(1) {
        output::line(&format!("or {}", other.as_str().unwrap_or_default()));
    }
    output::line(&format!("in the app: {}", text("app_link")));
    output::note!(
        "Whoever has the link joins as {}: send it where only they read. It is shown this once.",
        made["invite"]["role"].as_str().unwrap_or_default()
    );
    Ok(End::Success)
}

/// The file that holds the hosts that were joined from a terminal, with their tokens (mode 0600).
fn hosts_file() -> PathBuf {
    settings::config_dir().join("hosts.json")
}

fn joined() -> anyhow::Result<Vec<Known>> {
    let file = hosts_file();
    match std::fs::read(&file) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("the list of hosts {} is damaged", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("the list of hosts {} cannot be read", file.display())),
    }
}

/// How to connect to a host that was joined, by its name or address.
pub(crate) fn find(host: &str) -> anyhow::Result<Options> {
    let known = joined()?;
    let fits = |known: &&Known| known.name == host || known.id == host.trim_end_matches('/');
    let Some(found) = known.iter().find(fits) else {
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        let names = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
        bail!(Usage(format!("no host {host:?} was joined from here ({names}); join it with `signalbox join LINK`")));
    };
    let Some(token) = &found.token else { bail!("the token of {host} is missing in {}", hosts_file().display()) };
    let mut options = remote::options(&found.id, token);
    options.pin = found.pin.as_deref().map(str::parse::<Pin>).transpose()?;
    Ok(options)
}

/// The hosts of the local network, and those that were joined.
pub(crate) async fn hosts(wait: u64, as_json: bool) -> anyhow::Result<End> {
    let known = joined()?;
    let asked = signalbox_host::discovery::find(&HostFind { wait_ms: Some(wait) }).await;
    let found = match asked {
        Ok(found) => found.hosts,
        Err(error) if error.code == ErrorCode::BadRequest => return Err(error.into()),
        // Those that were joined are known without a network.
        Err(error) => {
            output::note!("{}", error.message);
            Vec::new()
        }
    };
    if as_json {
        let joined: Vec<Value> =
            known.iter().map(|k| json!({ "name": k.name, "url": k.id, "member": k.member, "pin": k.pin })).collect();
        output::line(&json!({ "joined": joined, "found": found }).to_string());
        return Ok(End::Success);
    }
    for host in &known {
        output::line(&format!("{}  {}  joined as {}", host.name, host.id, host.member));
    }
    for host in found.iter().filter(|host| !known.iter().any(|known| host.urls.contains(&known.id))) {
        output::line(&format!("{}  {}  fingerprint {}...", host.name, host.urls.join(" "), host.fingerprint));
    }
    if known.is_empty() && found.is_empty() {
        output::line("None. Join one with `signalbox join LINK`.");
    }
    Ok(End::Success)
}

fn person() -> String {
    std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default()
}

pub(crate) async fn join(link: &str, name: Option<String>, call_it: Option<String>) -> anyhow::Result<End> {
    let Some(link) = JoinLink::parse(link) else {
        bail!(Usage(
            "this is no link of an invitation: it looks like https://HOST:PORT/join#CODE.FINGERPRINT (in quotes)"
                .into()
        ));
    };
    let name = name.unwrap_or_else(person);
    if name.is_empty() {
        bail!(Usage("say what you are called: --name".into()));
    }
    let mut known = joined()?;
    let shown = call_it.unwrap_or_else(|| link.url.trim_start_matches("https://").to_owned());
    if let Some(other) = known.iter().find(|other| (other.id == link.url) != (other.name == shown)) {
        let (name, url) = (&other.name, &other.id);
        bail!(Usage(format!(
            "{name} is already what you call {url}, where you are {}: joining would lose its token. Use the same name and \
             address to replace it, or another folder for settings (SIGNALBOX_CONFIG_DIR); you have not joined",
            other.member
        )));
    }
    // Before anything is used up: a token that cannot be kept would be lost.
    let file = hosts_file();
    if let Some(folder) = file.parent() {
        private::folder(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    write(&known)?;
    let joined = match signalbox_client::join(&link, &name, None).await {
        Ok(joined) => joined,
        Err(JoinError::Connection(why)) => bail!(Unreachable(format!("{why}; you have not joined"))),
        Err(JoinError::Refused(error)) => return Err(error.into()),
    };
    known.retain(|other| other.id != link.url);
    known.push(Known {
        id: link.url.clone(),
        name: shown.clone(),
        member: joined.member_name.clone(),
        pin: link.pin.map(|pin| pin.to_string()),
        token: Some(joined.token),
    });
    write(&known)?;
    let role = serde_json::to_value(joined.role)?;
    output::line(&format!(
        "You are {} on {}, as {}. Look at it with `signalbox tail --host {shown}`.",
        joined.member_name,
        link.url,
        role.as_str().unwrap_or_default()
    ));
    Ok(End::Success)
}

fn write(known: &[Known]) -> anyhow::Result<()> {
    let file = hosts_file();
    let text = serde_json::to_vec_pretty(known)?;
    private::write(&file, &text).with_context(|| format!("the list of hosts {} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_a_port_or_both() {
        assert_eq!(place(None).unwrap(), json!({}));
        assert_eq!(place(Some("")).unwrap(), json!({}));
        assert_eq!(place(Some("7118")).unwrap(), json!({ "port": 7118 }));
        assert_eq!(place(Some("10.0.0.7")).unwrap(), json!({ "bind": "10.0.0.7" }));
        assert_eq!(place(Some("[::]:0")).unwrap(), json!({ "bind": "::", "port": 0 }));
        assert!(place(Some("box.example")).is_err());
    }
}
