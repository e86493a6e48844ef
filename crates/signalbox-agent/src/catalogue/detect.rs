//! What of an agent is there on this machine.

use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    io::Read,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use regex_lite::Regex;
use signalbox_process::{Masker, Report, Spec, end_each, spawn};
use tokio::{sync::mpsc, time::timeout};

use super::Entry;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Search {
    /// Folders with programs, as in the variable `PATH`.
    pub path: OsString,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// Variables that are set: with the host's, those that a step would get.
    pub env: HashMap<String, String>,
    /// This project's own program, for the rehearsal agent.
    pub own: Option<PathBuf>,
    /// The longest wait for a program that is asked for its version.
    pub patience: Duration,
}

impl Search {
    /// As this process sees the machine.
    #[must_use]
    pub fn here() -> Self {
        let env: HashMap<String, String> = std::env::vars().collect();
        Self {
            path: std::env::var_os("PATH").unwrap_or_default(),
            home: env.get("HOME").or_else(|| env.get("USERPROFILE")).map(PathBuf::from),
            env,
            own: None,
            patience: Duration::from_secs(5),
        }
    }
}

/// What files and variables tell of a sign-in; the agent itself is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// None is needed.
    NotNeeded,
    /// There is one: a variable or a file that says so.
    Found(String),
    /// There is no sign of one.
    NotFound,
    /// Nothing is known of how it keeps one.
    Unknown,
}

/// What of an agent is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its program.
    pub program: Option<PathBuf>,
    /// The program and its arguments; the name alone if it is not there.
    pub argv: Vec<OsString>,
    /// Its version, if it says one that can be read.
    pub version: Option<String>,
    /// What is missing, and how to get it. None: it can be started.
    pub missing: Option<String>,
    /// Whether somebody is signed in, as far as can be told.
    pub sign_in: SignIn,
    /// Ways to sign in that need no person here: for [`crate::Config::sign_in`].
    pub ways: Vec<String>,
}

/// Looks for an agent. Costs a few looks at files; a program is run only to learn its version, or that of Node.js.
pub async fn detect(entry: &Entry, search: &Search) -> Found {
    let command = entry.commands.iter().find_map(|command| {
        let name = command.first()?;
        let own = search.own.as_ref().filter(|_| entry.rehearsal && name == "signalbox");
        Some((own.cloned().or_else(|| program(name, search))?, command))
    });
    let mut found = Found {
        program: None,
        argv: entry.commands.first().map(|command| command.iter().map(Into::into).collect()).unwrap_or_default(),
        version: None,
        missing: None,
        sign_in: sign_in(entry, search),
        ways: Vec::new(),
    };
    for (name, way) in &entry.keys {
        if let Some(way) = way.as_ref().filter(|way| is_set(search, name) && !found.ways.contains(way)) {
            found.ways.push(way.clone());
        }
    }
    let Some((program, command)) = command else {
        let names: Vec<&str> = entry.commands.iter().filter_map(|command| Some(command.first()?.as_str())).collect();
        found.missing =
            Some(format!("{} is not installed (no {} on the PATH): {}", entry.name, names.join(" or "), entry.install));
        return found;
    };
    found.argv = std::iter::once(program.clone().into_os_string()).chain(command[1..].iter().map(Into::into)).collect();
    if is_for_node(&program)
        && let Some(node) = entry.node
    {
        let (major, minor) = node.at_least;
        let wanted = format!("Node.js {major}.{minor} or later");
        found.missing = match node_version(search).await {
            None => Some(format!("{} needs {wanted}, and there is no `node` on the PATH: install it", entry.name)),
            Some(version) if version < node.at_least => {
                let (has, had) = version;
                Some(format!(
                    "{} needs {wanted}, and `node` on the PATH is {has}.{had}: install a later one",
                    entry.name
                ))
            }
            Some(_) => None,
        };
    }
    found.version = packaged_version(&program);
    if found.version.is_none()
        && found.missing.is_none()
        && let Some(arguments) = &entry.version
    {
        let argv = std::iter::once(program.clone().into_os_string()).chain(arguments.iter().map(Into::into)).collect();
        found.version = said(argv, search).await.as_deref().and_then(version_in);
    }
    found.program = Some(program);
    found
}

fn is_set(search: &Search, name: &str) -> bool {
    search.env.get(name).is_some_and(|value| !value.is_empty())
}

