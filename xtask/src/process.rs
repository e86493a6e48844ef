//! Running programs: each is shown before it starts, and a failure names it.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

use anyhow::{Context, Result, bail};

/// The repository's root.
///
/// As cargo says when it runs this: a build that was copied with its `target` must not work on the tree it came from.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let manifest = PathBuf::from(manifest);
        manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
    });
    &ROOT
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A binary of the development profile.
pub(crate) fn binary(name: &str) -> PathBuf {
    target().join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// A program to run, with the words that show it.
pub(crate) struct Program {
    command: Command,
    shown: String,
}

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let name = name.as_ref();
        let mut command = Command::new(name);
        command.current_dir(root());
        let shown = Path::new(name).strip_prefix(root()).unwrap_or(Path::new(name)).display().to_string();
        Self { command, shown }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            let arg = arg.as_ref();
            self.command.arg(arg);
            let text = arg.to_string_lossy();
            self.shown.push(' ');
            self.shown.push_str(&if text.contains(' ') { format!("'{text}'") } else { text.into_owned() });
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In a folder of the repository.
    pub(crate) fn within(mut self, folder: &str) -> Self {
        self.command.current_dir(root().join(folder));
        self.shown = format!("({folder}) {}", self.shown);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("> {}", self.shown);
        let status = self.command.status().with_context(|| format!("`{}` could not be started", self.shown))?;
        if !status.success() {
            bail!("`{}` failed: {status}", self.shown);
        }
        Ok(())
    }

    /// Runs it without showing it, and gives what it printed.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self
            .command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("`{}` could not be started", self.shown))?;
        if !output.status.success() {
            bail!("`{}` failed: {}\n{}", self.shown, output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts it and does not wait.
    pub(crate) fn start(mut self) -> Result<Child> {
        println!("> {}", self.shown);
        self.command.spawn().with_context(|| format!("`{}` could not be started", self.shown))
    }
}

/// The cargo that runs this.
pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Program {
    let mut program = Program::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    program.shown = "cargo".to_owned();
    program.args(args)
}

/// npm, whose name on Windows is that of a script.
pub(crate) fn npm(folder: &str, args: &[&str]) -> Program {
    Program::new(if cfg!(windows) { "npm.cmd" } else { "npm" }).args(args).within(folder)
}

/// Where a program is, if it can be run.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).chain(["/usr/sbin".into()]).map(|folder| folder.join(&file)).find(|path| path.is_file())
}
