//! A real host in this process, called with anything.
//!
//! It is given nothing that it could start: the one run that there is asks a person, its workflow file is gone, and the
//! callers that may start runs and those that may write workflow files see different projects. Keychain and folders
//! outside of the temporary one are left alone: such parameters are decoded and no more.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use serde_json::{Value, json, value::RawValue};
use signalbox_host::{Host, HostOptions, Settings};
use signalbox_model::{Actor, EventData, LogChunk, LogStream, NewEvent, ProjectId, Role, Room, RunId, StepKey};
use signalbox_net::Assets;
use signalbox_store::Batch;
use signalbox_wire::{
    Caller, ErrorCode,
    method::{self, ProjectOpen, SecretRef, SecretSet},
};
use tokio::runtime::Runtime;

use crate::bytes::replaced;

/// Inputs of one host before a new one takes its place: its log only grows.
const INPUTS: u32 = 4_000;
/// Longest time for one call.
const PATIENCE: Duration = Duration::from_secs(20);

/// A question and a message: nothing that would start a process.
const ASK: &str = "signalbox: 1
name: ask
steps:
  ask:
    kind: approval
    question: Really?
    who: { roles: [viewer, operator, owner], min: 2, self_approval: true }
    form: { note: { type: string }, choice: { type: enum, values: [a, b] }, n: { type: integer } }
  tell: { kind: notify, needs: [ask], to: [team], message: \"It is ${{ steps.ask.conclusion }}\" }
";

static PAGE: &[(&str, &[u8])] = &[("index.html", b"<!doctype html>"), ("assets/a.js", b"1")];

/// A host that listens, and what inputs may name of it.
pub struct Running {
    runtime: Runtime,
    /// The host itself.
    pub host: Host,
    /// Where it listens.
    pub address: SocketAddr,
    names: Vec<(&'static str, String)>,
    inputs: u32,
    dir: tempfile::TempDir,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Lends the host; a new one if the last is used up.
pub fn with_host<T>(work: impl FnOnce(&mut Running) -> T) -> T {
    let mut guard = RUNNING.lock().unwrap_or_else(|e| e.into_inner());
    if guard.as_ref().is_none_or(|running| running.inputs >= INPUTS)
        && let Some(used) = guard.replace(Running::start())
    {
        used.stop();
    }
    let running = guard.as_mut().expect("it was started");
    running.inputs += 1;
    work(running)
}

/// Ends the host.
pub fn finish() {
    if let Some(running) = RUNNING.lock().unwrap_or_else(|e| e.into_inner()).take() {
        running.stop();
    }
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        for folder in ["project/.signalbox/workflows", "drafts"] {
            fs::create_dir_all(dir.path().join(folder)).expect("a folder");
        }
        let mut settings = Settings::default();
        settings.limits.calls_per_second = 0;
        settings.limits.connections_per_member = 0;
        // A stream whose reader is gone is found out when something is sent.
        settings.limits.ping_ms = 50;
        let options = HostOptions::new(dir.path().join("data"), settings);
        let (host, address) = runtime.block_on(async {
            let host = Host::open(options).await.expect("a host");
            let listening = signalbox_net::listen(&host, "127.0.0.1:0", Assets(PAGE)).await.expect("a listener");
            (host, listening.address)
        });
        let mut running = Self { runtime, host, address, names: Vec::new(), inputs: 0, dir };
        running.fill();
        running
    }

    fn fill(&mut self) {
        let path = |name: &str| self.dir.path().join(name).to_str().expect("a plain path").to_owned();
        for name in ["project", "drafts"] {
            self.must("project.open", &json!({ "path": path(name) }));
        }
        let file = self.dir.path().join("project/.signalbox/workflows/ask.yaml");
        fs::write(&file, ASK).expect("a file");
        let started = self.must("run.start", &json!({ "project": "project", "workflow": "ask" }));
        fs::remove_file(file).expect("it is there");
        let run = started["run"].as_str().expect("an id").to_owned();
        self.log_something(&run);
        let approvals = self.must("approval.list", &json!({}));
        let token = self.must("token.create", &json!({ "name": "viewer", "role": "viewer" }));
        let other = self.must("token.create", &json!({ "name": "other", "role": "operator", "projects": ["drafts"] }));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        self.names = vec![
            ("@run", run),
            ("@approval", text(&approvals["approvals"][0]["id"])),
            ("@token", text(&token["token"])),
            ("@member", text(&other["member"]["id"])),
            ("@cursor", self.host.store().cursor().to_string()),
            ("@dir", path("")),
            ("@address", self.address.to_string()),
        ];
    }

    fn log_something(&self, run: &str) {
        let (run, step) = (RunId::new(run).expect("an id"), StepKey::new("ask").expect("a key"));
        let (mut line, mut offset) = (0, 0);
        for text in ["one\ntwo\n", "thr", "ee\nlast"] {
            let lines = text.matches('\n').count() as u64;
            let (step, text) = (step.clone(), text.to_owned());
            let bytes = text.len() as u64;
            let chunk = LogChunk {
                step: step.clone(),
                attempt: 1,
                stream: LogStream::Stdout,
                offset,
                line,
                lines,
                text,
                blob: None,
            };
            let event = NewEvent::new(Room::Run(run.clone()), Actor::engine(), EventData::Log(chunk));
            let event = event.of_run(run.clone()).of_step(step);
            self.append(vec![event]);
            (line, offset) = (line + lines, offset + bytes);
        }
    }

    /// Stores events past the engine.
    pub fn append(&self, events: Vec<NewEvent>) {
        self.runtime.block_on(self.host.store().append(Batch::of(events))).expect("it is stored");
    }

    fn must(&self, method: &str, params: &Value) -> Value {
        let params = serde_json::value::to_raw_value(params).expect("it is JSON");
        let reply = self.runtime.block_on(self.host.call(&self.host.owner(), method, Some(&params)));
        serde_json::from_str(reply.expect("the host does it").get()).expect("a reply is JSON")
    }

    /// The input with the names of this host in it.
    #[must_use]
    pub fn named(&self, data: &[u8]) -> Vec<u8> {
        self.names.iter().fold(data.to_vec(), |data, (from, to)| replaced(&data, from.as_bytes(), to.as_bytes()))
    }

    fn caller(&self, role: Role, project: Option<&str>) -> Caller {
        let projects = project.iter().map(|id| ProjectId::new(id).expect("an id")).collect();
        Caller { role, projects, ..self.host.owner() }
    }

    /// Who makes this call, if it may be made here at all.
    fn who(&self, method: &str, role: Role, params: &str) -> Option<Caller> {
        match method {
            "run.start" | "run.retry" => Some(self.caller(role, Some("project"))),
            "workflow.save" => Some(self.caller(role, Some("drafts"))),
            "project.open" => {
                let open: ProjectOpen = serde_json::from_str(params).ok()?;
                self.is_ours(&open.path).then(|| self.caller(role, None))
            }
            "secret.set" => {
                serde_json::from_str::<SecretSet>(params).ok();
                None
            }
            "secret.remove" | "secret.list" => {
                serde_json::from_str::<SecretRef>(params).ok();
                None
            }
            _ => Some(self.caller(role, None)),
        }
    }

    fn is_ours(&self, path: &str) -> bool {
        let ours = fs::canonicalize(self.dir.path()).expect("it is there");
        fs::canonicalize(path).map_or_else(|_| !Path::new(path).exists(), |real: PathBuf| real.starts_with(ours))
    }

    fn call(&self, method: &str, role: Role, key: Option<&str>, params: &str) {
        let Some(mut caller) = self.who(method, role, params) else { return };
        caller.key = key.map(str::to_owned);
        let raw = match params.trim() {
            "" => None,
            text => match serde_json::from_str::<&RawValue>(text) {
                Ok(raw) => Some(raw),
                Err(_) => return,
            },
        };
        let call = async { tokio::time::timeout(PATIENCE, self.host.call(&caller, method, raw)).await };
        let reply = self.runtime.block_on(call).unwrap_or_else(|_| panic!("{method} takes longer than {PATIENCE:?}"));
        let least = method::role_of(method);
        match reply {
            Ok(reply) => {
                assert!(least.is_some_and(|least| least <= role), "{method} was done for {role:?}");
                assert!(serde_json::from_str::<Value>(reply.get()).is_ok_and(|reply| reply.is_object()));
            }
            Err(error) => {
                // The host is well and nobody calls too often: whatever is wrong is wrong with the call.
                let faults = [ErrorCode::Internal, ErrorCode::Unavailable, ErrorCode::TooManyRequests];
                let known = !faults.contains(&error.code);
                assert!(known && !error.message.is_empty(), "{method} {params}: {error:?}");
                let key_fits = key.is_none_or(|key| (1..=100).contains(&key.len()));
                match least.filter(|_| key_fits) {
                    None if !key_fits => assert_eq!(error.code, ErrorCode::BadRequest, "{error:?}"),
                    None => assert_eq!(error.code, ErrorCode::NotFound, "{error:?}"),
                    Some(least) if least > role => assert_eq!(error.code, ErrorCode::Forbidden, "{error:?}"),
                    Some(_) => {}
                }
            }
        }
    }

    /// Whether everything is as it should be when nobody is connected.
    pub fn check(&self) {
        let projects = self.must("project.list", &json!({}));
        for project in
            projects["projects"].as_array().expect("a list").iter().filter(|project| project["open"] == false)
        {
            self.must("project.open", &json!({ "path": project["path"] }));
        }
        assert_eq!(self.host.store().trouble(), None);
        let files = fs::read_dir(self.dir.path().join("project/.signalbox/workflows")).expect("it is there");
        assert_eq!(files.count(), 0, "something was written into the wrong project");
    }

    fn stop(self) {
        self.must("system.status", &json!({}));
        let differences = self.host.store().rebuild_differences().expect("it can be compared");
        assert!(differences.is_empty(), "the log says otherwise: {differences:?}");
        self.runtime.block_on(self.host.close());
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Calls: a line with the method, and where it is wanted the role and a key (`run.get viewer key`), then a line with the
/// parameters, and so on. Never `internal`, never done for a role that is too low, and the host goes on.
pub fn call(data: &[u8]) {
    with_host(|running| {
        let text = String::from_utf8_lossy(&running.named(data)).into_owned();
        let mut lines = text.lines();
        for _ in 0..12 {
            let Some(head) = lines.next() else { break };
            let mut words = head.split(' ');
            let method = words.next().unwrap_or_default();
            let role = match words.next() {
                Some("viewer") => Role::Viewer,
                Some("operator") => Role::Operator,
                _ => Role::Owner,
            };
            running.call(method, role, words.next(), lines.next().unwrap_or_default());
        }
        running.check();
    });
}
