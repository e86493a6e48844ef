//! Real agents in workflows, with a scripted model behind them: no account, and no network but loopback. They are not part of
//! every run of the tests, since their packages are large: `cargo xtask agents` installs them and runs these.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    agents::{Studio, everything, of_type, processes},
    support::{Host, until_for},
};

/// Longest wait: a busy machine starts some agents in half a minute.
const PATIENCE: Duration = Duration::from_secs(150);

fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    until_for(PATIENCE, what, found)
}

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

fn model(folder: &Path) -> Model {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../signalbox-agent/tests/fixtures/fake_model.py");
    let port = folder.join("port");
    let child = Command::new("python3")
        .args([script, "--port", "0", "--port-file"])
        .arg(&port)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let port = until("the model's port", || fs::read_to_string(&port).ok()?.trim().parse::<u16>().ok());
    Model { child, url: format!("http://127.0.0.1:{port}") }
}

/// A folder as an agent's home, and the settings with which it asks the scripted model.
fn configure(id: &str, home: &Path, url: &str) -> String {
    let write = |file: &str, text: String| {
        let file = home.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    fs::create_dir_all(home).unwrap();
    let mut env = vec![("HOME", home.display().to_string())];
    let mut more = String::new();
    match id {
        "gemini" => {
            let settings = json!({ "security": { "auth": { "selectedType": "gemini-api-key" } },
                "privacy": { "usageStatisticsEnabled": false }, "general": { "enableAutoUpdate": false } });
            write(".gemini/settings.json", settings.to_string());
            env.extend([("GEMINI_API_KEY", "fake-key".into()), ("GOOGLE_GEMINI_BASE_URL", url.into())]);
            env.push(("GEMINI_CLI_TRUST_WORKSPACE", "true".into()));
            more.push_str("command = [\"gemini\", \"--acp\", \"-m\", \"gemini-2.5-flash\"]\n");
        }
        "codex" => {
            let text = format!(
                "model = \"gpt-5.5\"\nmodel_provider = \"fake\"\ncheck_for_update_on_startup = false\n\
                 [analytics]\nenabled = false\n[features]\napps = false\nplugins = false\nremote_plugin = false\n\
                 [model_providers.fake]\nname = \"Scripted model\"\nbase_url = \"{url}/v1\"\nwire_api = \"responses\"\n\
                 env_key = \"FAKE_API_KEY\"\n"
            );
            write(".codex/config.toml", text);
            env.push(("FAKE_API_KEY", "fake-key".into()));
            // Its own sandbox wants what many containers do not allow: then it does nothing, and says that all is done.
            more.push_str("modes = { work = \"agent-full-access\" }\n");
        }
        "opencode" => {
            let model = json!({ "tool_call": true, "reasoning": true, "limit": { "context": 128_000, "output": 8192 },
                "cost": { "input": 1, "output": 2 } });
            let provider = json!({ "npm": "@ai-sdk/openai-compatible", "models": { "fake-model": model },
                "options": { "baseURL": format!("{url}/v1"), "apiKey": "fake-key" } });
            let settings = json!({ "model": "fake/fake-model", "small_model": "fake/fake-model", "autoupdate": false,
                "share": "disabled", "permission": { "edit": "ask", "bash": "ask" }, "provider": { "fake": provider } });
            write(".config/opencode/opencode.json", settings.to_string());
            env.push(("OPENCODE_DISABLE_MODELS_FETCH", "1".into()));
        }
        "claude" => {
            env.extend([("ANTHROPIC_API_KEY", "fake-key".into()), ("ANTHROPIC_BASE_URL", url.into())]);
            // As root it starts only where it is told that this is a sandbox.
            env.push(("IS_SANDBOX", "1".into()));
        }
        _ => {
            env.extend([("OPENAI_API_KEY", "fake-key".into()), ("OPENAI_BASE_URL", format!("{url}/v1"))]);
            env.push(("OPENAI_MODEL", "fake-model".into()));
            more.push_str("command = [\"qwen\", \"--acp\", \"--auth-type\", \"openai\"]\n");
        }
    }
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    format!("[agents.{id}]\n{more}env = {{ {} }}\n", env.join(", "))
}

/// Allows once whatever is asked, until the run is done. How often something was asked.
fn allow_all(host: &Host, run: &str) -> usize {
    let mut asked = 0;
    until("the end of the run", || {
        for question in host.call("permission.list", json!({})).unwrap()["permissions"].as_array().unwrap() {
            let options = question["options"].as_array().unwrap();
            let once = options.iter().find(|option| option["kind"] == "allow_once").unwrap();
            host.call("permission.answer", json!({ "permission": question["id"], "option": once["id"] })).unwrap();
            asked += 1;
        }
        (host.run(run)["run"]["status"] == "done").then_some(asked)
    })
}

fn allow_none(host: &Host, run: &str) -> Value {
    until("the end of the run", || {
        let found = host.run(run)["run"].take();
        (found["status"] == "done").then(|| found["conclusion"].clone())
    })
}

fn works(id: &str) {
    if std::env::var_os("SIGNALBOX_REAL_AGENTS").is_none() {
        println!("SIGNALBOX_REAL_AGENTS is not set: nothing was tested");
        return;
    }
    let step = |id: &str| {
        format!(
            "inputs: {{ task: {{ type: string, required: true }} }}\nsteps:\n  a:\n    kind: agent\n    agent: {{ id: {id} }}\n    \
             prompt: \"${{{{ inputs.task }}}}\"\n    permissions: {{ read: allow, edit: ask, execute: ask, other: allow }}\n"
        )
    };
    let studio = Studio::new(&step(id), "  - do: []\n");
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let config = studio.data().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("settings.toml"), configure(id, &folder.path().join("home"), &model.url)).unwrap();

    // Everything that an agent does: reads, writes, edits, runs; asks; is counted.
    let mut host = studio.host();
    let run = host.start_run("w", json!({ "task": "[[full]] Create hello.txt" }));
    let asked = allow_all(&host, &run);
    let done = host.run(&run);
    let events = everything(&host, &run);
    assert_eq!(done["run"]["conclusion"], "success", "{id}: {:#?}", of_type(&events, "agent_error"));
    let diffs = of_type(&events, "file_diff");
    let hello = diffs.iter().rev().find(|diff| diff["path"] == "hello.txt").expect("its change is seen");
    assert!(hello["patch"].as_str().unwrap().contains("+SECOND line"), "{hello:#}");
    let calls = of_type(&events, "tool_call");
    assert!(calls.iter().any(|call| call["kind"] == "execute") && calls.iter().any(|call| call["kind"] == "edit"));
    let agent: Value = host.step(&run, "a")["agent"].clone();
    assert!(agent["usage"]["input_tokens"].as_u64().unwrap() > 0, "{agent}");
    assert!(asked > 0 || id == "codex", "{id} asked {asked} times");

    // Cancelled in the middle of a turn.
    let run = host.start_run("w", json!({ "task": "[[sleep]] Run a long command" }));
    until("the agent to be at work", || {
        let waits = !host.call("permission.list", json!({})).unwrap()["permissions"].as_array().unwrap().is_empty();
        let calls = everything(&host, &run);
        (waits || of_type(&calls, "tool_call").iter().any(|call| call["status"] == "in_progress")).then_some(())
    });
    host.call("run.cancel", json!({ "run": run })).unwrap();
    assert_eq!(allow_none(&host, &run), "cancelled");
    let worktrees = studio.data().join("worktrees").join(&run).display().to_string();
    until("its processes' end", || (processes(&worktrees) == 0).then_some(()));

    // The host is killed in the middle of a turn; the next one goes on.
    let run = host.start_run("w", json!({ "task": "[[slow]] Say something long" }));
    until("the agent to speak", || {
        let events = everything(&host, &run);
        of_type(&events, "agent_message").iter().any(|message| message["from"] == "agent").then_some(())
    });
    host.kill();
    let host = studio.host();
    allow_all(&host, &run);
    let events = everything(&host, &run);
    assert_eq!(host.run(&run)["run"]["conclusion"], "success", "{id}: {:#?}", of_type(&events, "agent_error"));
    let sessions = of_type(&events, "agent_session");
    let second: Vec<_> = sessions.iter().filter(|session| session["attempt"] == 2).collect();
    // Gemini does not find a session that began within the present minute, and then a new one begins, which is said.
    let resumed = second.iter().any(|session| session["resumed"] == true);
    let said = second.iter().any(|session| session["reason"].is_string());
    println!("{id}: asked {asked} times, {} calls; resumed: {resumed}", calls.len());
    assert!(resumed || said, "{second:#?}");
}

#[test]
#[ignore = "needs the agent: `cargo xtask agents`"]
fn gemini_works_in_a_workflow() {
    works("gemini");
}

#[test]
#[ignore = "needs the agent: `cargo xtask agents`"]
fn codex_works_in_a_workflow() {
    works("codex");
}

#[test]
#[ignore = "needs the agent: `cargo xtask agents`"]
fn opencode_works_in_a_workflow() {
    works("opencode");
}

#[test]
#[ignore = "needs the agent: `cargo xtask agents`"]
fn qwen_works_in_a_workflow() {
    works("qwen");
}

#[test]
#[ignore = "needs the agent: `cargo xtask agents`"]
fn claude_works_in_a_workflow() {
    works("claude");
}
