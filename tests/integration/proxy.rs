//! The recipes of docs/reverse-proxy.md, with a real nginx and a real Caddy.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::client::IntoClientRequest as _};

use crate::support::{Host, Project, Socket, guess_until_refused, request, until};

const NAME: &str = "signalbox.example";

pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The recipe with other addresses and without its certificate.
fn recipe(address: &str, host: &str) -> String {
    let page = include_str!("../../docs/reverse-proxy.md");
    let block = page.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    let server: String = block
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .replace("listen 443 ssl;", &format!("listen {address};"))
        .replace("http://127.0.0.1:7117;", &format!("{host};"));
    // Whole directives: the digits of a port may hold those of another.
    let (ours, theirs) = (format!("listen {address};"), format!("proxy_pass {host};"));
    assert!(server.contains(&ours) && server.contains(&theirs) && !server.contains(" ssl"), "{server}");
    server
}

/// None if there is no nginx here.
pub(crate) fn nginx(folder: &Path, host: &Host) -> Option<Proxy> {
    let program =
        ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|p| Path::new(p).exists())?;
    // Nobody else asks for it between here and there: ports that were just let go of come up last.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let at = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
        .collect();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n{temporary}    access_log off;\n{}}}\n",
        recipe(&address, &host.url)
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let child = Command::new(program)
        .args(["-c", &format!("{at}/nginx.conf"), "-p", &at.to_string(), "-e", &format!("{at}/error.log")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut proxy = Proxy { child, address };
    until("nginx", || {
        if let Some(status) = proxy.child.try_wait().unwrap() {
            panic!("nginx ended with {status}: {}", fs::read_to_string(folder.join("error.log")).unwrap_or_default());
        }
        std::net::TcpStream::connect(&proxy.address).ok()
    });
    Some(proxy)
}

/// Says that a program is not here; where everything is tested it has to be.
pub(crate) fn missing(program: &str) {
    assert!(std::env::var_os("CI").is_none(), "there is no {program}: the set-up installs it");
    eprintln!("{program} was not asked: it is not here (Debian: apt-get install {program})");
}

/// The recipe for Caddy without its certificate. None if there is no Caddy here.
fn caddy(folder: &Path, host: &Host) -> Option<Proxy> {
    let program = ["/usr/bin/caddy", "/usr/local/bin/caddy"].into_iter().find(|p| Path::new(p).exists())?;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let page = include_str!("../../docs/reverse-proxy.md");
    let block = page.split("```caddy\n").nth(1).unwrap().split("```").next().unwrap();
    let port = address.split(':').nth(1).unwrap();
    // By whatever name it is called: which names are good is the host's to say.
    let site = block
        .replace("signalbox.example {", &format!("http://:{port} {{\n    bind 127.0.0.1"))
        .replace("127.0.0.1:7117", host.address());
    assert!(site.contains(&format!("http://:{port} {{")), "{site}");
    assert!(site.contains(&format!("reverse_proxy {} {{", host.address())), "{site}");
    let options = "{\n    admin off\n    auto_https off\n}\n";
    let file = folder.join("Caddyfile");
    fs::write(&file, format!("{options}{site}")).unwrap();
    let errors = fs::File::create(folder.join("error.log")).unwrap();
    let child = Command::new(program)
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .envs(["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|name| (name, folder)))
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .unwrap();
    let mut proxy = Proxy { child, address };
    until("Caddy", || {
        if let Some(status) = proxy.child.try_wait().unwrap() {
            panic!("Caddy ended with {status}: {}", fs::read_to_string(folder.join("error.log")).unwrap_or_default());
        }
        std::net::TcpStream::connect(&proxy.address).ok()
    });
    Some(proxy)
}

#[test]
fn nginx_passes_calls_websocket_and_server_sent_events_on() {
    passes_on(nginx, "nginx-light");
}

#[test]
fn caddy_passes_calls_websocket_and_server_sent_events_on() {
    passes_on(caddy, "caddy");
}

/// A request from one of the addresses of this machine: all of 127.0.0.0/8 are, on Linux.
#[cfg(target_os = "linux")]
fn from(source: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut text = format!("POST {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text.push_str(&format!("Host: {address}\r\n"));
    }
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    let all = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    });
    let answer = crate::support::parse_response(&all).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

#[cfg(target_os = "linux")]
#[test]
fn a_trusted_proxy_says_who_called_and_nobody_else_does() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let env = [("SIGNALBOX_HOST_ALLOWED_HOSTS", NAME), ("SIGNALBOX_HOST_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")];
    let host = Host::start_with(data.path(), &[], &env);
    let Some(proxy) = nginx(folder.path(), &host) else {
        missing("nginx-light");
        return;
    };
    let bearer = format!("Bearer {}", host.token);
    // The newest of these changes, whatever else is noted meanwhile: a program that still looks for another host at this
    // port leaves its refused token in the list too.
    let noted = || {
        let all = host.call("audit.list", json!({ "limit": 100 })).unwrap();
        let entries = all["entries"].as_array().unwrap();
        let newest = entries.iter().find(|entry| entry["method"] == "login_code.create");
        newest.unwrap_or_else(|| panic!("not in {all}"))["address"].as_str().unwrap().to_owned()
    };
    let call = |source: &str, to: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("Authorization", bearer.as_str())];
        if to == proxy.address {
            headers.push(("Host", NAME));
        }
        headers.extend_from_slice(more);
        // A change, so that it is in the audit list.
        let (status, said) = from(source, to, "/api/v1/call/login_code.create", &headers, "{}");
        assert_eq!(status, 200, "{said}");
        noted()
    };
    let (direct, through) = (host.address(), proxy.address.as_str());
    // Through the proxy: who called it, whatever the caller says of itself.
    assert_eq!(call("127.0.0.2", through, &[]), "127.0.0.2");
    assert_eq!(call("127.0.0.2", through, &[("X-Forwarded-For", "203.0.113.9")]), "127.0.0.2");
    assert_eq!(call("127.0.0.2", through, &[("Forwarded", "for=203.0.113.9")]), "127.0.0.2");
    // Not through it: the header is nobody's.
    assert_eq!(call("127.0.0.2", direct, &[("X-Forwarded-For", "203.0.113.9")]), "127.0.0.2");
    // From the proxy's own address: right to left, past those that are trusted.
    assert_eq!(call("127.0.0.1", direct, &[("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.1.2.3")]), "203.0.113.9");
    assert_eq!(call("127.0.0.1", direct, &[("X-Forwarded-For", "203.0.113.9, what")]), "127.0.0.1");
    assert_eq!(call("127.0.0.1", direct, &[]), "127.0.0.1");

    // Who guesses codes waits, by its own address, and cannot leave it by words.
    let guess = |source: &str, n: usize| {
        let claimed = format!("198.51.100.{n}");
        let headers = [("Host", NAME), ("X-Forwarded-For", claimed.as_str())];
        from(source, through, "/api/v1/login", &headers, &json!({ "code": format!("guess{n}") }).to_string()).0
    };
    guess_until_refused(|n| guess("127.0.0.3", n));
    assert_eq!(guess("127.0.0.4", 9), 401, "somebody else behind the same proxy does not wait");

    // The list of connections has it too.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let forwarded = [("x-forwarded-for", "203.0.113.77")];
        let mut socket = host.websocket("/api/v1/ws", &forwarded).await.unwrap();
        let client = json!({ "name": "t", "version": "1" });
        let hello = json!({ "type": "hello", "v": 1, "token": host.token, "client": client, "rooms": ["host"] });
        socket.send(&hello).await;
        socket.next_of("synced").await;
        let list = host.call("connection.list", json!({})).unwrap();
        let all = list["connections"].as_array().unwrap();
        let of = |one: &Value| one["address"].as_str().is_some_and(|address| address.starts_with("203.0.113.77:"));
        assert!(all.iter().any(of), "{list}");
    });
}

