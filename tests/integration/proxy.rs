//! The recipe of docs/reverse-proxy.md, with a real nginx.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::client::IntoClientRequest as _};

use crate::support::{Host, Project, Socket, request, until};

const NAME: &str = "signalbox.example";

struct Proxy {
    child: Child,
    address: String,
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
        .replace("http://127.0.0.1:7117", host);
    assert!(server.contains(address) && server.contains(host) && !server.contains("443"), "{server}");
    server
}

/// None if there is no nginx here.
fn nginx(folder: &Path, host: &Host) -> Option<Proxy> {
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

#[test]
fn nginx_passes_calls_websocket_and_server_sent_events_on() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let project = Project::new(&[]);
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_HOST_ALLOWED_HOSTS", NAME)]);
    let Some(proxy) = nginx(folder.path(), &host) else {
        assert!(std::env::var_os("CI").is_none(), "there is no nginx: the set-up installs it");
        eprintln!("nginx was not asked: it is not here (Debian: apt-get install nginx-light)");
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
