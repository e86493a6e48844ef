//! Installing what is missing. It is said before it is done, and nothing is done twice.

use std::fs;

use anyhow::{Result, bail};

use crate::process::{Program, find, npm, root};

/// Debian and Ubuntu packages, and what each is for.
type Packages = &'static [(&'static str, &'static str)];

const APP: Packages = &[
    ("build-essential", "compiles SQLite"),
    ("pkg-config", "finds WebKit"),
    ("libwebkit2gtk-4.1-dev", "the app's window"),
    ("libayatana-appindicator3-1", "the app's tray icon"),
    ("fonts-dejavu-core", "letters in the window"),
];

/// The examples of the documentation are run as they stand there; secrets go into a real keychain.
const RUST_TESTS: Packages = &[
    ("git", "what agents do is kept in it"),
    ("curl", "an example of the protocol's documentation"),
    ("python3", "an example of the protocol's documentation"),
    ("dbus-daemon", "a session bus for the test of secrets"),
    ("gnome-keyring", "a keychain for the test of secrets"),
];

const DESKTOP_TESTS: Packages = &[
    ("xvfb", "a display for the desktop tests"),
    ("xauth", "used by xvfb-run"),
    ("dbus", "a session bus for the desktop tests"),
    ("webkit2gtk-driver", "drives the real window"),
    ("gnome-keyring", "a keychain for the desktop tests"),
    ("xdg-utils", "opens links as a person would"),
    ("iproute2", "machines of their own for several viewers"),
];

/// Names under which a Chromium may be installed. Ubuntu's package of that name is no browser but an installer.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub(crate) fn everything() -> Result<()> {
    for_tests(true, true, true)?;
    println!("\nEverything is there. `cargo xtask run` opens the app, `cargo xtask test` runs the tests.");
    Ok(())
}

/// What the app's build needs.
pub(crate) fn for_app() -> Result<()> {
    packages(APP)
}

/// What the tests need.
pub(crate) fn for_tests(app: bool, desktop: bool, browser: bool) -> Result<()> {
    let mut wanted = Vec::new();
    if app {
        wanted.extend_from_slice(APP);
        wanted.extend_from_slice(RUST_TESTS);
        // Their packages may start a server, which is nothing to do to somebody's own machine: there their tests are left out.
        if std::env::var_os("CI").is_some() {
            wanted.push(("nginx-light", "a reverse proxy for the test of docs/reverse-proxy.md"));
            wanted.push(("caddy", "the same with another proxy"));
        }
    }
    if desktop {
        wanted.extend_from_slice(DESKTOP_TESTS);
        // Some systems have it with another browser, and no package of this name.
        if find("chromedriver").is_none() {
            wanted.push(("chromium", "viewers beside the window"));
            wanted.push(("chromium-driver", "drives them"));
        }
    }
    if browser && self::browser().is_none() {
        wanted.push(("chromium", "the browser tests"));
    }
    packages(&wanted)?;
    if find("cargo-nextest").is_none() {
        println!(
            "cargo-nextest is not installed: `cargo test` is used. It is faster with it: `cargo install --locked cargo-nextest`."
        );
    }
    if app || browser {
        node_modules("ui")?;
    }
    if browser {
        node_modules("tests/browser")?;
    }
    Ok(())
}

/// The browser that the tests use.
pub(crate) fn browser() -> Option<std::path::PathBuf> {
    std::env::var_os("CHROMIUM").map(Into::into).or_else(|| BROWSERS.iter().find_map(|name| find(name)))
}

fn packages(wanted: &[(&str, &str)]) -> Result<()> {
    if !cfg!(target_os = "linux") {
        // WebKit comes with macOS, WebView2 with Windows; compilers come with Rust's own set-up there.
        return Ok(());
    }
    if find("apt-get").is_none() || find("dpkg-query").is_none() {
        let names: Vec<String> = wanted.iter().map(|(name, why)| format!("  {name} ({why})")).collect();
        println!(
            "This is neither Debian nor Ubuntu, so nothing is installed. Needed, under their Debian names:\n{}",
            names.join("\n")
        );
        return Ok(());
    }
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing with apt-get:");
    for (name, why) in &missing {
        println!("  {name} ({why})");
    }
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing.iter().map(|(name, _)| *name));
    apt(&["update"])?;
    if apt(&install).is_err() {
        // An interrupted installation before this one leaves packages half done; this ends it, then it works.
        apt(&["--fix-broken", "install", "--yes"])?;
        apt(&install)?;
    }
    Ok(())
}

fn installed(package: &str) -> bool {
    let status = Program::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    status.is_ok_and(|status| status.trim() == "installed")
}

fn apt(arguments: &[&str]) -> Result<()> {
    // A machine that has just started may update itself: its lock is waited for.
    let command = [
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=600",
        "-o",
        "Acquire::Retries=3",
        "--quiet",
    ];
    let root = Program::new("id").args(["-u"]).output().is_ok_and(|id| id.trim() == "0");
    let program = if root {
        Program::new("env")
    } else if find("sudo").is_some() {
        Program::new("sudo").args(["env"])
    } else {
        bail!(
            "packages are missing and this user is not root: run `apt-get {}` as root, then this again",
            arguments.join(" ")
        );
    };
    program.args(command).args(arguments).run()
}

/// Installs a folder's npm packages, if its lock file is newer than what is installed.
pub(crate) fn node_modules(folder: &str) -> Result<()> {
    node()?;
    let modified =
        |path: &str| fs::metadata(root().join(folder).join(path)).and_then(|metadata| metadata.modified()).ok();
    // npm writes this file at the end.
    let installed = modified("node_modules/.package-lock.json");
    if installed.is_some() && installed >= modified("package-lock.json") {
        return Ok(());
    }
    println!("Installing the npm packages of {folder}.");
    // The tests drive a browser that is installed already: Playwright's own would be a large download.
    npm(folder, &["ci", "--no-audit", "--no-fund"]).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").run()
}

fn node() -> Result<()> {
    const WANTED: (u32, u32) = (20, 19);
    let hint = "install Node.js 20.19 or newer (https://nodejs.org), then run this again";
    let Ok(version) = Program::new("node").args(["--version"]).output() else { bail!("Node.js is missing: {hint}") };
    let mut parts = version.trim().trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < WANTED {
        bail!("Node.js {} is too old: {hint}", version.trim());
    }
    Ok(())
}
