//! The app in folders of its own, and what a test does with it.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::webdriver::Driver;

const APP: &str = env!("CARGO_BIN_EXE_signalbox-desktop");
/// From the driver's start to the page that says it is ready, on a machine that does other work as well.
const START: Duration = Duration::from_secs(90);
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer, at most for `limit`.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing tells a test when a process or a page is so far")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Sends a process a signal.
pub(crate) fn signal(pid: u64, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status().ok();
}

/// Whether a process is there, and not only waits to be collected.
pub(crate) fn alive(pid: u64) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A child that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Folders of one test.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
    env: Vec<(&'static str, &'static str)>,
}

impl Sandbox {
    /// With a project `shop` that has these workflows.
    pub(crate) fn new(name: &str, workflows: &[(&str, &str)]) -> Self {
        let sandbox = Self {
            folder: tempfile::Builder::new().prefix(&format!("signalbox-desktop-{name}-")).tempdir().unwrap(),
            env: Vec::new(),
        };
        sandbox.project("shop", workflows);
        sandbox
    }

    pub(crate) fn project(&self, name: &str, workflows: &[(&str, &str)]) -> PathBuf {
        let project = self.folder.path().join(name);
        let folder = project.join(".signalbox/workflows");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in workflows {
            fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
        }
        project
    }

    /// Sets a variable for the app.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Its folder: `data` and the projects are in it.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = self.folder.path();
        for name in ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(name, folder.join(name));
        }
        command.env("SIGNALBOX_DATA_DIR", folder.join("data")).env("SIGNALBOX_CONFIG_DIR", folder.join("config"));
        command.envs(self.env.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Starts a copy of the app without driving it.
    pub(crate) fn start(&self, arguments: &[&OsStr]) -> Running {
        Running(self.command(APP).args(arguments).spawn().unwrap())
    }

    /// The process whose host has this sandbox's data; none once it was closed.
    pub(crate) fn host_pid(&self) -> Option<u64> {
        let text = fs::read_to_string(self.folder.path().join("data/host.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["pid"].as_u64()
    }

    /// Starts the app on `shop` and waits until its page is ready.
    pub(crate) fn drive(&self) -> App<'_> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut driver = self.command("WebKitWebDriver");
        // Without the variable the app does not let itself be driven, and a new session waits for ever.
        driver.args([format!("--port={port}"), "--host=127.0.0.1".into()]).env("TAURI_WEBVIEW_AUTOMATION", "true");
        let process = Running(driver.spawn().expect("WebKitWebDriver starts; `cargo xtask setup` installs it"));
        let shop = self.folder.path().join("shop");
        let session = until("the driver to listen", PATIENCE, || Driver::connect(port));
        let driver = session.open(&json!({ "binary": APP, "args": [shop] }), START).unwrap();
        let app = App { sandbox: self, driver, _process: process };
        until("the page to be ready", START, || {
            let ready =
                app.driver.script("return document.documentElement.dataset.ready === 'true'", &json!([])).ok()?;
            (ready == true).then_some(())
        });
        // What goes wrong in the page from here on is asked for at the end.
        app.driver.script("window.problems = []; window.addEventListener('error', (e) => window.problems.push(e.message)); window.addEventListener('securitypolicyviolation', (e) => window.problems.push(`${e.violatedDirective}: ${e.blockedURI}`));", &json!([])).unwrap();
        app
    }
}

/// The app with its window.
pub(crate) struct App<'a> {
    sandbox: &'a Sandbox,
    driver: Driver,
    _process: Running,
}

fn selector(id: &str) -> String {
    format!("[data-testid='{id}']")
}

impl App<'_> {
    /// Waits for an element.
    pub(crate) fn wait(&self, id: &str) -> String {
        self.seen(id, &format!("{id} to be there"), || self.driver.find(&selector(id)))
    }

    fn seen<T>(&self, id: &str, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            if Instant::now() > end {
                self.screenshot("desktop-failed");
                let text = self.driver.script("return document.body.innerText", &json!([]));
                panic!(
                    "waited {PATIENCE:?} for {what}; {id} is {:?}; the page shows: {text:?}",
                    self.attribute(id, "data-state")
                );
            }
            pause();
        }
    }

    /// Clicks an element as a person would: it must be visible, and nothing may lie above it.
    pub(crate) fn click(&self, id: &str) {
        self.seen(id, &format!("{id} to be clicked"), || self.driver.click(&self.driver.find(&selector(id))?).ok());
    }

    /// Replaces the text of a field.
    pub(crate) fn fill(&self, id: &str, text: &str) {
        let element = self.wait(id);
        self.driver.fill(&element, text).unwrap();
    }

    /// Waits until an element is no longer there.
    pub(crate) fn wait_gone(&self, id: &str) {
        self.seen(id, &format!("{id} to be gone"), || self.driver.find(&selector(id)).is_none().then_some(()));
    }

    fn attribute(&self, id: &str, name: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null";
        self.driver.script(script, &json!([selector(id), name])).ok()?.as_str().map(str::to_owned)
    }

    pub(crate) fn wait_state(&self, id: &str, state: &str) {
        self.seen(id, &format!("{id} to be {state}"), || (self.attribute(id, "data-state")? == state).then_some(()));
    }

    pub(crate) fn wait_text(&self, id: &str, text: &str) {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        self.seen(id, &format!("{id} to say {text:?}"), || {
            let found = self.driver.script(script, &json!([selector(id)])).ok()?;
            found.as_str()?.contains(text).then_some(())
        });
    }

    /// Errors of the page since it was ready.
    pub(crate) fn errors(&self) -> Vec<String> {
        let found = self.driver.script("return window.problems", &json!([])).unwrap();
        found.as_array().unwrap().iter().map(|text| text.to_string()).collect()
    }

    /// Runs a script that ends by calling its last argument; gives what it was called with.
    pub(crate) fn script_async(&self, script: &str, limit: Duration) -> Value {
        self.driver.script_async(script, limit).unwrap()
    }

    pub(crate) fn back(&self) {
        self.driver.back().unwrap();
    }

    /// A picture in `target/screenshots`.
    pub(crate) fn screenshot(&self, name: &str) {
        // The last painted frame is taken: two more make sure that it shows what is there.
        let frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(null)))";
        self.driver.script_async(frames, PATIENCE).ok();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        if let Ok(picture) = self.driver.screenshot() {
            fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }
}

impl Drop for App<'_> {
    fn drop(&mut self) {
        let pid = self.sandbox.host_pid();
        // Ends the app as closing it would; what hangs is ended by force, so that the next test finds the bus free.
        self.driver.close();
        let Some(pid) = pid else { return };
        signal(pid, "TERM");
        let end = Instant::now() + PATIENCE;
        while alive(pid) && Instant::now() < end {
            pause();
        }
        signal(pid, "KILL");
    }
}
