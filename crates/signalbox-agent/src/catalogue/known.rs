//! The agents that are known. What is said here of their modes, their environment and what they need was measured.

use super::{Entry, Modes, Node};

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The parts that every agent has.
fn agent(id: &str, name: &str, licence: &str, commands: &[&[&str]]) -> Entry {
    Entry {
        id: id.to_owned(),
        name: name.to_owned(),
        licence: licence.to_owned(),
        commands: commands.iter().map(|command| strings(command)).collect(),
        install: String::new(),
        sign_in: String::new(),
        version: Some(strings(&["--version"])),
        node: None,
        modes: Modes::default(),
        env: Vec::new(),
        keys: Vec::new(),
        signed_in: Vec::new(),
        rehearsal: false,
        custom: false,
        offers: crate::Offers::default(),
    }
}

impl Entry {
    fn node(mut self, major: u32, minor: u32) -> Self {
        self.node = Some(Node { at_least: (major, minor) });
        self
    }

    fn how(mut self, install: &str, sign_in: &str) -> Self {
        self.install = install.to_owned();
        self.sign_in = sign_in.to_owned();
        self
    }

    fn modes(mut self, changes_nothing: &str, work: &str) -> Self {
        let quiet = Some(changes_nothing.to_owned());
        self.modes = Modes { plan: quiet.clone(), read_only: quiet, work: Some(work.to_owned()) };
        self
    }

    fn env(mut self, env: &[(&str, &str)]) -> Self {
        self.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self
    }

    fn keys(mut self, keys: &[(&str, &str)]) -> Self {
        let keys = keys.iter().map(|(name, way)| ((*name).to_owned(), (!way.is_empty()).then(|| (*way).to_owned())));
        self.keys = keys.collect();
        self
    }

    fn files(mut self, files: &[&str]) -> Self {
        self.signed_in = strings(files);
        self
    }
}

pub(super) fn entries() -> Vec<Entry> {
    vec![
        agent(
            "claude",
            "Claude Code",
            "adapter Apache-2.0; the program in it is Anthropic's, under its own terms",
            &[&["claude-agent-acp"], &["claude-code-acp"]],
        )
        .how(
            "npm install -g @agentclientprotocol/claude-agent-acp",
            "run `claude` once and sign in, or set ANTHROPIC_API_KEY",
        )
        .node(20, 0)
        .modes("plan", "default")
        .env(&[("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"), ("DISABLE_AUTOUPDATER", "1")])
        .keys(&[
            ("ANTHROPIC_API_KEY", ""),
            ("ANTHROPIC_AUTH_TOKEN", ""),
            ("CLAUDE_CODE_OAUTH_TOKEN", ""),
            ("CLAUDE_CODE_USE_BEDROCK", ""),
            ("CLAUDE_CODE_USE_VERTEX", ""),
        ])
        .files(&[".claude/.credentials.json"]),
        agent("codex", "Codex", "Apache-2.0", &[&["codex-acp"]])
            .how("npm install -g @agentclientprotocol/codex-acp", "run `codex login` once, or set OPENAI_API_KEY")
            .node(20, 0)
            .modes("read-only", "workspace-write")
            .keys(&[("OPENAI_API_KEY", "api-key"), ("CODEX_API_KEY", "api-key")])
            .files(&[".codex/auth.json"]),
        agent("gemini", "Gemini CLI", "Apache-2.0", &[&["gemini", "--acp"]])
            .how("npm install -g @google/gemini-cli", "run `gemini` once and sign in, or set GEMINI_API_KEY")
            .node(20, 0)
            .modes("plan", "default")
            // Without it a folder that it does not know has no modes but the first.
            .env(&[("GEMINI_CLI_TRUST_WORKSPACE", "true")])
            .keys(&[
                ("GEMINI_API_KEY", "gemini-api-key"),
                ("GOOGLE_API_KEY", "vertex-ai"),
                ("GOOGLE_GENAI_USE_VERTEXAI", "vertex-ai"),
            ])
            .files(&[".gemini/oauth_creds.json"]),
        agent("opencode", "opencode", "MIT", &[&["opencode", "acp"]])
            .how("npm install -g opencode-ai", "run `opencode auth login` once")
            .modes("plan", "build")
            .env(&[("OPENCODE_DISABLE_AUTOUPDATE", "1"), ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1")])
            .keys(&[("ANTHROPIC_API_KEY", ""), ("OPENAI_API_KEY", "")])
            .files(&[".local/share/opencode/auth.json"]),
        agent("goose", "Goose", "Apache-2.0", &[&["goose", "acp"]])
            .how("see https://block.github.io/goose", "run `goose configure` once")
            .files(&[".config/goose/config.yaml"]),
        agent("qwen", "Qwen Code", "Apache-2.0", &[&["qwen", "--acp"]])
            .how("npm install -g @qwen-code/qwen-code", "run `qwen` once and sign in, or set OPENAI_API_KEY")
            .node(20, 0)
            .modes("plan", "default")
            .keys(&[("OPENAI_API_KEY", "openai")])
            .files(&[".qwen/oauth_creds.json"]),
        agent("kimi", "Kimi Code", "MIT", &[&["kimi", "acp"]])
            .how("npm install -g @moonshot-ai/kimi-code", "run `kimi` once and sign in, or set KIMI_MODEL_API_KEY")
            .node(22, 19)
            .modes("plan", "default")
            .env(&[("KIMI_CODE_NO_AUTO_UPDATE", "1"), ("KIMI_DISABLE_TELEMETRY", "1")])
            .keys(&[("KIMI_MODEL_API_KEY", "")]),
        Entry {
            modes: Modes { work: Some("ask".to_owned()), ..Modes::default() },
            ..agent("vibe", "Mistral Vibe", "Apache-2.0", &[&["vibe-acp"]])
                .how(
                    "uv tool install mistral-vibe (Python 3.12 or later)",
                    "run `vibe --setup` once, or set MISTRAL_API_KEY",
                )
                .keys(&[("MISTRAL_API_KEY", "")])
                .files(&[".vibe/.env"])
        },
        agent(
            "fast-agent",
            "fast-agent",
            "Apache-2.0",
            &[&["fast-agent-acp"], &["fast-agent", "serve", "--transport", "acp"]],
        )
        .how("uv tool install fast-agent-mcp (Python 3.13 or later)", "set the key of the model that it is to use")
        .keys(&[("ANTHROPIC_API_KEY", ""), ("OPENAI_API_KEY", "")]),
        Entry {
            rehearsal: true,
            ..agent("rehearsal", "Rehearsal", "part of Signalbox", &[&["signalbox", "agent", "rehearsal"]])
                .how("it is part of Signalbox: put `signalbox` on the PATH", "no sign-in: no model is behind it")
                .modes("plan", "default")
        },
    ]
}
