//! `signalbox doctor`: what is here, what is missing, and how to get it.

use std::{path::Path, process::Command};

use signalbox_host::{HostFile, Settings, settings};

use crate::{End, output};

struct Report {
    worst: End,
}

impl Report {
    fn good(&self, what: &str, detail: &str) {
        output::line(&format!("✓ {what:<16} {detail}"));
    }

    fn bad(&mut self, what: &str, detail: &str, todo: &str) {
        self.worst = End::Failed;
        output::line(&format!("✗ {what:<16} {detail}\n  {todo}"));
    }

    fn note(&self, what: &str, detail: &str) {
        output::line(&format!("- {what:<16} {detail}"));
    }
}

pub(crate) async fn doctor(show_settings: bool) -> anyhow::Result<End> {
    let config = settings::config_dir();
    let loaded = Settings::load(&config);
    if show_settings {
        for setting in loaded?.describe() {
            output::line(&format!("{} = {}\n  {}\n  {}", setting.key, setting.value, setting.variable, setting.doc));
        }
        return Ok(End::Success);
    }
    let mut report = Report { worst: End::Success };
    report.good("version", signalbox_host::VERSION);
    match &loaded {
        Ok(_) => {
            let file = config.join("settings.toml");
            let there = if file.is_file() { "" } else { " (not there: the defaults)" };
            report.good("settings", &format!("{}{there}", file.display()));
        }
        Err(error) => {
            report.bad("settings", &error.to_string(), "mend the line or the variable; without it the default is used")
        }
    }
    data_folder(&mut report, &settings::data_dir());
    match signalbox_host::keychain::check().await {
        Ok(()) => report.good("keychain", "keeps secrets: `signalbox secret set NAME`"),
        Err(error) => report.note(
            "keychain",
            &format!("{error}\n  secrets can come from the host's environment instead: SIGNALBOX_SECRET_<NAME>"),
        ),
    }
    match signalbox_host::agents(&loaded.unwrap_or_default()).await {
        Ok(found) => {
            for agent in found.agents {
                let version = agent.version.as_deref().unwrap_or_default();
                let name = format!("{} {version}", agent.name);
                match (agent.missing, agent.sign_in) {
                    (None, Some(sign_in)) => report.good(&agent.id, &format!("{}, {sign_in}", name.trim_end())),
                    (None, None) => report.good(&agent.id, name.trim_end()),
                    (Some(missing), _) => report.note(&agent.id, &missing),
                }
            }
        }
        Err(error) => report.bad("agents", &error.to_string(), "mend the entry in settings.toml"),
    }
    let shell = if cfg!(windows) { "cmd" } else { "sh" };
    match version("git", &["--version"]) {
        Some(version) => report.good("git", &version),
        None => report.note("git", "not found: runs work, what needs a repository will not"),
    }
    if Path::new(&format!("/bin/{shell}")).exists() || cfg!(windows) {
        report.good("shell", shell);
    } else {
        report.bad(
            "shell",
            "no sh",
            "install a POSIX shell, or name another one under defaults.shell in each workflow",
        );
    }
    if signalbox_assets::FILES.is_empty() {
        report.note("ui", "this build carries no UI: `cargo xtask build` makes one that does");
    } else {
        report.good("ui", &format!("{} files", signalbox_assets::FILES.len()));
    }
    Ok(report.worst)
}

fn data_folder(report: &mut Report, dir: &Path) {
    let probe = dir.join(".doctor");
    let writable = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    match writable {
        Ok(()) => report.good("data folder", &dir.display().to_string()),
        Err(error) => report.bad(
            "data folder",
            &format!("{}: {error}", dir.display()),
            "make it writable, or name another one with SIGNALBOX_DATA_DIR",
        ),
    }
    match HostFile::of_running(dir) {
        Some(file) => report.good(
            "host",
            &format!("process {} at {}", file.pid, file.url.as_deref().unwrap_or("no address (sharing is off)")),
        ),
        None => report.note("host", "none runs on this data folder: `signalbox serve` starts one"),
    }
}

fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
