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

use crate::{machines::Machine, processes, webdriver::Driver};

pub(crate) const APP: &str = env!("CARGO_BIN_EXE_signalbox-desktop");
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

/// Lets a page be for a while: some figures are of an app that rests.
#[expect(clippy::disallowed_methods, reason = "what does nothing tells nobody so")]
pub(crate) fn rest(duration: Duration) {
    std::thread::sleep(duration);
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
    env: Vec<(&'static str, String)>,
    machine: Option<Machine>,
    /// Whether the app finds its data where it usually is: below `XDG_DATA_HOME`.
    usual: bool,
}

impl Sandbox {
    /// With a project `shop` that has these workflows.
    pub(crate) fn new(name: &str, workflows: &[(&str, &str)]) -> Self {
        let sandbox = Self {
            folder: tempfile::Builder::new().prefix(&format!("signalbox-desktop-{name}-")).tempdir().unwrap(),
            env: Vec::new(),
            machine: None,
            usual: false,
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
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Puts the app on a machine of the test.
    pub(crate) fn on(mut self, machine: &Machine) -> Self {
        self.machine = Some(machine.clone());
        self
    }

    /// Leaves the app to find its data where it usually is, within these folders.
    pub(crate) fn usual(mut self) -> Self {
        self.usual = true;
        self
    }

    /// Its folder: `data` and the projects are in it.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A program in these folders, on its machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.machine.as_ref().map_or_else(|| Command::new(program), |on| on.command(program));
        let folder = self.folder.path();
        for name in ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(name, folder.join(name));
        }
        if self.usual {
            command.env("HOME", folder).env_remove("SIGNALBOX_DATA_DIR").env_remove("SIGNALBOX_CONFIG_DIR");
        } else {
            command.env("SIGNALBOX_DATA_DIR", folder.join("data")).env("SIGNALBOX_CONFIG_DIR", folder.join("config"));
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// Starts a copy of the app without driving it.
    pub(crate) fn start(&self, arguments: &[&OsStr]) -> Running {
        Running(self.command(APP).args(arguments).spawn().unwrap())
    }

    /// The process whose host has this sandbox's data; none once it was closed.
    pub(crate) fn host_pid(&self) -> Option<u64> {
        let data = if self.usual { "XDG_DATA_HOME/signalbox" } else { "data" };
        let text = fs::read_to_string(self.folder.path().join(data).join("host.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["pid"].as_u64()
    }

    /// Starts the app on `shop` and waits until its page is ready.
    pub(crate) fn drive(&self) -> App<'_> {
        let shop = self.folder.path().join("shop");
        self.launch(Path::new(APP), &[shop.as_os_str()])
    }

    /// Starts a program that opens a window, and waits until its page is ready.
    pub(crate) fn launch(&self, program: &Path, arguments: &[&OsStr]) -> App<'_> {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        let options = json!({ "webkitgtk:browserOptions": { "binary": program, "args": arguments } });
        let port = free_port();
        let mut driver = self.command("WebKitWebDriver");
        // Without the variable the app does not let itself be driven, and a new session waits for ever.
        driver.args([format!("--port={port}"), "--host=127.0.0.1".into()]).env("TAURI_WEBVIEW_AUTOMATION", "true");
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let app = App { sandbox: self, name, page: Page::open(driver, port, self.machine.as_ref(), &options) };
        app.ready();
        app
    }

    /// Starts Chromium, on an empty page.
    pub(crate) fn browse(&self) -> Page {
        let profile = self.folder.path().join("chromium").to_string_lossy().into_owned();
        let options = json!({
            // The host made its certificate itself: nobody vouches for it, and a person clicks that away.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--window-size=1280,900", format!("--user-data-dir={profile}"),
            ] },
        });
        let port = free_port();
        let mut driver = self.command("chromedriver");
        driver.arg(format!("--port={port}")).stdout(Stdio::null());
        Page::open(driver, port, self.machine.as_ref(), &options)
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The app with its window.
pub(crate) struct App<'a> {
    sandbox: &'a Sandbox,
    /// Of its program.
    name: String,
    page: Page,
}

impl App<'_> {
    fn started(&self) -> Option<u64> {
        processes::running(self.page.process.0.id().into(), &self.name)
    }

    /// The process that has the window.
    pub(crate) fn pid(&self) -> u64 {
        self.started().expect("the program that was started runs")
    }
}

impl std::ops::Deref for App<'_> {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

/// A page that is driven: the app's, or a browser's.
pub(crate) struct Page {
    driver: Driver,
    process: Running,
}

fn selector(id: &str) -> String {
    format!("[data-testid='{id}']")
}

impl Page {
    fn open(mut driver: Command, port: u16, machine: Option<&Machine>, options: &Value) -> Self {
        let name = driver.get_program().to_string_lossy().into_owned();
        let process =
            Running(driver.spawn().unwrap_or_else(|_| panic!("{name} starts; `cargo xtask setup` installs it")));
        let session = until("the driver to listen", PATIENCE, || Driver::connect(port, machine));
        Self { driver: session.open(options, START).unwrap(), process }
    }

    /// Shows an address.
    pub(crate) fn go(&self, url: &str) {
        self.driver.go(url).unwrap();
    }

    /// Waits until the first view is complete.
    pub(crate) fn ready(&self) {
        until("the page to be ready", START, || {
            let ready =
                self.driver.script("return document.documentElement.dataset.ready === 'true'", &json!([])).ok()?;
            (ready == true).then_some(())
        });
        // What goes wrong in the page from here on is asked for at the end.
        self.driver.script("window.problems = []; window.addEventListener('error', (e) => window.problems.push(e.message)); window.addEventListener('securitypolicyviolation', (e) => window.problems.push(`${e.violatedDirective}: ${e.blockedURI}`));", &json!([])).unwrap();
    }

    /// Runs a script; gives what it returns.
    pub(crate) fn script(&self, script: &str, arguments: &Value) -> Value {
        self.driver.script(script, arguments).unwrap()
    }

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

    /// Clicks an element if it is there at this moment.
    pub(crate) fn click_if_there(&self, id: &str) {
        if let Some(element) = self.driver.find(&selector(id)) {
            self.driver.click(&element).ok();
        }
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

    pub(crate) fn attribute(&self, id: &str, name: &str) -> Option<String> {
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
        let pid = self.sandbox.host_pid().or_else(|| self.started());
        // Ends the app as closing it would; what hangs is ended by force, so that the next test finds the bus free.
        self.page.driver.close();
        let Some(pid) = pid else { return };
        signal(pid, "TERM");
        let end = Instant::now() + PATIENCE;
        while alive(pid) && Instant::now() < end {
            pause();
        }
        signal(pid, "KILL");
    }
}