/// Calls, WebSocket and server-sent events come through as if nobody stood between.
fn passes_on(start: fn(&Path, &Host) -> Option<Proxy>, program: &str) {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let project = Project::new(&[]);
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_HOST_ALLOWED_HOSTS", NAME)]);
    let Some(proxy) = start(folder.path(), &host) else {
        missing(program);
        return;
    };
    let id = host.project_id();
    let bearer = format!("Bearer {}", host.token);
    let named = [("Host", NAME), ("Authorization", bearer.as_str())];

    let answer = request(&proxy.address, "POST", "/api/v1/call/project.list", &named, b"{}").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Another name that leads to the proxy is not one of the host's.
    let other = [("Host", "evil.example"), ("Authorization", bearer.as_str())];
    assert_eq!(request(&proxy.address, "POST", "/api/v1/call/project.list", &other, b"{}").unwrap().status, 403);
    let foreign = [named[0], named[1], ("Origin", "https://evil.example")];
    assert_eq!(request(&proxy.address, "POST", "/api/v1/call/project.list", &foreign, b"{}").unwrap().status, 403);

    let publish = |n: u64| host.call("event.publish", json!({ "project": id, "type": "x_n", "data": n })).unwrap();
    let first = publish(0)["cursor"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut wanted = format!("ws://{}/api/v1/ws", proxy.address).into_client_request().unwrap();
        wanted.headers_mut().insert("host", NAME.parse().unwrap());
        wanted.headers_mut().insert("origin", format!("https://{NAME}").parse().unwrap());
        let mut socket = Socket(connect_async(wanted).await.unwrap().0);
        let room = format!("project/{id}");
        socket
            .send(&json!({ "type": "hello", "rid": 1, "v": 1, "token": host.token, "rooms": [room], "resume": first,
                "client": { "name": "test", "version": "1" } }))
            .await;
        socket.next_of("synced").await;
        for n in 1..=20 {
            publish(n);
            assert_eq!(socket.next_of("x_n").await["data"], n, "each at once, and in order");
        }
    });

    let mut seen = Vec::new();
    let path = format!("/api/v1/projects/{id}/events?after={first}");
    crate::support::sse_of(&proxy.address, NAME, &path, &[("Authorization", &bearer)], |_, event: Value| {
        if event["type"] == "synced" && seen.len() == 20 {
            // From now on what comes is live.
            publish(21);
        }
        if event["type"] == "x_n" {
            seen.push(event["data"].as_u64().unwrap());
        }
        seen.last() != Some(&21)
    });
    assert_eq!(seen, (1..=21).collect::<Vec<u64>>());
}
