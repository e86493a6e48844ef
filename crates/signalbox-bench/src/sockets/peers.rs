//! Servers that somebody would write instead: Bun's own, and the package `ws` in Node. Only with `--peers`, since npm
//! fetches them.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

use crate::sockets::{cores::Cores, server::Server};

/// A peer that is ready to be started.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: OsString,
    script: PathBuf,
}

impl Peer {
    pub(crate) fn start(&self, cores: &Cores) -> anyhow::Result<Server> {
        Server::plain(cores, &self.program, &[self.script.as_os_str()])
    }
}

/// Installs the peers below the target folder. Those that cannot be had are skipped, with a line that says why.
pub(crate) fn install() -> Vec<Peer> {
    let bun = ("Bun", "bun", "bun.mjs", include_str!("../../peers/bun.mjs"));
    let ws = ("ws in Node", "ws", "ws.mjs", include_str!("../../peers/ws.mjs"));
    let mut peers = Vec::new();
    for (name, package, file, script) in [bun, ws] {
        match ready(name, package, file, script) {
            Ok(peer) => peers.push(peer),
            Err(error) => eprintln!("  without {name}: {error:#}"),
        }
    }
    peers
}

fn ready(name: &'static str, package: &str, file: &str, text: &str) -> anyhow::Result<Peer> {
    let binary = std::env::current_exe()?;
    let target = binary.parent().and_then(Path::parent).context("this program is not in a target folder")?;
    let folder = target.join("bench-peers");
    let modules = folder.join("node_modules");
    fs::create_dir_all(&folder)?;
    if !modules.join(package).is_dir() {
        eprintln!("  npm installs {package} into {}", folder.display());
        // Else npm would take the project around the target folder for the one to install into.
        let manifest = folder.join("package.json");
        if !manifest.exists() {
            fs::write(manifest, "{\"private\":true}")?;
        }
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", package]).current_dir(&folder);
        let status = npm.stdin(Stdio::null()).stdout(Stdio::null()).status().context("npm cannot be started")?;
        ensure!(status.success(), "`npm install {package}` failed");
    }
    let script = folder.join(file);
    fs::write(&script, text)?;
    let program = if package == "bun" { bun(&modules)? } else { "node".into() };
    Ok(Peer { name, program, script })
}

/// The package's own program is put in place by a script of its installation, which may be switched off; the packages for
/// each kind of machine, of which npm takes those that fit, have it too.
fn bun(modules: &Path) -> anyhow::Result<OsString> {
    let mut programs = vec![modules.join("bun/bin/bun.exe")];
    for kind in fs::read_dir(modules.join("@oven")).into_iter().flatten().flatten() {
        programs.push(kind.path().join("bin/bun"));
    }
    let runs = |program: &PathBuf| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let found = programs.into_iter().find(runs).context("no program of the package runs here")?;
    Ok(OsStr::to_owned(found.as_os_str()))
}