fn sign_in(entry: &Entry, search: &Search) -> SignIn {
    if entry.rehearsal {
        return SignIn::NotNeeded;
    }
    let own = entry.env.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    let keys: Vec<&String> = entry.keys.iter().map(|(name, _)| name).collect();
    if let Some(name) = keys.iter().find(|name| is_set(search, name) || own.clone().any(|own| own == **name)) {
        return SignIn::Found(format!("{name} is set"));
    }
    let home = search.home.as_deref();
    let there = entry.signed_in.iter().find(|file| home.is_some_and(|home| home.join(file).is_file()));
    match there {
        Some(file) => SignIn::Found(format!("~/{file} is there")),
        None if entry.keys.is_empty() && entry.signed_in.is_empty() => SignIn::Unknown,
        None => SignIn::NotFound,
    }
}

/// The first program of that name on the path. A name with a slash is a file.
fn program(name: &str, search: &Search) -> Option<PathBuf> {
    let given = Path::new(name);
    if given.components().count() > 1 {
        return runnable(given).then(|| given.to_owned());
    }
    let ends: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat"] } else { &[""] };
    // A relative folder would be another one for every session.
    let folders = std::env::split_paths(&search.path).filter(|folder| folder.is_absolute());
    folders
        .flat_map(|folder| ends.iter().map(move |end| folder.join(format!("{name}{end}"))))
        .find(|file| runnable(file))
}

fn runnable(file: &Path) -> bool {
    let Ok(about) = file.metadata() else { return false };
    #[cfg(unix)]
    let may = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may = true;
    about.is_file() && may
}

/// Whether the program is a script that Node.js runs.
fn is_for_node(program: &Path) -> bool {
    let mut start = [0; 128];
    let read = std::fs::File::open(program).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let line = start[..read].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    // On Windows it is a file of commands instead.
    line.strip_prefix("#!").is_some_and(|rest| rest.contains("node")) || program.extension() == Some(OsStr::new("cmd"))
}

/// Packages say their version in a file, which is quicker and surer than asking their program.
fn packaged_version(program: &Path) -> Option<String> {
    let program = program.canonicalize().ok()?;
    let within = program.components().any(|part| part.as_os_str() == "node_modules");
    let file =
        program.ancestors().skip(1).take(6).map(|folder| folder.join("package.json")).find(|file| file.is_file());
    let text = std::fs::read(file.filter(|_| within)?).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    version_in(package.get("version")?.as_str()?)
}

async fn node_version(search: &Search) -> Option<(u32, u32)> {
    let node = program("node", search)?;
    let version = said(vec![node.into(), "--version".into()], search).await?;
    let version = version_in(&version)?;
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The first thing that looks like a version.
fn version_in(text: &str) -> Option<String> {
    static VERSION: std::sync::LazyLock<Regex> = std::sync::LazyLock::new(|| {
        Regex::new(r"\b(?:v)?(\d{1,6}\.\d{1,6}(?:\.\d{1,9})?(?:-[0-9A-Za-z.-]{1,30})?)").expect("a constant pattern")
    });
    Some(VERSION.captures(text)?[1].to_owned())
}

/// What a program prints, if it ends in time. Nothing of it is left either way.
async fn said(argv: Vec<OsString>, search: &Search) -> Option<String> {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let marker = format!("signalbox-detect/{}/{}", std::process::id(), ASKED.fetch_add(1, Ordering::Relaxed));
    let (sender, mut reports) = mpsc::channel(16);
    // A script for Node.js finds its interpreter where the agent's program was found.
    let path = search.path.to_str().map(|path| ("PATH".to_owned(), path.to_owned()));
    let spec = Spec {
        argv,
        dir: std::env::temp_dir(),
        env: path.into_iter().collect(),
        marker: marker.clone(),
        masker: Masker::default(),
        limit: Some(64 * 1024),
        log_so_far: (0, 0),
    };
    let handle = spawn(spec, sender).ok()?;
    let mut text = String::new();
    let ended = timeout(search.patience, async {
        loop {
            match reports.recv().await? {
                Report::Output(piece) => text.push_str(&piece.text),
                Report::Progress(_) => {}
                Report::Exited(exit) => return Some(exit),
            }
        }
    })
    .await;
    handle.kill();
    let markers = HashSet::from([marker]);
    // Waited for, so that nothing of it is there when this returns; it takes some milliseconds.
    tokio::task::spawn_blocking(move || end_each(&markers)).await.ok();
    let exit = ended.ok().flatten()?;
    (exit.code == Some(0)).then_some(text)
}
