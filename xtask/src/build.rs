//! Building: the UI first, since the binaries embed it.

use std::{fs, path::Path, time::SystemTime};

use anyhow::{Context, Result, bail};

use crate::{
    process::{cargo, npm, root},
    setup,
};

/// Builds the UI, if something that it is made of is newer.
pub(crate) fn ui() -> Result<()> {
    setup::node_modules("ui")?;
    let built = modified(&root().join("ui/dist/index.html"));
    let made_of =
        ["ui/src", "ui/public", "ui/index.html", "ui/vite.config.ts", "ui/package.json", "ui/package-lock.json"];
    let newest = made_of.iter().filter_map(|path| newest(&root().join(path))).max();
    if built.is_some() && built >= newest {
        println!("The UI is up to date.");
        return Ok(());
    }
    // A build that changes nothing would still make everything that embeds it be built again: hence the look at the times.
    npm("ui", &["run", "build"]).run()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn newest(path: &Path) -> Option<SystemTime> {
    let own = modified(path);
    let Ok(entries) = fs::read_dir(path) else { return own };
    entries.flatten().filter_map(|entry| newest(&entry.path())).chain(own).max()
}

/// Builds the binaries of the whole workspace at once: built apart, crates would get other features and be built twice.
pub(crate) fn binaries() -> Result<()> {
    cargo(["build", "--workspace", "--exclude", "xtask", "--bins"]).run()
}

/// Builds what a machine without a display needs.
pub(crate) fn headless() -> Result<()> {
    cargo(["build", "--package", "signalbox-cli"]).run()
}

pub(crate) fn release() -> Result<()> {
    setup::for_app()?;
    ui()?;
    cargo(["build", "--release", "--package", "signalbox-cli", "--package", "signalbox-desktop"]).run()?;
    println!("\ntarget/release has signalbox (headless host and command line) and signalbox-desktop (the app).");
    Ok(())
}

/// For the UI, and for programs that use the client in TypeScript.
const PROTOCOLS: [&str; 2] = ["ui/src/platform/protocol.ts", "clients/typescript/src/protocol.ts"];

fn generated() -> Result<String> {
    println!("> cargo run --package signalbox-wire --example codegen");
    cargo(["run", "--quiet", "--package", "signalbox-wire", "--example", "codegen"]).output()
}

pub(crate) fn codegen() -> Result<()> {
    let text = generated()?;
    for protocol in PROTOCOLS {
        let path = root().join(protocol);
        if fs::read_to_string(&path).is_ok_and(|now| now == text) {
            println!("{protocol} is up to date.");
            continue;
        }
        fs::write(&path, &text).with_context(|| format!("{protocol} could not be written"))?;
        println!("{protocol} is new.");
    }
    Ok(())
}

pub(crate) fn codegen_is_fresh() -> Result<()> {
    let text = generated()?;
    for protocol in PROTOCOLS {
        if fs::read_to_string(root().join(protocol)).unwrap_or_default() != text {
            bail!("{protocol} is not what the Rust types say: run `cargo xtask codegen` and commit it");
        }
        println!("{protocol} is up to date.");
    }
    Ok(())
}
