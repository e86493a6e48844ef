//! The catalogue on a machine made of fake programs.
#![cfg(unix)]

use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    time::{Duration, Instant},
};

use signalbox_agent::{
    Offers,
    catalogue::{self, Custom, CustomError, Entry, Found, Mode, Search, SignIn, detect},
};
use tempfile::TempDir;

struct Machine {
    folder: TempDir,
    search: Search,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "home"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let search = Search {
            // The shell of the fake programs is the real one.
            path: format!("{}:/usr/bin:/bin", folder.path().join("bin").display()).into(),
            home: Some(folder.path().join("home")),
            env: HashMap::new(),
            own: None,
            patience: Duration::from_secs(10),
        };
        Self { folder, search }
    }

    /// Puts a script on the path.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let file = self.folder.path().join("bin").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    async fn find(&self, id: &str) -> Found {
        let entry = catalogue::known().into_iter().find(|entry| entry.id == id).unwrap();
        detect(&entry, &self.search).await
    }
}

/// A script that ends with what a shell runs, and looks as if Node.js ran it.
const FOR_NODE: &str = "#!/usr/bin/env -S sh -c 'node'\n";

#[test]
fn every_agent_says_how_to_get_it() {
    let known = catalogue::known();
    let ids: Vec<&str> = known.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(
        ids,
        ["claude", "codex", "gemini", "opencode", "goose", "qwen", "kimi", "vibe", "fast-agent", "rehearsal"]
    );
    for entry in &known {
        assert!(!entry.install.is_empty() && !entry.sign_in.is_empty() && !entry.licence.is_empty(), "{}", entry.id);
        assert!(!entry.commands.is_empty() && entry.commands.iter().all(|command| !command.is_empty()), "{}", entry.id);
    }
    let codex = &known[1];
    assert_eq!((codex.mode(Mode::ReadOnly), codex.mode(Mode::Work)), (Some("read-only"), Some("workspace-write")));
}

