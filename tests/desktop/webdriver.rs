//! As much of WebDriver (W3C, section numbers below) as the tests need, over plain HTTP/1.1.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::machines::Machine;

/// Longest time for one command.
const LIMIT: Duration = Duration::from_secs(30);
/// The key under which an element's name comes (section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A driver, and after [`open`](Self::open) its session.
pub(crate) struct Driver {
    port: u16,
    machine: Option<Machine>,
    session: RefCell<String>,
}

impl Driver {
    /// If something listens on `port`, here or on a machine of the test.
    pub(crate) fn connect(port: u16, machine: Option<&Machine>) -> Option<Self> {
        let driver = Self { port, machine: machine.cloned(), session: RefCell::default() };
        driver.dial().ok()?;
        Some(driver)
    }

    fn dial(&self) -> io::Result<TcpStream> {
        match &self.machine {
            None => TcpStream::connect(("127.0.0.1", self.port)),
            Some(machine) => machine.dial(self.port),
        }
    }

    /// Starts what the capabilities name (section 8.1).
    pub(crate) fn open(self, capabilities: &Value, limit: Duration) -> io::Result<Self> {
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = self.request("POST", "/session", Some(&wanted), limit)?;
        let id = answer["sessionId"].as_str().ok_or_else(|| io::Error::other(format!("no session: {answer}")))?;
        self.session.replace(id.to_owned());
        Ok(self)
    }

    /// Ends the session (section 8.2). Fails quietly: the app may be gone already.
    pub(crate) fn close(&self) {
        let path = format!("/session/{}", self.session.borrow());
        self.request("DELETE", &path, None, LIMIT).ok();
    }

    /// The first element that fits (section 12.3.2).
    pub(crate) fn find(&self, selector: &str) -> Option<String> {
        let found = self.command("/element", &json!({ "using": "css selector", "value": selector })).ok()?;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    /// Section 12.5.1.
    pub(crate) fn click(&self, element: &str) -> io::Result<()> {
        self.command(&format!("/element/{element}/click"), &json!({})).map(|_| ())
    }

    /// Section 13.2.1.
    pub(crate) fn script(&self, script: &str, arguments: &Value) -> io::Result<Value> {
        self.command("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Sections 12.5.2 and 12.5.3.
    pub(crate) fn fill(&self, element: &str, text: &str) -> io::Result<()> {
        self.command(&format!("/element/{element}/clear"), &json!({}))?;
        self.command(&format!("/element/{element}/value"), &json!({ "text": text })).map(|_| ())
    }

    /// Section 13.2.2, within `limit` (section 9.1); the script gets the function that ends it.
    pub(crate) fn script_async(&self, script: &str, limit: Duration) -> io::Result<Value> {
        self.command("/timeouts", &json!({ "script": u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }))?;
        let path = format!("/session/{}/execute/async", self.session.borrow());
        self.request("POST", &path, Some(&json!({ "script": script, "args": [] })), limit + LIMIT)
    }

    /// Section 10.1.
    pub(crate) fn go(&self, url: &str) -> io::Result<()> {
        self.command("/url", &json!({ "url": url })).map(|_| ())
    }

    /// Section 10.3.
    pub(crate) fn back(&self) -> io::Result<()> {
        self.script("history.back()", &json!([])).map(|_| ())
    }

    /// A picture of the window, PNG (section 17.1).
    pub(crate) fn screenshot(&self) -> io::Result<Vec<u8>> {
        let path = format!("/session/{}/screenshot", self.session.borrow());
        let answer = self.request("GET", &path, None, LIMIT)?;
        base64(answer.as_str().unwrap_or_default()).ok_or_else(|| io::Error::other("the picture is no base64"))
    }

    fn command(&self, path: &str, body: &Value) -> io::Result<Value> {
        let path = format!("/session/{}{path}", self.session.borrow());
        self.request("POST", &path, Some(body), LIMIT)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>, limit: Duration) -> io::Result<Value> {
        let mut stream = self.dial()?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        let mut answer: Value = serde_json::from_slice(&text)?;
        if !status.contains(" 200 ") {
            return Err(io::Error::other(format!("{method} {path}: {}", answer["value"])));
        }
        Ok(answer["value"].take())
    }
}

/// Decodes base64 (RFC 4648, section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(out)
}
