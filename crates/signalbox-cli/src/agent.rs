//! `signalbox agent`: which agents are there, whether they answer, and the one that a script plays.

use std::path::PathBuf;

use clap::Subcommand;
use signalbox_wire::method::{AgentTested, Agents};

use crate::{End, Target, output, remote};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Shows which agents are there, and what is missing for the others.
    List {
        #[command(flatten)]
        target: Target,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Starts an agent, asks it who it is, and ends it. Nothing is sent to a model.
    Test {
        #[command(flatten)]
        target: Target,
        /// Its id.
        agent: String,
    },
    /// Plays a coding agent from a script, over standard input and output: for trying workflows without an account.
    Rehearsal {
        /// What it plays; without it, REHEARSAL_SCRIPT may name a file, else it answers any prompt by itself.
        #[arg(long)]
        script: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: AgentCommand) -> anyhow::Result<End> {
    match command {
        AgentCommand::Rehearsal { script } => {
            if let Err(error) = signalbox_host::rehearsal::play(script.as_deref()).await {
                output::note!("{error}");
                return Ok(End::Failed);
            }
            Ok(End::Success)
        }
        AgentCommand::List { target, json } => {
            let reply = remote::ask(&target, "agent.list", serde_json::json!({ "refresh": true })).await?;
            if json {
                output::line(reply.get());
                return Ok(End::Success);
            }
            let agents: Agents = serde_json::from_str(reply.get())?;
            for agent in agents.agents {
                let mark = if agent.installed { "✓" } else { "-" };
                let version = agent.version.as_deref().unwrap_or_default();
                output::line(&format!("{mark} {:<14} {} {version}", agent.id, output::safe(&agent.name)));
                for line in agent.missing.iter().chain(agent.sign_in.iter().filter(|_| agent.installed)) {
                    output::line(&format!("  {}", output::safe(line)));
                }
            }
            Ok(End::Success)
        }
        AgentCommand::Test { target, agent } => {
            let reply = remote::ask(&target, "agent.test", serde_json::json!({ "agent": agent })).await?;
            let tested: AgentTested = serde_json::from_str(reply.get())?;
            output::line(&format!("{} ({} ms)", output::safe(&tested.message), tested.took_ms));
            Ok(if tested.ok { End::Success } else { End::Failed })
        }
    }
}
