//! `signalbox serve`.

use std::path::PathBuf;

use anyhow::Context;
use signalbox_host::{Host, HostOptions, Settings, settings};
use signalbox_net::{Assets, listen};

use crate::{End, output};

/// Opens the host of a data folder.
pub(crate) async fn open(data_dir: Option<PathBuf>) -> anyhow::Result<Host> {
    let settings = Settings::load(&settings::config_dir())?;
    let data_dir = data_dir.unwrap_or_else(settings::data_dir);
    Ok(Host::open(HostOptions::new(data_dir, settings)).await?)
}

pub(crate) async fn serve(
    data_dir: Option<PathBuf>,
    address: Option<String>,
    projects: Vec<PathBuf>,
    trust: bool,
    share: Option<String>,
) -> anyhow::Result<End> {
    let share = share.map(|place| crate::share::place(Some(&place))).transpose()?;
    let host = open(data_dir).await?;
    let served = async {
        let address = address.unwrap_or_else(|| host.settings().host.listen.clone());
        let listening = listen(&host, &address, Assets(signalbox_assets::FILES)).await?;
        for project in projects {
            open_project(&host, &project, trust).await?;
        }
        let code = host.call(&host.owner(), "login_code.create", None).await?;
        let code: serde_json::Value = serde_json::from_str(code.get())?;
        output::line(&format!("Signalbox listens on http://{}", listening.address));
        output::line(&format!(
            "Open {} (good once, for a minute; `signalbox login` makes another)",
            code["url"].as_str().unwrap_or_default()
        ));
        if let Some(place) = share {
            let place = serde_json::value::to_raw_value(&place)?;
            host.call(&host.owner(), "share.start", Some(&place)).await?;
        }
        let sharing = host.call(&host.owner(), "share.status", None).await?;
        let sharing: serde_json::Value = serde_json::from_str(sharing.get())?;
        if sharing["state"] != "off" {
            crate::share::tell(&sharing);
        }
        if !listening.address.ip().is_loopback() {
            output::note!(
                "Whoever is in this network can reach it, and reads along what crosses it unencrypted: use it in a \
                 network you trust, or behind a proxy with TLS. A token is needed all the same."
            );
        }
        output::line("Ctrl-C stops it.");
        ended().await;
        anyhow::Ok(())
    };
    let result = served.await;
    if result.is_ok() {
        output::note!("Stopping: connections are told to come back, steps at work are ended.");
    }
    host.close().await;
    result.map(|()| End::Success)
}

/// Opens a folder as a project on a host in this process.
pub(crate) async fn open_project(host: &Host, path: &std::path::Path, trust: bool) -> anyhow::Result<()> {
    let path = std::fs::canonicalize(path)
        .with_context(|| format!("the project folder {} cannot be opened", path.display()))?;
    let mut params = serde_json::json!({ "path": path });
    if trust {
        params["trust"] = true.into();
    }
    let params = serde_json::value::to_raw_value(&params)?;
    host.call(&host.owner(), "project.open", Some(&params)).await?;
    Ok(())
}

/// Waits for Ctrl-C, or for the wish of a service manager to end.
pub(crate) async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            tokio::signal::ctrl_c().await.ok();
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.ok();
}
