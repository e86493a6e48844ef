//! `cargo xtask agents`: tests with real coding agents, and a scripted model behind them.

use std::fs;

use anyhow::{Result, bail};

use crate::process::{Program, cargo, npm, target};

/// Agents by id, with the package that has them. The versions are those that were tried, and run on Node.js 20.
const AGENTS: [(&str, &str); 5] = [
    ("gemini", "@google/gemini-cli@0.61.0"),
    ("qwen", "@qwen-code/qwen-code@0.15.10"),
    ("codex", "@agentclientprotocol/codex-acp@2.6.0"),
    ("opencode", "opencode-ai@1.18.33"),
    ("claude", "@agentclientprotocol/claude-agent-acp@0.49.0"),
];

/// Installs the agents below `target`, each in a folder of its own, and runs the tests: of the session, and of workflows.
pub(crate) fn run(wanted: &[&str]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|id| !AGENTS.iter().any(|(known, _)| known == *id)) {
        bail!("{unknown:?} is none of {}", AGENTS.map(|(id, _)| id).join(", "));
    }
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    for (id, package) in AGENTS.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id)) {
        let folder = target().join("agents").join(id);
        if !folder.join("node_modules/.bin").is_dir() {
            println!("installing {package} into {}", folder.display());
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("package.json"), "{ \"private\": true }\n")?;
            let within = folder.to_string_lossy();
            npm(&within, &["install", "--no-audit", "--no-fund", "--loglevel=error", package]).run()?;
        }
        let folders: Vec<_> = std::env::split_paths(&path).chain([folder.join("node_modules/.bin")]).collect();
        path = std::env::join_paths(folders)?;
    }
    let tests = |program: Program, ids: &[String]| -> Result<()> {
        // Each starts several processes of half a gigabyte: one after the other.
        program
            .args(["--", "--ignored", "--nocapture", "--test-threads=1"])
            .args(ids.iter().map(String::as_str))
            .env("PATH", &path)
            .env("SIGNALBOX_REAL_AGENTS", "1")
            .run()
    };
    let ids: Vec<String> = wanted.iter().map(|id| (*id).to_owned()).collect();
    tests(cargo(["test", "--package", "signalbox-agent", "--test", "real"]), &ids)?;
    let named: Vec<String> = match ids.is_empty() {
        true => vec!["real_agents::".to_owned()],
        false => ids.iter().map(|id| format!("real_agents::{id}")).collect(),
    };
    tests(cargo(["test", "--package", "signalbox-cli", "--test", "integration"]), &named)
}
