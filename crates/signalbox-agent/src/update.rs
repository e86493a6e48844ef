//! What an agent's session tells, whatever protocol it speaks: upserts by id, in the order in which they happened.
//!
//! The pieces are those of `signalbox_model`'s events; what names the step and the attempt is added by who records them.

use signalbox_model::{AgentChoice, Location, PermissionOption, PlanEntry, ToolDiff, ToolKind, ToolStatus, Usage};

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Who the agent is and how its session is set. Replaces what was known.
    Info(Box<Info>),
    /// A piece of a message or of a thought.
    Text(Text),
    /// A use of a tool: all that is known of it now. Upsert by its id.
    Tool(Box<ToolState>),
    /// The agent's plan. Replaces the one before.
    Plan(Vec<PlanEntry>),
    /// What the session used up so far.
    Usage(Box<UsageState>),
    /// The agent waits for a person: to be answered with [`crate::Session::answer`].
    Permission(Box<PermissionAsked>),
    /// A question is no longer asked.
    PermissionWithdrawn {
        /// The question, by [`PermissionAsked::id`].
        id: String,
        /// Why.
        reason: Withdrawn,
    },
    /// The agent gave its session a name.
    Title(String),
    /// The agent says that it tries again by itself: the model refused, or the connection to it broke.
    Retry {
        /// What it says about it.
        reason: String,
    },
    /// A line of the protocol, as it was. Secrets are masked; one that was cut into two lines is not recognised.
    Raw {
        /// Who sent it.
        direction: Direction,
        /// The line without its end; of a long one the first [`crate::limits::RAW`] bytes.
        line: String,
        /// Bytes that the line has.
        bytes: u64,
    },
    /// Text that the agent wrote to its standard error. That is no sign of trouble by itself.
    Stderr(String),
    /// Something that this crate has no name for.
    Unknown {
        /// The method or the kind of update.
        kind: String,
        /// What it said: JSON text, of a long one the first [`crate::limits::RAW`] bytes.
        json: String,
    },
}

/// Who sent a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// We did.
    ToAgent,
    /// The agent did.
    FromAgent,
}

/// Why a question is no longer asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Withdrawn {
    /// The agent took it back.
    ByAgent,
    /// The turn was cancelled.
    Cancelled,
    /// The turn ended without an answer.
    TurnEnded,
    /// The process ended.
    Exited,
}

/// Who the agent is and how its session is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// The name it gives itself, fit for people.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// A script plays the agent: see [`crate::rehearsal`].
    pub rehearsal: bool,
    /// The agent's own id of the session, by which it can be resumed.
    pub session: Option<String>,
    /// Whether the session was there before.
    pub resumed: bool,
    /// Whether the agent can go on with this session in another process.
    pub resumable: bool,
    /// Why a session that should have been resumed was not, for a person.
    pub not_resumed: Option<String>,
    /// Whether it takes servers of the Model Context Protocol over HTTP.
    pub mcp_over_http: bool,
    /// The mode it is in.
    pub mode: Option<String>,
    /// Modes that it offers.
    pub modes: Vec<AgentChoice>,
    /// The model.
    pub model: Option<String>,
    /// Models that it offers.
    pub models: Vec<AgentChoice>,
    /// Other settings that it offers.
    pub settings: Vec<Setting>,
}

/// A setting that the agent offers for its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As the agent names it.
    pub id: String,
    /// What is shown.
    pub name: String,
    /// What it is about, e.g. `mode`, `model`, `thought_level`; its id, if the agent does not say.
    pub category: String,
    /// What it is set to.
    pub value: String,
    /// What it can be set to.
    pub choices: Vec<AgentChoice>,
}

/// A piece of a message or of a thought. Pieces of one message are appended in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The message it belongs to, unique in the session's process.
    pub message: String,
    /// It is a thought.
    pub thought: bool,
    /// The text, at most [`crate::limits::TEXT`] bytes.
    pub text: String,
    /// The agent said this before and says it again under this new message, because its connection to the model broke: the
    /// message before this one was not finished.
    pub repeated: bool,
}

/// All that is known of a use of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolState {
    /// Unique in the session.
    pub id: String,
    /// What it does.
    pub kind: ToolKind,
    /// What is shown.
    pub title: String,
    /// Where it is. `Completed` is what the agent says, and no proof of success.
    pub status: ToolStatus,
    /// Places it is about.
    pub locations: Vec<Location>,
    /// What it was called with: JSON text, cut at [`crate::limits::INPUT`] bytes.
    pub input: Option<String>,
    /// What came out: its last [`crate::limits::OUTPUT`] bytes.
    pub output: Option<String>,
    /// Bytes that came out in all, when `output` holds only the end.
    pub output_bytes: Option<u64>,
    /// Exit code of what it ran, wherever the agent says it.
    pub exit_code: Option<i32>,
    /// Changes as the agent tells them.
    pub diffs: Vec<ToolDiff>,
}

/// What a session used up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UsageState {
    /// In all turns of this process so far.
    pub usage: Usage,
    /// The model, when it is said with the figures.
    pub model: Option<String>,
    /// Tokens in the context now.
    pub context_used: Option<u64>,
    /// Tokens that the context holds.
    pub context_size: Option<u64>,
}

/// A question of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionAsked {
    /// Names it, for the answer. Unique in the session's process.
    pub id: String,
    /// What it wants to do, with all that earlier updates said of it.
    pub tool: ToolState,
    /// The answers that it takes, at least one. There may be several of one kind.
    pub options: Vec<PermissionOption>,
}

/// An answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This option, by its id.
    Selected(String),
    /// None: the turn is being cancelled.
    Cancelled,
}

/// Why a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The agent thinks that it is done.
    EndTurn,
    /// The model reached its limit of tokens.
    MaxTokens,
    /// The agent reached its limit of requests to the model.
    MaxTurns,
    /// The agent refuses to go on.
    Refusal,
    /// It was cancelled.
    Cancelled,
    /// Something else, in the agent's word.
    Other(String),
}

/// A turn that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Why it ended. `EndTurn` is no proof that anything was done.
    pub stop: Stop,
    /// What the turn used up, where the agent says so.
    pub usage: Usage,
}
