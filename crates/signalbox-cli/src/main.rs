//! `signalbox`: the headless host and the command line.
//!
//! Exit codes: 0 success, 1 failed, 2 usage, 3 host unreachable, 130 cancelled.

mod agent;
mod doctor;
mod export;
mod local;
mod logs;
mod output;
mod publish;
mod remote;
mod run;
mod secret;
mod serve;
mod share;
mod tail;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// Runs workflows of coding agents, commands, checks and approvals, and shows every event live.
#[derive(Debug, Parser)]
#[command(name = "signalbox", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Which host to talk to.
#[derive(Debug, Args, Clone)]
pub(crate) struct Target {
    /// The host's data folder [default: the platform's].
    #[arg(long, env = "SIGNALBOX_DATA_DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// A host elsewhere, by its address; needs a token.
    #[arg(long, env = "SIGNALBOX_URL")]
    pub(crate) url: Option<String>,
    /// The token for --url.
    #[arg(long, env = "SIGNALBOX_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The fingerprint of the host's key for --url over https, if nobody vouches for its certificate.
    #[arg(long, env = "SIGNALBOX_PIN")]
    pub(crate) pin: Option<String>,
    /// A host that was joined with `signalbox join`, by its name or address.
    #[arg(long, conflicts_with_all = ["url", "token", "pin"])]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a host in the foreground, and listens.
    Serve {
        /// The folder for the log, blobs and host.json [default: the platform's].
        #[arg(long, env = "SIGNALBOX_DATA_DIR")]
        data_dir: Option<PathBuf>,
        /// Address and port; port 0 picks a free one [default: 127.0.0.1:7117].
        #[arg(long)]
        listen: Option<String>,
        /// Opens this folder as a project. May be given several times.
        #[arg(long = "project")]
        projects: Vec<PathBuf>,
        /// Trusts the projects given: their triggers and programs may act.
        #[arg(long)]
        trust: bool,
        /// Lets others reach it too, over TLS, at ADDRESS:PORT [default: share.bind and share.port].
        #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "")]
        share: Option<String>,
    },
    /// Runs a workflow and waits for its end.
    Run {
        #[command(flatten)]
        target: Target,
        /// The workflow's name, or its file.
        workflow: String,
        /// The project's folder [default: this one].
        #[arg(long)]
        project: Option<PathBuf>,
        /// A value for an input, NAME=VALUE. JSON where the input is no text. May be given several times.
        #[arg(long = "input", short = 'i', value_name = "NAME=VALUE")]
        inputs: Vec<String>,
        /// Events as JSON lines.
        #[arg(long)]
        json: bool,
        /// Starts it and does not wait.
        #[arg(long)]
        detach: bool,
        /// Shows what the steps print.
        #[arg(long)]
        logs: bool,
    },
    /// Follows events.
    Tail {
        #[command(flatten)]
        target: Target,
        /// A room: host, activity, project/ID, project/ID/**, run/ID [default: everything].
        #[arg(long = "room")]
        rooms: Vec<String>,
        /// Begin after this cursor.
        #[arg(long)]
        after: Option<String>,
        /// Each event exactly as the host sent it, one a line.
        #[arg(long)]
        json: bool,
        /// End when everything up to now was shown.
        #[arg(long)]
        no_follow: bool,
    },
    /// Calls a method of the protocol.
    Call {
        #[command(flatten)]
        target: Target,
        /// The method, such as project.list.
        method: String,
        /// Its parameters, JSON; `-` reads them from standard input.
        params: Option<String>,
        /// Makes the call happen once, however often it is made with the same key.
        #[arg(long)]
        key: Option<String>,
    },
    /// Posts an event to a project.
    Publish {
        #[command(flatten)]
        target: Target,
        /// The event's type: x_ and lower-case letters, digits or _.
        kind: String,
        /// The project's id.
        #[arg(long)]
        project: String,
        /// The event's data, JSON.
        #[arg(long, default_value = "{}")]
        data: String,
        /// Makes it happen once.
        #[arg(long)]
        key: Option<String>,
        /// An event for each line of standard input, which is its data, JSON; as they come, until it ends. None is lost or
        /// published twice when the connection breaks.
        #[arg(long, conflicts_with_all = ["data", "key"])]
        lines: bool,
    },
    /// Writes a workflow that fits the project in this folder, or a template.
    Init {
        /// The folder [default: this one].
        path: Option<PathBuf>,
        /// The workflow's name [default: check, or the template's].
        #[arg(long)]
        name: Option<String>,
        /// A workflow of agents to begin with: ship-feature, generate-app, fix-issue, review-branch,
        /// deploy-infrastructure, nightly-maintenance.
        #[arg(long)]
        template: Option<String>,
        /// Shows it without writing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Checks a workflow file.
    Validate {
        /// The file.
        file: PathBuf,
        /// Findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints a schema: workflow, openapi, asyncapi, an event type, client-frame, host-frame, METHOD.params, METHOD.reply.
    Schema {
        /// Which; without it, the names there are.
        name: Option<String>,
    },
    /// Looks at what Signalbox needs here, and says what is missing.
    Doctor {
        /// Every setting with its variable, value and meaning.
        #[arg(long)]
        settings: bool,
    },
    /// Shows and tries agents.
    Agent {
        #[command(subcommand)]
        command: agent::AgentCommand,
    },
    /// Makes and revokes tokens.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Lets others reach this host, or stops that.
    Share {
        #[command(subcommand)]
        command: share::ShareCommand,
    },
    /// Makes a link with which somebody joins a host that is shared.
    Invite {
        #[command(flatten)]
        target: Target,
        /// viewer, operator or owner.
        #[arg(long)]
        role: String,
        /// Only this project. May be given several times.
        #[arg(long = "project")]
        projects: Vec<String>,
        /// How many may join with it.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// For how long: 7d, 12h, 15m.
        #[arg(long, default_value = "7d")]
        ttl: String,
        /// For whom it is meant: shown in the list of invitations.
        #[arg(long)]
        name: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists hosts that are announced in the local network, and those that were joined from here.
    Hosts {
        /// How long to listen, in milliseconds.
        #[arg(long, default_value_t = 2000)]
        wait: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Joins a host with the link of an invitation.
    Join {
        /// The link, in quotes.
        link: String,
        /// What you are called there [default: your name here].
        #[arg(long)]
        name: Option<String>,
        /// What to call the host here [default: its address].
        #[arg(long = "as")]
        call_it: Option<String>,
    },
    /// Keeps secrets of a project in the system's keychain.
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Writes a run to one file: a page that plays it again anywhere, or its events as JSON lines.
    Export {
        #[command(flatten)]
        target: Target,
        /// The run's id.
        run: String,
        /// The file, .html or .jsonl; `-` prints JSON lines.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints a link that logs a browser in, once.
    Login {
        #[command(flatten)]
        target: Target,
    },
    /// Within a step: says how far it is.
    Progress {
        /// 0 to 1.
        value: f64,
        /// What is being done.
        text: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token for a new member. It is shown once.
    Create {
        #[command(flatten)]
        target: Target,
        /// viewer, operator or owner.
        #[arg(long)]
        role: String,
        /// The member's name.
        #[arg(long, default_value = "token")]
        name: String,
        /// Only this project. May be given several times.
        #[arg(long = "project")]
        projects: Vec<String>,
        /// For how long: 30d, 12h, 15m.
        #[arg(long)]
        ttl: Option<String>,
    },
    /// Revokes a member's token and closes its connections.
    Revoke {
        #[command(flatten)]
        target: Target,
        /// The member's id, from `signalbox call member.list`.
        member: String,
    },
}

/// Whose secrets.
#[derive(Debug, Args, Clone)]
pub(crate) struct Project {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The project's folder [default: this one]; with --url, the project's id.
    #[arg(long)]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Asks for a secret's value, or reads it from standard input, and puts it into the keychain.
    Set {
        #[command(flatten)]
        of: Project,
        /// Its name, as workflows write it.
        name: String,
    },
    /// Takes a secret out of the keychain.
    Remove {
        #[command(flatten)]
        of: Project,
        /// Its name.
        name: String,
    },
    /// Shows which secrets the project's workflows ask for, and which are set. Never a value.
    List {
        #[command(flatten)]
        of: Project,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failed,
    Usage,
    Unreachable,
    Cancelled,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Success => 0,
            End::Failed => 1,
            End::Usage => 2,
            End::Unreachable => 3,
            End::Cancelled => 130,
        })
    }
}

fn main() -> ExitCode {
    // clap ends with 2 for wrong usage by itself.
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("SIGNALBOX_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false).init();
    // Two at least: the command is on one of them, and who reads what it prints may take their time.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note!("signalbox: the runtime could not be started: {error}");
            return End::Failed.into();
        }
    };
    // On a worker: each piece of news would have to wake this thread as well.
    let ended = runtime.block_on(async { tokio::spawn(command(cli.command)).await });
    let end = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).unwrap_or_else(|error| {
        remote::complain(&error);
        remote::end_of(&error)
    });
    let end = output::checked(end);
    // A blocking read of standard input must not hold the process up.
    runtime.shutdown_background();
    end.into()
}

async fn command(command: Command) -> anyhow::Result<End> {
    match command {
        Command::Serve { data_dir, listen, projects, trust, share } => {
            serve::serve(data_dir, listen, projects, trust, share).await
        }
        Command::Run { target, workflow, project, inputs, json, detach, logs } => {
            run::run(run::Wish { target, workflow, project, inputs, json, detach, logs }).await
        }
        Command::Tail { target, rooms, after, json, no_follow } => {
            tail::tail(&target, &rooms, after, json, no_follow).await
        }
        Command::Call { target, method, params, key } => remote::call(&target, &method, params, key).await,
        Command::Publish { target, kind, project, lines: true, .. } => publish::lines(&target, &kind, &project).await,
        Command::Publish { target, kind, project, data, key, .. } => {
            publish::one(&target, &kind, &project, &data, key).await
        }
        Command::Agent { command } => agent::run(command).await,
        Command::Init { path, name, template, dry_run } => {
            local::init(path, name.as_deref(), template.as_deref(), dry_run)
        }
        Command::Validate { file, json } => local::validate(&file, json).await,
        Command::Schema { name } => local::schema(name.as_deref()),
        Command::Doctor { settings } => doctor::doctor(settings).await,
        Command::Token { command: TokenCommand::Create { target, role, name, projects, ttl } } => {
            remote::create_token(&target, &role, &name, &projects, ttl.as_deref()).await
        }
        Command::Token { command: TokenCommand::Revoke { target, member } } => {
            remote::call(&target, "token.revoke", Some(serde_json::json!({ "member": member }).to_string()), None).await
        }
        Command::Share { command } => share::share(command).await,
        Command::Invite { target, role, projects, uses, ttl, name, json } => {
            share::invite(share::Invitation { target, role, projects, uses, ttl, name, json }).await
        }
        Command::Hosts { wait, json } => share::hosts(wait, json).await,
        Command::Join { link, name, call_it } => share::join(&link, name, call_it).await,
        Command::Secret { command: SecretCommand::Set { of, name } } => secret::set(&of, name).await,
        Command::Secret { command: SecretCommand::Remove { of, name } } => secret::remove(&of, name).await,
        Command::Secret { command: SecretCommand::List { of, json } } => secret::list(&of, json).await,
        Command::Export { target, run, out } => export::export(&target, &run, &out).await,
        Command::Login { target } => remote::login(&target).await,
        Command::Progress { value, text } => Ok(local::progress(value, text.as_deref())),
    }
}
