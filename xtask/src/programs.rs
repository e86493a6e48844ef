//! `cargo xtask programs`: tests with clients that others wrote.

use std::fs;

use anyhow::Result;

use crate::process::{Program, cargo, npm, root, target};

/// Packages of npm, with the name that they get here. The versions are those that were tried, and run on Node.js 20.
const NODE: [&str; 4] =
    ["client1@npm:@ag-ui/client@1.0.0", "client0@npm:@ag-ui/client@0.0.58", "ws@8.18.3", "eventsource@2.0.2"];
/// Packages of PyPI.
const PYTHON: [&str; 3] = ["httpx==0.28.1", "httpx-sse==0.4.3", "websockets==15.0.1"];

/// What holds the host to its OpenAPI document.
const SCHEMA: [&str; 1] = ["schemathesis==4.32.5"];

/// Our own client in TypeScript.
const CLIENT: &str = "clients/typescript";

/// Installs them below `target`, once, and runs the tests.
pub(crate) fn run() -> Result<()> {
    let folder = target().join("programs");
    let (node, python) = (folder.join("node"), folder.join("python"));
    if !node.join("node_modules/eventsource").is_dir() {
        fs::create_dir_all(&node)?;
        fs::write(node.join("package.json"), "{ \"private\": true }\n")?;
        let within = node.to_string_lossy();
        npm(&within, &["install", "--no-audit", "--no-fund", "--loglevel=error"]).args(NODE).run()?;
    }
    for (folder, package, wanted) in
        [(&python, "httpx_sse", &PYTHON[..]), (&folder.join("schemathesis"), "schemathesis", &SCHEMA[..])]
    {
        if !folder.join(package).is_dir() {
            let within = folder.to_string_lossy().into_owned();
            let install = ["-m", "pip", "install", "--quiet", "--target", &within];
            Program::new("python3").args(install.into_iter().chain(wanted.iter().copied())).run()?;
        }
    }
    cargo(["test", "--package", "signalbox-cli", "--test", "integration"])
        .args(["--", "--ignored", "--nocapture", "--test-threads=1", "programs::"])
        .env("SIGNALBOX_PROGRAMS", &folder)
        .run()?;
    // Built by the tests before.
    let binary = target().join("debug/signalbox").with_extension(std::env::consts::EXE_EXTENSION);
    if !root().join(CLIENT).join("node_modules").is_dir() {
        npm(CLIENT, &["ci", "--no-audit", "--no-fund", "--loglevel=error"]).run()?;
    }
    npm(CLIENT, &["test"]).env("SIGNALBOX_BIN", &binary).run()
}