#[tokio::test]
async fn what_is_missing_is_said_with_how_to_get_it() {
    let mut machine = Machine::new();
    machine.search.path = machine.folder.path().join("bin").into();
    let found = machine.find("gemini").await;
    assert_eq!(
        found.missing.as_deref(),
        Some("Gemini CLI is not installed (no gemini on the PATH): npm install -g @google/gemini-cli")
    );
    assert_eq!((found.program, found.version, found.sign_in), (None, None, SignIn::NotFound));
    // What cannot be run is not there.
    let file = machine.program("gemini", "#!/bin/sh\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(machine.find("gemini").await.missing.is_some());
}

#[tokio::test]
async fn a_program_is_asked_for_its_version() {
    let machine = Machine::new();
    let file = machine.program("opencode", "#!/bin/sh\necho opencode version v1.18.33 $1\n");
    let found = machine.find("opencode").await;
    assert_eq!((found.version.as_deref(), found.missing, found.program.as_ref()), (Some("1.18.33"), None, Some(&file)));
    assert_eq!(found.argv, [file.into_os_string(), "acp".into()]);
    for script in [
        "#!/bin/sh\necho no idea\n",
        "#!/bin/sh\necho 1.2.3\nexit 1\n",
        "#!/bin/sh\nhead -c 300000 /dev/zero\n",
        "not a program",
    ] {
        machine.program("opencode", script);
        let found = machine.find("opencode").await;
        assert_eq!((found.version, found.missing), (None, None), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_what_it_started() {
    let mut machine = Machine::new();
    machine.search.patience = Duration::from_millis(300);
    let mark = machine.folder.path().join("pids");
    machine
        .program("opencode", &format!("#!/bin/sh\nsetsid sleep 600 &\necho $! $$ > {}\nsleep 600\n", mark.display()));
    // A machine may be too busy for the program to begin before it is given up: then with more patience.
    let pids = loop {
        let start = Instant::now();
        let found = machine.find("opencode").await;
        assert!(start.elapsed() < machine.search.patience + Duration::from_secs(20));
        assert_eq!((found.version, found.missing), (None, None));
        match std::fs::read_to_string(&mark) {
            Ok(text) if text.ends_with('\n') => break text,
            other => assert!(machine.search.patience < Duration::from_secs(60), "it never began: {other:?}"),
        }
        machine.search.patience *= 4;
    };
    for pid in pids.split_whitespace() {
        assert_eq!(signalbox_process::start_time(pid.parse().unwrap()), None, "{pid} is alive");
    }
}

#[tokio::test]
async fn a_node_that_is_too_old_is_missing() {
    let mut machine = Machine::new();
    machine.search.path = format!("{}:/bin", machine.folder.path().join("bin").display()).into();
    machine.program("kimi", FOR_NODE);
    for (node, missing) in [
        (
            "#!/bin/sh\necho v20.20.0\n",
            Some("Kimi Code needs Node.js 22.19 or later, and `node` on the PATH is 20.20: install a later one"),
        ),
        (
            "#!/bin/sh\necho v22.18.9\n",
            Some("Kimi Code needs Node.js 22.19 or later, and `node` on the PATH is 22.18: install a later one"),
        ),
        ("#!/bin/sh\necho v24.1.0\n", None),
        (
            "#!/bin/sh\necho what\n",
            Some("Kimi Code needs Node.js 22.19 or later, and there is no `node` on the PATH: install it"),
        ),
    ] {
        machine.program("node", node);
        assert_eq!(machine.find("kimi").await.missing.as_deref(), missing, "{node}");
    }
    // A program that needs no Node.js is not asked for one.
    machine.program("kimi", "#!/bin/sh\necho 2.1.0\n");
    let found = machine.find("kimi").await;
    assert_eq!((found.version.as_deref(), found.missing), (Some("2.1.0"), None));
}

#[tokio::test]
async fn a_package_says_its_version_without_being_run() {
    let machine = Machine::new();
    let package = machine.folder.path().join("lib/node_modules/@google/gemini-cli");
    std::fs::create_dir_all(package.join("bundle")).unwrap();
    std::fs::write(package.join("package.json"), r#"{"name": "@google/gemini-cli", "version": "0.61.0"}"#).unwrap();
    let ran = machine.folder.path().join("ran");
    let script = machine.program(
        "../lib/node_modules/@google/gemini-cli/bundle/gemini.js",
        &format!("#!/bin/sh\ntouch {}\n", ran.display()),
    );
    symlink(script, machine.folder.path().join("bin/gemini")).unwrap();
    assert_eq!(machine.find("gemini").await.version.as_deref(), Some("0.61.0"));
    assert!(!ran.exists());
}

#[tokio::test]
async fn a_sign_in_is_seen_in_files_and_variables() {
    let mut machine = Machine::new();
    let home = machine.folder.path().join("home");
    assert_eq!(machine.find("gemini").await.sign_in, SignIn::NotFound);
    std::fs::create_dir(home.join(".gemini")).unwrap();
    std::fs::write(home.join(".gemini/oauth_creds.json"), "{}").unwrap();
    assert_eq!(machine.find("gemini").await.sign_in, SignIn::Found("~/.gemini/oauth_creds.json is there".into()));
    machine.search.env.insert("GEMINI_API_KEY".into(), "k".into());
    let found = machine.find("gemini").await;
    assert_eq!(found.sign_in, SignIn::Found("GEMINI_API_KEY is set".into()));
    assert_eq!(found.ways, ["gemini-api-key"]);
    assert_eq!(machine.find("rehearsal").await.sign_in, SignIn::NotNeeded);
}

#[tokio::test]
async fn the_rehearsal_agent_is_this_projects_own_program() {
    let mut machine = Machine::new();
    assert!(machine.find("rehearsal").await.missing.unwrap().contains("put `signalbox` on the PATH"));
    let own = machine.program("elsewhere/signalbox", "#!/bin/sh\necho signalbox 0.1.0\n");
    machine.search.own = Some(own.clone());
    let found = machine.find("rehearsal").await;
    assert_eq!(found.argv, [own.into_os_string(), "agent".into(), "rehearsal".into()]);
    assert_eq!((found.version.as_deref(), found.missing), (Some("0.1.0"), None));
}

fn customs(text: &str) -> Result<Vec<Entry>, CustomError> {
    #[derive(serde::Deserialize)]
    struct Settings {
        agents: BTreeMap<String, Custom>,
    }
    catalogue::with_custom(&toml::from_str::<Settings>(text).unwrap().agents)
}

#[tokio::test]
async fn the_settings_add_and_change_agents() {
    let machine = Machine::new();
    let file = machine.program("my-agent", "#!/bin/sh\necho 7.1\n");
    let text = r#"
        [agents.mine]
        name = "My agent"
        command = ["my-agent", "--acp"]
        env = { BASE_URL = "http://127.0.0.1:8391/v1" }
        version = ["--version"]
        modes = { work = "ask" }
        [agents.qwen]
        command = ["qwen-next", "--acp"]
    "#;
    let entries = customs(text).unwrap();
    let mine = entries.last().unwrap();
    assert_eq!((mine.id.as_str(), mine.name.as_str(), mine.custom), ("mine", "My agent", true));
    let found = detect(mine, &machine.search).await;
    assert_eq!((found.version.as_deref(), found.sign_in.clone()), (Some("7.1"), SignIn::Unknown));
    let config = mine.config(&found, "/tmp".into(), "m");
    assert_eq!(config.argv, [file.into_os_string(), "--acp".into()]);
    assert_eq!((config.agent.as_str(), config.env.len(), mine.mode(Mode::Work)), ("My agent", 1, Some("ask")));
    let qwen = entries.iter().find(|entry| entry.id == "qwen").unwrap();
    assert_eq!(
        (qwen.name.as_str(), qwen.commands[0][0].as_str(), qwen.mode(Mode::Plan)),
        ("Qwen Code", "qwen-next", Some("plan"))
    );
}

#[test]
fn a_second_account_is_an_entry_of_its_own() {
    let entries = customs(
        "[agents.work]\nlike = \"codex\"\nenv = { CODEX_HOME = \"/w\" }\n[agents.codex]\nfiles = true\nterminals = true",
    )
    .unwrap();
    let by = |id: &str| entries.iter().find(|entry| entry.id == id).unwrap();
    let (work, codex) = (by("work"), by("codex"));
    assert_eq!((work.name.as_str(), work.custom), ("Codex (work)", true));
    assert_eq!((&work.commands, &work.modes, &work.keys), (&codex.commands, &codex.modes, &codex.keys));
    assert!(work.env.contains(&("CODEX_HOME".into(), "/w".into())) && work.env.len() == codex.env.len() + 1);
    assert_eq!(work.offers, Offers::default());
    assert_eq!(codex.offers, Offers { read: true, write: true, terminals: true });
    let unknown = customs("[agents.work]\nlike = \"codecs\"").unwrap_err().to_string();
    assert!(unknown.contains("agents.work.like") && unknown.contains("codex"), "{unknown}");
}

#[test]
fn what_is_wrong_in_the_settings_is_said() {
    assert_eq!(customs("[agents.mine]\nname = \"x\""), Err(CustomError::NoCommand("mine".into())));
    assert_eq!(customs("[agents.mine]\ncommand = []"), Err(CustomError::NoCommand("mine".into())));
    assert_eq!(customs("[agents.My]\ncommand = [\"x\"]"), Err(CustomError::Id("My".into())));
    assert!(toml::from_str::<Custom>("comand = [\"x\"]").unwrap_err().to_string().contains("comand"));
}
