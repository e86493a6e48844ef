//! Real agents with a scripted model behind them: no account, no network but loopback. Ignored by default; with the
//! agents on the `PATH` (see [`signalbox_agent::catalogue`]):
//!
//! ```text
//! SIGNALBOX_REAL_AGENTS=1 cargo nextest run -p signalbox-agent --test real --run-ignored all
//! ```
#![cfg(unix)]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use signalbox_agent::{
    Config, Ending, Outcome, Session, Stop, ToolState, Update,
    catalogue::{self, Mode, Search, detect},
};
use signalbox_model::{Clock as _, OptionKind, SystemClock, ToolKind, ToolStatus};
use signalbox_process::leftovers;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longest wait for a turn: a busy machine starts some agents in half a minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// The scripted model.
struct Model {
    child: Child,
    url: String,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn model(folder: &Path) -> Model {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fake_model.py");
    let port = folder.join("port");
    let child = Command::new("python3")
        .arg(script)
        .args(["--port", "0", "--port-file"])
        .arg(&port)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listening = async {
        loop {
            if let Ok(port) = std::fs::read_to_string(&port)
                && let Ok(port) = port.trim().parse::<u16>()
            {
                return format!("http://127.0.0.1:{port}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Model { child, url: tokio::time::timeout(PATIENCE, listening).await.unwrap() }
}

struct Bench {
    folder: TempDir,
    id: &'static str,
    model: Model,
    extra: Vec<&'static str>,
}

impl Bench {
    async fn new(id: &'static str) -> Option<Self> {
        if std::env::var_os("SIGNALBOX_REAL_AGENTS").is_none() {
            println!("SIGNALBOX_REAL_AGENTS is not set: nothing was tested");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let model = model(folder.path()).await;
        let bench = Self { folder, id, model, extra: Vec::new() };
        bench.configure();
        Some(bench)
    }

    fn home(&self, file: &str, text: &str) {
        let file = self.folder.path().join("home").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// What each agent needs to ask the scripted model.
    fn configure(&self) {
        let url = &self.model.url;
        match self.id {
            "gemini" => self.home(
                ".gemini/settings.json",
                r#"{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false},"general":{"enableAutoUpdate":false}}"#,
            ),
            "codex" => self.home(
                ".codex/config.toml",
                &format!(
                    "model = \"gpt-5.5\"\nmodel_provider = \"fake\"\ncheck_for_update_on_startup = false\n[analytics]\nenabled = false\n[features]\napps = false\nplugins = false\nremote_plugin = false\n[model_providers.fake]\nname = \"Scripted model\"\nbase_url = \"{url}/v1\"\nwire_api = \"responses\"\nenv_key = \"FAKE_API_KEY\"\n"
                ),
            ),
            "opencode" => self.home(
                ".config/opencode/opencode.json",
                &format!(
                    r#"{{"model":"fake/fake-model","small_model":"fake/fake-model","autoupdate":false,"share":"disabled","permission":{{"edit":"ask","bash":"ask"}},"provider":{{"fake":{{"npm":"@ai-sdk/openai-compatible","options":{{"baseURL":"{url}/v1","apiKey":"fake-key"}},"models":{{"fake-model":{{"tool_call":true,"reasoning":true,"limit":{{"context":128000,"output":8192}},"cost":{{"input":1,"output":2}}}}}}}}}}}}"#
                ),
            ),
            _ => {}
        }
        self.home(".nothing", "");
    }

    fn variables(&self) -> Vec<(String, String)> {
        let url = &self.model.url;
        let (v1, home) = (format!("{url}/v1"), self.folder.path().join("home").display().to_string());
        let mut variables = vec![("HOME", home.as_str())];
        match self.id {
            "gemini" => variables.extend([("GEMINI_API_KEY", "fake-key"), ("GOOGLE_GEMINI_BASE_URL", url.as_str())]),
            "codex" => variables.push(("FAKE_API_KEY", "fake-key")),
            // As root it starts only where it is told that this is a sandbox.
            "claude" => variables.extend([
                ("ANTHROPIC_API_KEY", "fake-key"),
                ("ANTHROPIC_BASE_URL", url.as_str()),
                ("IS_SANDBOX", "1"),
            ]),
            "opencode" => variables.push(("OPENCODE_DISABLE_MODELS_FETCH", "1")),
            "qwen" => variables.extend([
                ("OPENAI_API_KEY", "fake-key"),
                ("OPENAI_BASE_URL", v1.as_str()),
                ("OPENAI_MODEL", "fake-model"),
            ]),
            _ => {}
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    async fn config(&self) -> Config {
        let entry = catalogue::known().into_iter().find(|entry| entry.id == self.id).unwrap();
        let found = detect(&entry, &Search::here()).await;
        assert_eq!(found.missing, None);
        println!("{} {:?}", entry.name, found.version);
        let marker = format!("real-{}-{}", self.id, self.folder.path().display());
        let mut config = entry.config(&found, self.work(), &marker);
        config.argv.extend(self.extra.iter().map(Into::into));
        config.env.extend(self.variables());
        config.mode = entry.mode(Mode::Work).map(str::to_owned);
        if self.id == "codex" {
            // In its other modes it runs commands in a sandbox of its own, which many containers do not allow: then it says
            // that all is done, and has done nothing.
            config.mode = Some("agent-full-access".to_owned());
        }
        config
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work").canonicalize().unwrap()
    }
}

struct Turned {
    stop: Stop,
    updates: Vec<Update>,
}

/// Starts, gives one prompt, allows everything once, and cancels when `until` says so.
async fn turn(
    config: Config,
    prompt: &str,
    until: impl Fn(&Update) -> bool,
) -> (Turned, Session, mpsc::Receiver<Update>) {
    let (sender, mut receiver) = mpsc::channel(256);
    let starting = tokio::spawn(Session::start(config, sender));
    let mut updates = Vec::new();
    let session = loop {
        tokio::select! {
            update = receiver.recv() => updates.extend(update),
            () = tokio::task::yield_now(), if starting.is_finished() => break starting.await.unwrap().unwrap(),
        }
    };
    let mut turned = drive(&session, &mut receiver, prompt, until).await;
    updates.append(&mut turned.updates);
    (Turned { updates, ..turned }, session, receiver)
}

async fn drive(
    session: &Session,
    receiver: &mut mpsc::Receiver<Update>,
    prompt: &str,
    until: impl Fn(&Update) -> bool,
) -> Turned {
    let told = session.clone();
    let text = prompt.to_owned();
    let mut turn = tokio::spawn(async move { told.prompt(&text).await });
    let (mut updates, mut cancelled) = (Vec::new(), false);
    let stop = loop {
        tokio::select! {
            biased;
            Some(update) = receiver.recv() => {
                if let Update::Permission(asked) = &update {
                    let allow = asked.options.iter().find(|option| option.kind == OptionKind::AllowOnce).unwrap();
                    session.answer(&asked.id, &Outcome::Selected(allow.id.clone())).await;
                }
                if until(&update) && !cancelled {
                    cancelled = true;
                    session.cancel().await;
                }
                updates.push(update);
            }
            ended = &mut turn => break ended.unwrap().unwrap().stop,
        }
    };
    while let Ok(update) = receiver.try_recv() {
        updates.push(update);
    }
    Turned { stop, updates }
}

async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it is done in time")
}

fn tools(updates: &[Update]) -> Vec<ToolState> {
    let mut tools: Vec<ToolState> = Vec::new();
    for update in updates {
        let Update::Tool(tool) = update else { continue };
        match tools.iter_mut().find(|known| known.id == tool.id) {
            Some(known) => *known = (**tool).clone(),
            None => tools.push((**tool).clone()),
        }
    }
    tools
}

fn said(updates: &[Update]) -> String {
    let said = updates.iter().filter_map(|update| match update {
        Update::Text(text) if !text.thought => Some(text.text.as_str()),
        _ => None,
    });
    said.collect()
}

/// Ends the session with the channel read to its end; nothing of the agent may be left.
async fn end(session: Session, mut receiver: mpsc::Receiver<Update>, marker: &str) -> Ending {
    let reader = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let closed = session.close().await;
    println!("closed: {closed:?}");
    assert!(!closed.survivors && leftovers(marker).is_empty());
    drop(session);
    reader.await.unwrap();
    closed.how
}

async fn everything(id: &'static str, extra: &[&'static str]) {
    let Some(mut bench) = Bench::new(id).await else { return };
    bench.extra = extra.to_vec();
    let hello = bench.work().join("hello.txt");
    let config = bench.config().await;
    let marker = config.marker.clone();

    let began = SystemClock.now() / 60_000;
    // A greeting, and the session again in another process.
    let (turned, session, receiver) = bounded(turn(config.clone(), "[[hello]] Create hello.txt", |_| false)).await;
    assert_eq!(turned.stop, Stop::EndTurn);
    assert!(said(&turned.updates).ends_with("Done: hello.txt was created."), "{}", said(&turned.updates));
    let written = std::fs::read_to_string(&hello).unwrap_or_default();
    assert_eq!(written, "Hello from the scripted model\n", "{:?}", tools(&turned.updates));
    let first = session.id().to_owned();
    assert!(session.info().resumable && session.info().version.is_some());
    end(session, receiver, &marker).await;
    println!("hello: passed");
    if id == "gemini" {
        // It does not find a session that began within the present minute: its files are named by it.
        while SystemClock.now() / 60_000 == began {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    let again = Config { resume: Some(first.clone()), ..config.clone() };
    let (turned, session, receiver) = bounded(turn(again, "[[write]] Now write it again", |_| false)).await;
    let info = session.info();
    assert_eq!((info.resumed, info.not_resumed.as_deref(), session.id()), (true, None, first.as_str()));
    assert!(turned.stop == Stop::EndTurn && said(&turned.updates).ends_with("Done: hello.txt was written."));
    assert!(!said(&turned.updates).contains("created"), "its past was told again: {}", said(&turned.updates));
    end(session, receiver, &marker).await;
    println!("resume: passed");

    // Everything that an agent does, with permissions. Some do not write over a file that they have not read.
    std::fs::remove_file(&hello).unwrap();
    let (turned, session, receiver) = bounded(turn(config.clone(), "[[full]] Create hello.txt", |_| false)).await;
    assert_eq!(turned.stop, Stop::EndTurn);
    assert_eq!(std::fs::read_to_string(&hello).unwrap(), "Hello\nSECOND line\n");
    let asked = turned.updates.iter().filter(|update| matches!(update, Update::Permission(_))).count();
    let calls = tools(&turned.updates);
    assert!(calls.iter().all(|call| call.status.is_final()), "{calls:?}");
    assert!(calls.iter().any(|call| call.kind == ToolKind::Execute) && calls.len() >= 5, "{calls:?}");
    let unknown: Vec<&Update> =
        turned.updates.iter().filter(|update| matches!(update, Update::Unknown { .. })).collect();
    println!("full: passed; {asked} questions, {} calls, unknown: {unknown:?}", calls.len());
    end(session, receiver, &marker).await;

    // Cancelled while a command runs that has a child in the background.
    let at_work = |update: &Update| matches!(update, Update::Tool(tool) if tool.kind == ToolKind::Execute && tool.status == ToolStatus::InProgress);
    let waiting = |update: &Update| at_work(update) || matches!(update, Update::Permission(_));
    let (turned, session, receiver) = bounded(turn(config.clone(), "[[sleep]] Run a long command", waiting)).await;
    assert_eq!(turned.stop, Stop::Cancelled);
    assert!(tools(&turned.updates).iter().all(|call| call.status.is_final()));
    end(session, receiver, &marker).await;
    println!("cancel: passed");
}

#[tokio::test]
#[ignore = "needs the agent: see the module"]
async fn gemini() {
    everything("gemini", &["-m", "gemini-2.5-flash"]).await;
}

#[tokio::test]
#[ignore = "needs the agent: see the module"]
async fn qwen() {
    everything("qwen", &["--auth-type", "openai"]).await;
}

#[tokio::test]
#[ignore = "needs the agent: see the module"]
async fn codex() {
    everything("codex", &[]).await;
}

#[tokio::test]
#[ignore = "needs the agent: see the module"]
async fn opencode() {
    everything("opencode", &[]).await;
}

#[tokio::test]
#[ignore = "needs the agent: see the module"]
async fn claude() {
    everything("claude", &[]).await;
}
