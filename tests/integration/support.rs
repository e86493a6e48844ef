//! A host in a process of its own, and small clients that were written without our client crate.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_signalbox")
}

/// Waits for a condition, not for a time.
pub(crate) fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    until_for(PATIENCE, what, found)
}

/// The same, for what takes longer than most.
pub(crate) fn until_for<T>(patience: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < patience, "timed out waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Guesses until it is told to wait (429). Each wrong guess after the fifth doubles the wait, so that one of the next comes
/// too early however slow this machine is.
pub(crate) fn guess_until_refused(mut guess: impl FnMut(usize) -> u16) {
    let mut statuses: Vec<u16> = Vec::new();
    while statuses.last().is_none_or(|last| *last == 401) && statuses.len() < 12 {
        statuses.push(guess(statuses.len()));
    }
    let (last, before) = statuses.split_last().unwrap();
    assert!(*last == 429 && before.len() >= 5, "{statuses:?}");
}

pub(crate) struct Project {
    pub(crate) dir: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new(workflows: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("demo").tempdir().unwrap();
        let project = Self { dir };
        for (name, text) in workflows {
            project.workflow(name, text);
        }
        project
    }

    pub(crate) fn workflow(&self, name: &str, text: &str) {
        let folder = self.path().join(".signalbox/workflows");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// A running host. Dropping it kills the process.
pub(crate) struct Host {
    /// None: it is in the process of the test.
    child: Option<Child>,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) data: PathBuf,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .env_remove("SIGNALBOX_URL")
        .env_remove("SIGNALBOX_TOKEN")
        .env("SIGNALBOX_DATA_DIR", data)
        .env("SIGNALBOX_CONFIG_DIR", data.join("config"))
        .stdin(Stdio::null());
    command
}

impl Host {
    pub(crate) fn start(data: &Path, projects: &[&Path]) -> Self {
        Self::start_with(data, projects, &[])
    }

    pub(crate) fn start_with(data: &Path, projects: &[&Path], env: &[(&str, &str)]) -> Self {
        let mut command = command(data);
        command.args(["serve", "--listen", "127.0.0.1:0"]).envs(env.iter().copied());
        for project in projects {
            command.arg("--project").arg(project);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let (pid, file) = (child.id(), data.join("host.json"));
        let mut host = Self { child: Some(child), url: String::new(), token: String::new(), data: data.to_owned() };
        let found: Value = until("host.json", || {
            if let Some(status) = host.ended() {
                panic!("the host ended with {status}");
            }
            let value: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            (value["pid"] == pid && value["url"].is_string()).then_some(value)
        });
        host.url = found["url"].as_str().unwrap().to_owned();
        host.token = found["token"].as_str().unwrap().to_owned();
        if !projects.is_empty() {
            until("the projects", || {
                let count = host.call("project.list", json!({})).ok()?["projects"].as_array()?.len();
                (count >= projects.len()).then_some(())
            });
        }
        host
    }

    /// A host in this process, as the desktop app has one; it listens too.
    pub(crate) fn here(data: &Path, host: &signalbox_host::Host) -> Self {
        let url = host.url().expect("it listens");
        Self { child: None, url, token: host.token().to_owned(), data: data.to_owned() }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a process of its own")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("a process of its own").id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child().try_wait().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        self.call_with(method, params, &[])
    }

    pub(crate) fn call_with(&self, method: &str, params: Value, headers: &[(&str, &str)]) -> Result<Value, Value> {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let response = self.request("POST", &format!("/api/v1/call/{method}"), &all, params.to_string().as_bytes());
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status == 200 { Ok(body) } else { Err(body["error"].clone()) }
    }

    /// A call with another member's token.
    pub(crate) fn call_as(&self, token: &str, method: &str, params: &Value) -> Result<Value, Value> {
        let bearer = format!("Bearer {token}");
        let path = format!("/api/v1/call/{method}");
        let response = self.request("POST", &path, &[("Authorization", &bearer)], params.to_string().as_bytes());
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status == 200 { Ok(body) } else { Err(body["error"].clone()) }
    }

    /// Makes a member: its id and its token.
    pub(crate) fn member(&self, name: &str, role: &str, projects: &[&str]) -> (String, String) {
        let made = self.call("token.create", json!({ "name": name, "role": role, "projects": projects })).unwrap();
        (made["member"]["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        request(self.address(), method, path, headers, body).expect("an answer")
    }

    pub(crate) fn project_id(&self) -> String {
        self.call("project.list", json!({})).unwrap()["projects"][0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn start_run(&self, workflow: &str, inputs: Value) -> String {
        let params = json!({ "project": self.project_id(), "workflow": workflow, "inputs": inputs });
        self.call("run.start", params).unwrap()["run"].as_str().unwrap().to_owned()
    }

    pub(crate) fn run(&self, run: &str) -> Value {
        self.call("run.get", json!({ "run": run })).unwrap()
    }

    pub(crate) fn wait_done(&self, run: &str) -> Value {
        until("the end of the run", || {
            let found = self.run(run);
            (found["run"]["status"] == "done").then_some(found)
        })
    }

    pub(crate) fn step(&self, run: &str, key: &str) -> Value {
        let found = self.run(run);
        found["steps"].as_array().unwrap().iter().find(|step| step["key"] == key).unwrap().clone()
    }

    pub(crate) fn wait_step(&self, run: &str, key: &str, status: &str) -> Value {
        until(&format!("{key} to be {status}"), || Some(self.step(run, key)).filter(|step| step["status"] == status))
    }

    /// Every event of some rooms, as the log has them.
    pub(crate) fn events(&self, rooms: &[&str]) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after: Option<Value> = None;
        loop {
            let mut params = json!({ "rooms": rooms, "limit": 1000 });
            if let Some(after) = after {
                params["after"] = after;
            }
            let page = self.call("event.list", params).unwrap();
            all.extend(page["events"].as_array().unwrap().iter().cloned());
            if page["more"] != true {
                return all;
            }
            after = Some(page["cursor"].clone());
        }
    }

    pub(crate) fn log_text(&self, run: &str, step: &str) -> String {
        let page = self.call("run.log", json!({ "run": run, "step": step, "offset": 0, "limit": 5000 })).unwrap();
        let lines = page["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) async fn websocket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://{}{path}", self.address()).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(
                tokio_tungstenite::tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn hello(&self, rooms: &[&str], resume: Option<&str>) -> Socket {
        self.hello_as(&self.token, rooms, resume).await
    }

    /// The same with another member's token.
    pub(crate) async fn hello_as(&self, token: &str, rooms: &[&str], resume: Option<&str>) -> Socket {
        let mut socket = self.websocket("/api/v1/ws", &[]).await.unwrap();
        let mut hello = json!({ "type": "hello", "rid": 1, "v": 1, "token": token, "rooms": rooms,
            "client": { "name": "test", "version": "1" } });
        if let Some(resume) = resume {
            hello["resume"] = resume.into();
        }
        socket.send(&hello).await;
        socket
    }
}

pub(crate) struct Socket<S = MaybeTlsStream<tokio::net::TcpStream>>(pub(crate) WebSocketStream<S>);

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Socket<S> {
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame, or the close code.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("open and silent");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.expect("the connection holds");
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One HTTP/1.1 request on a connection of its own. None: the connection broke.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).ok()?;
    // A server that refuses early may close before it has read everything.
    stream.write_all(body).ok();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok();
    parse_response(&all)
}

pub(crate) fn parse_response(all: &[u8]) -> Option<Response> {
    let split = all.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = all[split + 4..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Some(Response { status, head, body })
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap_or("0"), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[(end + 4 + size).min(rest.len())..];
    }
    out
}

/// Server-sent events, read line by line until `stop` says so.
pub(crate) fn sse(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    take: impl FnMut(Option<String>, Value) -> bool,
) {
    sse_of(address, address, path, headers, take);
}

/// The same from a host that is called by a name.
pub(crate) fn sse_of(
    address: &str,
    name: &str,
    path: &str,
    headers: &[(&str, &str)],
    mut take: impl FnMut(Option<String>, Value) -> bool,
) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nAccept: text/event-stream\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream);
    let (mut id, mut line) = (None, String::new());
    loop {
        line.clear();
        if lines.read_line(&mut line).expect("open and silent") == 0 {
            return;
        }
        let text = line.trim_end();
        if let Some(cursor) = text.strip_prefix("id: ") {
            id = Some(cursor.to_owned());
        } else if let Some(data) = text.strip_prefix("data: ")
            && !take(id.take(), serde_json::from_str(data).unwrap())
        {
            return;
        }
    }
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
