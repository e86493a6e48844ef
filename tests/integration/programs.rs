//! Clients that others wrote, as they are: `@ag-ui/client`, `ws` and `eventsource` from npm, `websockets`, `httpx-sse` and
//! `schemathesis` from PyPI. `cargo xtask programs` installs them and runs these; without them only that is missing.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{
    agents::Studio,
    proxy,
    support::{Host, Project, stderr},
};

fn folder() -> String {
    std::env::var("SIGNALBOX_PROGRAMS").expect("run this with `cargo xtask programs`")
}

fn script(host: &Host, program: &str, file: &str, packages: &str, env: &[(&str, &str)]) -> Value {
    let output = Command::new(program)
        .arg(format!("{}/../../tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR")))
        .env("PACKAGES", format!("{}/{packages}", folder()))
        .env("SIGNALBOX_URL", &host.url)
        .env("SIGNALBOX_TOKEN", &host.token)
        .env("PROJECT", host.project_id())
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{file}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{file}: {error}: {}", stderr(&output)))
}

#[test]
#[ignore = "needs packages from npm: cargo xtask programs"]
fn the_npm_client_of_ag_ui_starts_a_run_and_attaches_to_one() {
    let studio = Studio::new(
        "inputs: { goal: { type: string } }\nsteps:\n  build: { kind: agent, prompt: \"Build: ${{ inputs.goal }}\" }\n  check: { kind: command, needs: [build], run: echo good }\n",
        "  - when: Build\n    do:\n      - say: I shall write it.\n      - write: { path: greeting.txt, text: hello }\n      - say: Done.\n",
    );
    let host = studio.host();
    for client in ["client1", "client0"] {
        let forwarded = json!({ "workflow": "w" }).to_string();
        let page = script(&host, "node", "agui.mjs", "node", &[("CLIENT", client), ("FORWARDED", &forwarded)]);
        assert_eq!(page.get("failure"), None, "{client}: {page}");
        let types: Vec<&str> = page["types"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
        assert_eq!((types.first(), types.last()), (Some(&"RUN_STARTED"), Some(&"RUN_FINISHED")), "{client}");
        for wanted in
            ["STATE_SNAPSHOT", "STATE_DELTA", "STEP_STARTED", "STEP_FINISHED", "TEXT_MESSAGE_CONTENT", "CUSTOM"]
        {
            assert!(types.contains(&wanted), "{client} has no {wanted}: {types:?}");
        }
        let state = &page["state"];
        assert_eq!(state["run"]["conclusion"], "success", "{client}: the patches of the state apply: {state}");
        assert_eq!(
            (&state["steps"]["check"]["status"], &state["run"]["inputs"]["goal"]),
            (&json!("done"), &json!("Write a greeting"))
        );
        let said = page["messages"].to_string();
        assert!(said.contains("I shall write it.") && said.contains("Done."), "{client}: {said}");

        // Attached to when it is over, the same page holds the same.
        let run = state["run"]["id"].as_str().unwrap();
        let forwarded = json!({ "run": run }).to_string();
        let again = script(&host, "node", "agui.mjs", "node", &[("CLIENT", client), ("FORWARDED", &forwarded)]);
        assert_eq!(again.get("failure"), None, "{client}: {again}");
        assert!(again["messages"].to_string().contains("I shall write it."));
        assert_eq!(again["state"]["run"], state["run"]);
        let refused = json!({ "workflow": "nothing" }).to_string();
        let refused = script(&host, "node", "agui.mjs", "node", &[("CLIENT", client), ("FORWARDED", &refused)]);
        assert!(refused["failure"].as_str().unwrap().contains("404"), "{refused}");
    }
}

#[test]
#[ignore = "needs packages from npm and PyPI: cargo xtask programs"]
fn packages_for_sockets_and_server_sent_events_miss_nothing() {
    let project = Project::new(&[]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start(data.path(), &[project.path()]);
    let node = script(&host, "node", "node_clients.mjs", "node", &[]);
    assert_eq!(node["overWebSocket"], json!([1, 2, 3]));
    assert_eq!(node["overEventSource"], json!({ "seen": [4, 5, 6, 7], "resets": 0 }));
    let python = script(&host, "python3", "python_clients.py", "python", &[]);
    assert_eq!(python, json!({ "websockets": [1, 2], "sse": [3, 4, 5, 6] }));
}

#[test]
#[ignore = "needs packages from npm and PyPI, and nginx: cargo xtask programs"]
fn behind_nginx_they_miss_nothing_either() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let project = Project::new(&[]);
    // The recipe hands on the name without its port.
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_HOST_ALLOWED_HOSTS", "127.0.0.1")]);
    let Some(nginx) = proxy::nginx(folder.path(), &host) else {
        proxy::missing("nginx-light");
        return;
    };
    let url = format!("http://{}", nginx.address);
    let through = [("SIGNALBOX_URL", url.as_str())];
    let node = script(&host, "node", "node_clients.mjs", "node", &through);
    assert_eq!(node["overWebSocket"], json!([1, 2, 3]));
    assert_eq!(node["overEventSource"], json!({ "seen": [4, 5, 6, 7], "resets": 0 }));
    let python = script(&host, "python3", "python_clients.py", "python", &through);
    assert_eq!(python, json!({ "websockets": [1, 2], "sse": [3, 4, 5, 6] }));

    // curl: a call, and the stream from a cursor on, line by line.
    let id = host.project_id();
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--no-buffer", "--max-time", "30"]);
        command.args(["--header", &format!("Authorization: Bearer {}", host.token)]).args(arguments);
        command
    };
    let publish = |n: u64| {
        let body = json!({ "project": id, "type": "x_curl", "data": n }).to_string();
        let output = curl(&["--fail", "--data", &body, &format!("{url}/api/v1/call/event.publish")]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["cursor"].as_str().unwrap().to_owned()
    };
    let first = publish(0);
    publish(1);
    let last = format!("Last-Event-ID: {first}");
    let mut stream = curl(&["--header", &last, &format!("{url}/api/v1/projects/{id}/events")]);
    let mut stream = stream.stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = Vec::new();
    for line in std::io::BufRead::lines(std::io::BufReader::new(stream.stdout.take().unwrap())) {
        let line = line.unwrap();
        let Some(frame) = line.strip_prefix("data: ") else { continue };
        let frame: Value = serde_json::from_str(frame).unwrap();
        if frame["type"] == "synced" && seen == [1] {
            publish(2);
        }
        if frame["type"] == "x_curl" {
            seen.push(frame["data"].as_u64().unwrap());
        }
        if seen.last() == Some(&2) {
            break;
        }
    }
    stream.kill().ok();
    stream.wait().ok();
    assert_eq!(seen, [1, 2], "each at once, none twice");
}

/// What is not asked, and why. Everything else of the OpenAPI document is.
const NOT_ASKED: [(&str, &str); 8] = [
    (r"/ws$", "becomes a WebSocket"),
    (r"/events$|/agui/", "never ends, if it begins"),
    (r"^/mcp$", "JSON-RPC, which has a schema of its own"),
    (r"/login$|/join$|/hooks/", "who guesses codes and signatures has to wait"),
    (r"/logout$", "a token in a header has no session to end"),
    (r"call/project\.(open|close)$", "would take the project away, or open folders of this machine"),
    (r"call/share\.(start|stop)$|call/host\.find$", "would open this machine to the network, or ask it"),
    (r"call/agent\.test$", "starts programs"),
];

#[test]
#[ignore = "needs a package from PyPI: cargo xtask programs"]
fn the_host_keeps_to_its_openapi_document() {
    let project =
        Project::new(&[("hello", "signalbox: 1\nname: hello\nsteps:\n  say: { kind: command, run: echo hello }\n")]);
    let data = tempfile::tempdir().unwrap();
    let host = Host::start_with(data.path(), &[project.path()], &[("SIGNALBOX_LIMITS_CALLS_PER_SECOND", "0")]);
    let skipped = NOT_ASKED.map(|(path, _)| path).join("|");
    let output = Command::new("python3")
        .args(["-m", "schemathesis.cli", "run", &format!("{}/api/v1/openapi.json", host.url)])
        .args(["--header", &format!("Authorization: Bearer {}", host.token)])
        // Always the same cases, as many as take a minute or two.
        .args(["--seed", "1", "--max-examples", "8", "--max-time", "150", "--request-timeout", "30"])
        .args(["--phases", "coverage,fuzzing", "--warnings", "off", "--continue-on-failure"])
        // That a request fits its schema does not make it good: the run that it names need not be there, nor its letters
        // be those of an id.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(["--exclude-path-regex", &skipped])
        .env("PYTHONPATH", format!("{}/schemathesis", folder()))
        .current_dir(data.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", stderr(&output));
    assert!(told.contains("Tested:"), "{told}");
    let end = &told[told.find("SUMMARY").unwrap_or(0)..];
    println!("{end}");
    host.call("project.list", json!({})).unwrap();
}
