// Generated from the Rust types by `cargo xtask codegen`. Do not edit.
/* eslint-disable */

/** The version of the frame protocol. */
export const PROTOCOL_VERSION = 1;

/**
 * One line of the feed.
 */
export type Activity = { 
/**
 * What kind of thing happened: `run_started`, `run_completed`, `approval_requested`, ...
 */
kind: string, 
/**
 * How much it matters.
 */
priority: Priority, 
/**
 * Where.
 */
project?: ProjectId, 
/**
 * Who.
 */
actor: Actor, 
/**
 * The line itself.
 */
text: string, 
/**
 * The run it links to.
 */
run?: RunId, 
/**
 * The step it links to.
 */
step?: StepKey, 
/**
 * Of a `notify` step: who is to be told, `desktop`, `team`.
 */
to?: Array<string>, };

/**
 * A line of the feed with its place.
 */
export type ActivityEntry = { 
/**
 * Its place in the log.
 */
seq: number, 
/**
 * When.
 */
ts: number, 
/**
 * The line.
 */
data: Activity, };

/**
 * The feed.
 */
export type ActivitySnapshot = { 
/**
 * The last 100, oldest first.
 */
entries: Array<ActivityEntry>, };

/**
 * Who did something: a member's name, `engine`, or a source such as `git`. At most 120 bytes.
 */
export type Actor = string;

/**
 * A mode or a model that an agent offers.
 */
export type AgentChoice = { 
/**
 * As the agent names it.
 */
id: string, 
/**
 * What is shown.
 */
name: string, };

/**
 * A failure of an agent.
 */
export type AgentError = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * What kind.
 */
kind: AgentErrorKind, 
/**
 * What happened and what to do, for a person.
 */
message: string, 
/**
 * The agent's own words: its error answer, or the end of what it wrote to standard error.
 */
detail?: string, 
/**
 * When a usage limit ends.
 */
resets_at?: number, };

/**
 * What kind of failure an agent met.
 */
export type AgentErrorKind = "missing" | "auth" | "rate_limit" | "network" | "protocol" | "exited" | "limit" | "agent";

/**
 * An agent of the catalogue.
 */
export type AgentInfo = { 
/**
 * Its id, as a workflow names it.
 */
id: string, 
/**
 * What is shown.
 */
name: string, 
/**
 * A script plays it.
 */
rehearsal?: boolean, 
/**
 * It comes from the settings.
 */
custom?: boolean, 
/**
 * Whether it can be started.
 */
installed: boolean, 
/**
 * The program that is started.
 */
program?: string, 
/**
 * Its version.
 */
version?: string, 
/**
 * What is missing and how to get it.
 */
missing?: string, 
/**
 * Whether it is signed in, as far as can be told without asking anybody, in words.
 */
sign_in?: string, 
/**
 * How to install it.
 */
install?: string, 
/**
 * Its licence, in a few words.
 */
licence?: string, };

/**
 * Which agents.
 */
export type AgentList = { 
/**
 * Look again, instead of telling what was found lately.
 */
refresh?: boolean, };

/**
 * An agent's own plan. Each replaces the one before.
 */
export type AgentPlan = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * Its entries, in order.
 */
entries: Array<PlanEntry>, };

/**
 * An agent.
 */
export type AgentRef = { 
/**
 * Its id in the catalogue.
 */
agent: string, };

/**
 * An agent's session.
 */
export type AgentSession = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * The agent's id in the catalogue.
 */
agent: string, 
/**
 * The name it gives itself, or the catalogue's.
 */
name: string, 
/**
 * Its version, when it said so.
 */
version?: string, 
/**
 * A script plays the agent: nothing of it came from a model.
 */
rehearsal?: boolean, 
/**
 * Where it is.
 */
state: AgentState, 
/**
 * The agent's own id of the session, by which it can be resumed.
 */
session?: string, 
/**
 * It goes on with a session that was there before.
 */
resumed?: boolean, 
/**
 * The mode it is in.
 */
mode?: string, 
/**
 * Modes that it offers.
 */
modes?: Array<AgentChoice>, 
/**
 * The model, when it said so.
 */
model?: string, 
/**
 * The folder it works in.
 */
folder: string, 
/**
 * The branch of its worktree.
 */
branch?: string, 
/**
 * The commit its worktree was made from.
 */
base?: string, 
/**
 * Why it is where it is, in a sentence for a person.
 */
reason?: string, };

/**
 * Where an agent's session is.
 */
export type AgentState = "starting" | "running" | "waiting" | "idle" | "closed";

/**
 * What an agent said of itself.
 */
export type AgentTested = { 
/**
 * Whether it answered as it should.
 */
ok: boolean, 
/**
 * Name and version, or what went wrong and what to do.
 */
message: string, 
/**
 * How long it took to answer, in milliseconds.
 */
took_ms: number, };

/**
 * A piece of a message or of a thought.
 */
export type AgentText = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * The message it belongs to, unique within the attempt.
 */
id: string, 
/**
 * Whose it is.
 */
from: Speaker, 
/**
 * Bytes of this message before this piece.
 */
offset: number, 
/**
 * The text; for a large piece its beginning.
 */
text: string, 
/**
 * The whole piece, when it is over 16 KiB.
 */
blob?: BlobRef, 
/**
 * The agent said this before, and says it again because its connection to the model broke.
 */
repeated?: boolean, };

/**
 * What an attempt used up so far.
 */
export type AgentUsage = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * The agent's id in the catalogue.
 */
agent: string, 
/**
 * The model, when it said so.
 */
model?: string, 
/**
 * Tokens in the agent's context now.
 */
context_used?: number, 
/**
 * Tokens that the context holds.
 */
context_size?: number, 
/**
 * Tokens that went in, cached ones included.
 */
input_tokens: number, 
/**
 * Tokens that came out, thoughts included.
 */
output_tokens: number, 
/**
 * Of those that went in: read from a cache.
 */
cached_tokens?: number, 
/**
 * Money, in US dollars, as the agent reckons it; absent if it does not.
 */
usd?: number, };

/**
 * Agents.
 */
export type Agents = { 
/**
 * Installed ones first, then by name.
 */
agents: Array<AgentInfo>, };

/**
 * One member's answer.
 */
export type Answer = { 
/**
 * Who.
 */
actor: Actor, 
/**
 * Which member that is.
 */
member?: MemberId, 
/**
 * What.
 */
decision: Decision, 
/**
 * When.
 */
at: number, 
/**
 * The filled-in form.
 */
form?: { [key in string]: JsonValue }, };

/**
 * A question that waits, or waited, for a person.
 */
export type Approval = { 
/**
 * Its identifier; asked anew, it gets a new one.
 */
id: ApprovalId, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The run.
 */
run: RunId, 
/**
 * The run's number, for a title that a person can read out.
 */
run_number: number, 
/**
 * The workflow's name.
 */
workflow: string, 
/**
 * The step that asks.
 */
step: StepKey, 
/**
 * The question.
 */
question: string, 
/**
 * What to look at before answering: label and text.
 */
show?: { [key in string]: string }, 
/**
 * What to fill in.
 */
form?: Array<FormField>, 
/**
 * Roles that may answer; empty: operator and owner.
 */
roles: Array<Role>, 
/**
 * How many approvals it takes, at least 1.
 */
min: number, 
/**
 * Whether who started the run may answer.
 */
self_approval: boolean, 
/**
 * Where it stands.
 */
state: ApprovalState, 
/**
 * Answers so far.
 */
answers?: Array<Answer>, 
/**
 * Since when it waits.
 */
opened_at: number, 
/**
 * When time runs out.
 */
due_at?: number, 
/**
 * When it was settled.
 */
resolved_at?: number, 
/**
 * Why it was settled, when no person did.
 */
reason?: string, };

/**
 * An answer.
 */
export type ApprovalAnswer = { 
/**
 * To which question.
 */
approval: ApprovalId, 
/**
 * Yes or no.
 */
decision: Decision, 
/**
 * The filled-in form.
 */
form?: { [key in string]: JsonValue }, };

/**
 * A question that waits for a person: `a_` and 8 to 40 lower-case letters or digits.
 */
export type ApprovalId = string;

/**
 * Which questions.
 */
export type ApprovalList = { 
/**
 * Only of this project.
 */
project?: ProjectId, 
/**
 * The settled ones as well: the last 200.
 */
all?: boolean, };

/**
 * A question.
 */
export type ApprovalReply = { 
/**
 * As it is now.
 */
approval: Approval, };

/**
 * Where a question stands.
 */
export type ApprovalState = "open" | "approved" | "rejected" | "void";

/**
 * Questions.
 */
export type Approvals = { 
/**
 * Oldest first.
 */
approvals: Array<Approval>, };

/**
 * A file kept from a step.
 */
export type Artifact = { 
/**
 * Relative to the project folder, with `/`.
 */
path: string, 
/**
 * SHA-256 in lower-case hexadecimal.
 */
hash: string, 
/**
 * Size in bytes.
 */
bytes: number, 
/**
 * Media type (RFC 6838).
 */
media_type: string, };

/**
 * One try of a step. Older ones are kept with their logs.
 */
export type Attempt = { 
/**
 * Counts from 1 within the step.
 */
number: number, 
/**
 * When it was asked to start.
 */
started_at: number, 
/**
 * When it ended.
 */
ended_at?: number, 
/**
 * How it ended.
 */
conclusion?: StepConclusion, 
/**
 * Why it failed.
 */
cause?: FailureCause, 
/**
 * What happened, in a sentence for a person.
 */
message?: string, 
/**
 * The process's exit code.
 */
exit_code?: number, 
/**
 * The signal that ended the process (Unix).
 */
signal?: number, 
/**
 * The process, while it is known.
 */
pid?: number, 
/**
 * The process's start time in the system's own unit: a pid alone may be reused. Missing where the process was gone within
 * milliseconds.
 */
pid_started?: number, 
/**
 * How it was ended, if it was told to end.
 */
stopped?: StopKind, };

/**
 * Somebody did something.
 */
export type AuditEntry = { 
/**
 * Its number: later entries have larger ones.
 */
id: number, 
/**
 * When.
 */
at: number, 
/**
 * Who; absent for who was not recognised.
 */
member?: MemberId, 
/**
 * Their name then.
 */
name?: string, 
/**
 * The method, or `login`, `join`, `token.refused`.
 */
method: string, 
/**
 * The project that it was done to.
 */
project?: ProjectId, 
/**
 * What it was done to, such as `run=r_...`. Never a secret.
 */
target?: string, 
/**
 * `ok`, or the error's code.
 */
outcome: string, 
/**
 * Where from; absent for this machine's window.
 */
address?: string, };

/**
 * Which entries of the audit list.
 */
export type AuditList = { 
/**
 * Only entries with a smaller id.
 */
before?: number, 
/**
 * At most this many, 1 to 500; 100 if absent.
 */
limit?: number, 
/**
 * Only what this member did.
 */
member?: MemberId, 
/**
 * Only what was done to this project.
 */
project?: ProjectId, };

/**
 * Some of the audit list.
 */
export type AuditPage = { 
/**
 * The newest first.
 */
entries: Array<AuditEntry>, 
/**
 * Whether there are older ones.
 */
more: boolean, };

/**
 * What happened since the caller looked last.
 */
export type Away = { 
/**
 * The newest first.
 */
items: Array<AwayItem>, 
/**
 * How many there are of each kind, of at most 2,000 that were looked at.
 */
counts: { [key in string]: number }, 
/**
 * Where the caller stands in each project; a project without a mark was never read.
 */
marks: Array<ReadMark>, 
/**
 * Everything up to here was looked at: hand it to `mark.set`.
 */
cursor: Cursor, 
/**
 * Whether there are more than those listed.
 */
more: boolean, };

/**
 * One thing that happened while a member was away.
 */
export type AwayItem = { 
/**
 * The event: where to look.
 */
cursor: Cursor, 
/**
 * When.
 */
at: number, 
/**
 * What kind of thing.
 */
kind: AwayKind, 
/**
 * How much it matters.
 */
priority: Priority, 
/**
 * It is for this member rather than for everybody.
 */
to_me?: boolean, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Who did it.
 */
actor: Actor, 
/**
 * What, in at most 300 bytes.
 */
text: string, 
/**
 * The run it links to.
 */
run?: RunId, 
/**
 * The step it links to.
 */
step?: StepKey, 
/**
 * The question.
 */
approval?: ApprovalId, 
/**
 * The agent's question.
 */
permission?: PermissionId, 
/**
 * The message.
 */
message?: ChatId, 
/**
 * The risk.
 */
risk?: string, };

/**
 * What happened while a member was away, in a kind that a person can count.
 */
export type AwayKind = "mention" | "reply" | "question_waiting" | "question_answered" | "run_finished" | "run_failed" | "risk";

/**
 * What to list of what happened meanwhile.
 */
export type AwayList = { 
/**
 * Only this project; absent: every one that the caller may see.
 */
project?: ProjectId, 
/**
 * At most this many things, 1 to 200; 50 if absent.
 */
limit?: number, };

/**
 * Which part of a blob.
 */
export type BlobRead = { 
/**
 * Its SHA-256, as the event names it.
 */
hash: string, 
/**
 * From this byte on; 0 if absent. A page's `next` never cuts a letter.
 */
offset?: number, 
/**
 * At most this many bytes, 4 to 262,144; 262,144 if absent.
 */
limit?: number, };

/**
 * Content kept outside the log, by its hash.
 */
export type BlobRef = { 
/**
 * SHA-256 in lower-case hexadecimal.
 */
hash: string, 
/**
 * Size in bytes.
 */
bytes: number, 
/**
 * Media type (RFC 6838).
 */
media_type: string, };

/**
 * A part of a blob.
 */
export type BlobText = { 
/**
 * What is no UTF-8 is replaced.
 */
text: string, 
/**
 * Bytes of the whole blob.
 */
bytes: number, 
/**
 * Where the next part begins; absent: this is the last.
 */
next?: number, };

/**
 * Why a call failed: what happened, and what to do.
 */
export type CallError = { 
/**
 * The kind.
 */
code: ErrorCode, 
/**
 * What happened, and whether anything was lost.
 */
message: string, 
/**
 * What to do.
 */
hint?: string, 
/**
 * How long to wait before trying again, in milliseconds.
 */
retry_after_ms?: number, 
/**
 * More, for programs: a method says what it puts here.
 */
details?: JsonValue, };

/**
 * A message's new text.
 */
export type ChatEdit = { 
/**
 * Which message.
 */
message: ChatId, 
/**
 * Plain text, 1 byte to 4 KiB.
 */
text: string, };

/**
 * A chat message: `c_` and 8 to 40 lower-case letters or digits.
 */
export type ChatId = string;

/**
 * What a chat message points at.
 */
export type ChatLink = { 
/**
 * A run of the same project.
 */
run: RunId, 
/**
 * A step of it.
 */
step?: StepKey, 
/**
 * A line of the step's log, from 0.
 */
line?: number, };

/**
 * Which messages.
 */
export type ChatList = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Only messages older than this one.
 */
before?: ChatId, 
/**
 * At most this many, 1 to 200; 50 if absent.
 */
limit?: number, };

/**
 * A message of the project's chat: its whole present state.
 */
export type ChatMessage = { 
/**
 * Its identifier.
 */
id: ChatId, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Who wrote it.
 */
author: MemberId, 
/**
 * Their name when they wrote it.
 */
author_name: Actor, 
/**
 * What: plain text, at most 4 KiB. Empty once deleted.
 */
text: string, 
/**
 * Members that it names with `@name`, of those who may see the project.
 */
mentions?: Array<MemberId>, 
/**
 * What it points at, at most 16.
 */
links?: Array<ChatLink>, 
/**
 * The message that it answers.
 */
reply_to?: ChatId, 
/**
 * When it was written.
 */
created_at: number, 
/**
 * When it was last changed.
 */
edited_at?: number, 
/**
 * It was taken back.
 */
deleted?: boolean, };

/**
 * A page of the chat.
 */
export type ChatPage = { 
/**
 * Oldest first.
 */
messages: Array<ChatMessage>, 
/**
 * Whether there are older ones.
 */
more: boolean, };

/**
 * A message for a project's chat.
 */
export type ChatPost = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Plain text, 1 byte to 4 KiB. `@name` names a member.
 */
text: string, 
/**
 * The message that it answers, of the same project.
 */
reply_to?: ChatId, 
/**
 * What it points at, at most 16.
 */
links?: Array<ChatLink>, };

/**
 * Names a message.
 */
export type ChatRef = { 
/**
 * Which.
 */
message: ChatId, };

/**
 * A message.
 */
export type ChatReply = { 
/**
 * As it is now.
 */
message: ChatMessage, };

/**
 * What a client sends.
 */
export type ClientFrame = { "type": "hello" } & Hello | { "type": "subscribe", 
/**
 * Echoed in the answer.
 */
rid: number | null, 
/**
 * Which.
 */
rooms: Array<RoomFilter>, 
/**
 * The last place seen; absent: a snapshot of each.
 */
resume?: Cursor, } | { "type": "unsubscribe", 
/**
 * Echoed in the answer.
 */
rid: number | null, 
/**
 * Which.
 */
rooms: Array<RoomFilter>, } | { "type": "call", 
/**
 * Echoed in the `reply`.
 */
rid: number, 
/**
 * Which method.
 */
method: string, 
/**
 * Its parameters; absent means none.
 */
params?: JsonValue, 
/**
 * Idempotency key, at most 100 bytes: the same key twice is done once, and answered alike.
 */
key?: string, } | { "type": "pong", } | { "type": "presence", 
/**
 * Where.
 */
room: Room, 
/**
 * What. Unknown keys are dropped, longer texts are cut.
 */
state: PresenceState, } | { "type": "credit", 
/**
 * How many more.
 */
batches: number, };

/**
 * Who connects: shown to the other members and in the list of connections.
 */
export type ClientInfo = { 
/**
 * The program's name, at most 60 bytes.
 */
name: string, 
/**
 * Its version, at most 60 bytes.
 */
version: string, 
/**
 * Names this running instance: a second connection of the same instance closes the first. At most 60 bytes.
 */
instance?: string, };

/**
 * A commit that a run made.
 */
export type Commit = { 
/**
 * Its full hash.
 */
hash: string, 
/**
 * The branch it is on.
 */
branch: string, 
/**
 * Its message's first line.
 */
subject: string, 
/**
 * Files it changed.
 */
files: number, 
/**
 * Lines added.
 */
added: number, 
/**
 * Lines removed.
 */
removed: number, 
/**
 * The step that made it.
 */
step?: StepKey, };

/**
 * A run ended: what a person wants to know of it.
 */
export type Completion = { 
/**
 * Which run.
 */
run: RunId, 
/**
 * Its number in the project.
 */
number: number, 
/**
 * Its workflow.
 */
workflow: string, 
/**
 * How it ended.
 */
conclusion: RunConclusion, 
/**
 * From the first step's start to the end, in milliseconds.
 */
duration_ms: number, 
/**
 * Steps that failed, timed out, crashed or were rejected.
 */
failed_steps: Array<StepKey>, 
/**
 * What a person should do next, if anything.
 */
needs?: string, };

/**
 * A connection.
 */
export type Connection = { 
/**
 * Its number.
 */
id: number, 
/**
 * Whose.
 */
member: MemberId, 
/**
 * Their name.
 */
member_name: string, 
/**
 * `ipc`, `websocket`, `websocket_naive` or `sse`.
 */
transport: string, 
/**
 * Where from; absent for IPC.
 */
address?: string, 
/**
 * The program.
 */
client: string, 
/**
 * Since when.
 */
connected_at: number, 
/**
 * Which rooms.
 */
rooms: Array<string>, 
/**
 * Last measured round trip in milliseconds.
 */
round_trip_ms?: number, 
/**
 * Newest event sent.
 */
sent_seq: number, 
/**
 * How many events it is behind.
 */
lag: number, 
/**
 * About how many bytes it is behind: events that were not sent yet, and what its socket has not taken.
 */
lag_bytes?: number, 
/**
 * Messages of presence and the like that were sent.
 */
ephemeral?: number, 
/**
 * Those that were left out because the connection was slow: a newer one took their place, or there were too many.
 */
ephemeral_dropped?: number, 
/**
 * Events sent.
 */
events: number, 
/**
 * Bytes sent.
 */
bytes: number, 
/**
 * How it joined: `resumed`, `snapshot`, or `reset` when what it held was no longer good.
 */
joined: string, };

/**
 * Names a connection.
 */
export type ConnectionRef = { 
/**
 * Its number from `connection.list`.
 */
connection: number, };

/**
 * Connections.
 */
export type Connections = { 
/**
 * Oldest first.
 */
connections: Array<Connection>, };

/**
 * A failed check went back to the agent.
 */
export type Correction = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * Counts from 1 within the attempt.
 */
number: number, 
/**
 * At most this many.
 */
max: number, 
/**
 * What the agent was told.
 */
feedback: string, };

/**
 * A place in a log: everything up to and including `seq` was seen. Written `<epoch>.<seq>`.
 *
 * One cursor serves any set of rooms on every transport.
 */
export type Cursor = string;

/**
 * What an agent used up on a day.
 */
export type DayUsage = { 
/**
 * When the day began (UTC). A use counts on the day on which its run was started.
 */
day: number, 
/**
 * The agent's id.
 */
agent: string, 
/**
 * Attempts of steps.
 */
attempts: number, 
/**
 * Tokens and money.
 */
usage: Usage, };

/**
 * What a person may answer.
 */
export type Decision = "approve" | "reject";

/**
 * A webhook's deliveries.
 */
export type Deliveries = { 
/**
 * The newest first; the last 200 are kept.
 */
deliveries: Array<Delivery>, 
/**
 * How many events wait to be delivered, at most 10,000.
 */
waiting: number, };

/**
 * One event on its way to a webhook's receiver.
 */
export type Delivery = { 
/**
 * Names the delivery: the same at every attempt.
 */
id: string, 
/**
 * The event's place; 0 for a test.
 */
seq: number, 
/**
 * The event's type; `webhook_test` for a test.
 */
event: string, 
/**
 * What became of it.
 */
state: DeliveryState, 
/**
 * How often it was tried.
 */
attempts: number, 
/**
 * When it was last tried.
 */
at: number, 
/**
 * When it was first tried; absent: then as well.
 */
first_at?: number, 
/**
 * How long the last attempt took, in milliseconds.
 */
took_ms: number, 
/**
 * The receiver's last answer.
 */
status?: number, 
/**
 * Why the last attempt failed.
 */
error?: string, };

/**
 * What became of a delivery.
 */
export type DeliveryState = "delivered" | "retrying" | "failed";

/**
 * Something wrong, or doubtful, in a workflow.
 */
export type Diagnostic = { 
/**
 * `error` or `warning`.
 */
severity: string, 
/**
 * Names the rule.
 */
code: string, 
/**
 * What is wrong.
 */
message: string, 
/**
 * What to do.
 */
hint?: string, 
/**
 * The line, from 1; 0 if it is about the whole file.
 */
line: number, 
/**
 * The column, from 1.
 */
column: number, };

/**
 * Changes of a step.
 */
export type DiffReply = { 
/**
 * The attempt.
 */
attempt: number, 
/**
 * The commit they are compared with; absent: the step has no worktree.
 */
base?: string, 
/**
 * By path.
 */
files: Array<FileDiff>, };

/**
 * The engine came back after its process had ended without a shutdown.
 */
export type EngineRecovered = { 
/**
 * Runs that were not done.
 */
runs: number, 
/**
 * Steps whose outcome is unknown.
 */
crashed: Array<RecoveredStep>, 
/**
 * Steps that are repeated because their workflow says that is harmless (`idempotent`).
 */
repeated: Array<RecoveredStep>, 
/**
 * Processes of the dead host that had to be ended.
 */
ended_processes: number, };

/**
 * The identity of one log: 4 to 16 lower-case letters or digits, chosen at random when the log is created,
 * restored from an older copy, or found shorter than what was already handed out.
 */
export type Epoch = string;

/**
 * What kind of error it is: what a program can act on.
 */
export type ErrorCode = "bad_request" | "unauthorized" | "forbidden" | "not_found" | "conflict" | "limit_exceeded" | "too_many_requests" | "unavailable" | "internal";

/**
 * Something failed that a person should know.
 */
export type ErrorReport = { 
/**
 * One of the protocol's error codes.
 */
code: string, 
/**
 * What happened, and whether anything was lost.
 */
message: string, 
/**
 * What to do.
 */
hint?: string, };

/**
 * The data of each event type of Signalbox itself. The wire form is `"type"` and `"data"`.
 */
export type EventData = { "type": "run_updated", "data": Run } | { "type": "step_updated", "data": Step } | { "type": "step_completed", "data": Step } | { "type": "log", "data": LogChunk } | { "type": "completion", "data": Completion } | { "type": "progress_update", "data": Progress } | { "type": "approval_requested", "data": Approval } | { "type": "approval_resolved", "data": Approval } | { "type": "verify_result", "data": VerifyResult } | { "type": "agent_session", "data": AgentSession } | { "type": "agent_message", "data": AgentText } | { "type": "agent_thought", "data": AgentText } | { "type": "tool_call", "data": ToolCall } | { "type": "plan_update", "data": AgentPlan } | { "type": "file_diff", "data": FileDiff } | { "type": "usage_update", "data": AgentUsage } | { "type": "agent_error", "data": AgentError } | { "type": "permission_requested", "data": Permission } | { "type": "permission_resolved", "data": Permission } | { "type": "correction", "data": Correction } | { "type": "goal_check", "data": GoalVerdict } | { "type": "risk_alert", "data": Risk } | { "type": "commit", "data": Commit } | { "type": "chat_message", "data": ChatMessage } | { "type": "webhook_updated", "data": Webhook } | { "type": "notice", "data": Notice } | { "type": "notices_updated", "data": NoticesUpdated } | { "type": "mark_updated", "data": ReadMark } | { "type": "profile_updated", "data": Profile } | { "type": "queue_update", "data": QueueState } | { "type": "project_updated", "data": Project } | { "type": "workflow_updated", "data": WorkflowSaved } | { "type": "activity_created", "data": Activity } | { "type": "system_status", "data": SystemStatus } | { "type": "health_check", "data": HealthCheck } | { "type": "member_updated", "data": Member } | { "type": "engine_recovered", "data": EngineRecovered } | { "type": "error", "data": ErrorReport };

/**
 * Which events.
 */
export type EventList = { 
/**
 * Of these rooms.
 */
rooms: Array<RoomFilter>, 
/**
 * After this place; absent: from the oldest kept.
 */
after?: Cursor, 
/**
 * At most this many, 1 to 1,000; 200 if absent.
 */
limit?: number, };

/**
 * Events, each exactly as subscribers receive it.
 */
export type EventPage = { 
/**
 * In the order that the method promises.
 */
events: Array<SignalboxEvent>, 
/**
 * Go on from here.
 */
cursor: Cursor, 
/**
 * Whether there are more.
 */
more: boolean, };

/**
 * An event of another program.
 */
export type EventPublish = { 
/**
 * Into this project's room.
 */
project: ProjectId, 
/**
 * `x_` and 1 to 60 lower-case letters, digits or `_`.
 */
type: string, 
/**
 * Any JSON, at most `limits.event_bytes`.
 */
data: JsonValue, 
/**
 * Also put a line of this priority into the activity feed.
 */
priority?: Priority, 
/**
 * That line's text; the event's type if absent.
 */
text?: string, };

/**
 * Events of another program that are committed together.
 */
export type EventPublishMany = { 
/**
 * Into this project's room.
 */
project: ProjectId, 
/**
 * 1 to 1,000, in order.
 */
events: Array<NewCustomEvent>, };

/**
 * What to search events for.
 */
export type EventSearch = { 
/**
 * Words, all of which must occur; the last may be the beginning of one.
 */
text?: string, 
/**
 * Only these types, at most 100.
 */
types?: Array<string>, 
/**
 * Only of this project and its runs.
 */
project?: ProjectId, 
/**
 * Only events before this sequence number.
 */
before?: number, 
/**
 * At most this many, 1 to 200; 50 if absent.
 */
limit?: number, };

/**
 * One piece of evidence of a goal's check.
 */
export type Evidence = { 
/**
 * What was checked, in words.
 */
what: string, 
/**
 * Whether it held.
 */
passed: boolean, 
/**
 * What was seen.
 */
detail: string, 
/**
 * How long it took in milliseconds.
 */
duration_ms: number, };

/**
 * Why an attempt failed, as far as retry rules care.
 */
export type FailureCause = "command" | "infra" | "rate_limit" | "timeout" | "stall" | "verify" | "outputs" | "crash" | "agent" | "budget" | "git";

/**
 * How a file in a step's folder differs from the base commit, as git sees it. Upsert by `path`.
 */
export type FileDiff = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * The file, relative to the repository, with `/`.
 */
path: string, 
/**
 * Its name before, if it was renamed.
 */
old_path?: string, 
/**
 * What happened.
 */
status: FileStatus, 
/**
 * Lines added.
 */
added: number, 
/**
 * Lines removed.
 */
removed: number, 
/**
 * It is not text.
 */
binary?: boolean, 
/**
 * The change in unified form; for a large one its beginning.
 */
patch: string, 
/**
 * The whole patch, when it is over 16 KiB.
 */
blob?: BlobRef, };

/**
 * What happened to a file since the base commit.
 */
export type FileStatus = "added" | "modified" | "deleted" | "renamed" | "unchanged";

/**
 * A file of a step.
 */
export type FileText = { 
/**
 * Relative to the repository.
 */
path: string, 
/**
 * Its text, at most 1 MiB; what is no UTF-8 is replaced. Absent: it is binary, or not there.
 */
text?: string, 
/**
 * Bytes that it has.
 */
bytes: number, 
/**
 * It is no text.
 */
binary?: boolean, 
/**
 * Only its beginning is here.
 */
truncated?: boolean, 
/**
 * It was there and is not any more.
 */
missing?: boolean, 
/**
 * It was read from the folder that the step works in; false: that is gone, and this is from git.
 */
live: boolean, };

/**
 * A field that a person fills in with the answer.
 */
export type FormField = { 
/**
 * Its name in `steps.<id>.form`.
 */
name: string, 
/**
 * Its kind.
 */
kind: FormFieldKind, 
/**
 * What is shown; the name if absent.
 */
title?: string, 
/**
 * Several lines.
 */
multiline?: boolean, 
/**
 * Must be filled in to approve.
 */
required?: boolean, 
/**
 * Choices of an `enum`.
 */
values?: Array<string>, 
/**
 * What the field holds at first.
 */
default?: JsonValue, };

/**
 * The kind of a form's field.
 */
export type FormFieldKind = "string" | "number" | "integer" | "boolean" | "enum";

/**
 * A host on the local network. What it says of itself is not proven: only an invitation's link is.
 */
export type FoundHost = { 
/**
 * Its name.
 */
name: string, 
/**
 * Addresses to try.
 */
urls: Array<string>, 
/**
 * The beginning of its fingerprint.
 */
fingerprint: string, 
/**
 * Its version.
 */
version: string, };

/**
 * Hosts on the local network.
 */
export type FoundHosts = { 
/**
 * By name.
 */
hosts: Array<FoundHost>, };

/**
 * Whether a run reached the goal that was frozen when it started.
 */
export type GoalVerdict = { 
/**
 * The goal, as it was when the run started.
 */
statement: string, 
/**
 * The landing step that waits for it; absent at the run's end.
 */
step?: StepKey, 
/**
 * Whether all of it held.
 */
passed: boolean, 
/**
 * What was checked, in order, up to the first that failed.
 */
evidence: Array<Evidence>, };

/**
 * A step in a workflow's graph.
 */
export type GraphStep = { 
/**
 * Its id.
 */
id: string, 
/**
 * What is shown.
 */
title: string, 
/**
 * What it does.
 */
kind: StepKind, 
/**
 * Ids of the steps that it needs.
 */
needs: Array<string>, 
/**
 * Runs once for each value of a matrix.
 */
matrix: boolean, 
/**
 * Its line in the text.
 */
line: number, };

/**
 * Whether a service of the host is well.
 */
export type Health = "ok" | "degraded" | "down";

/**
 * A service's health changed.
 */
export type HealthCheck = { 
/**
 * `log`, `engine`, `disk`, `websocket`.
 */
service: string, 
/**
 * How it is.
 */
health: Health, 
/**
 * Why, for a person.
 */
detail?: string, };

/**
 * The first frame of a client.
 */
export type Hello = { 
/**
 * Echoed in the answer.
 */
rid?: number, 
/**
 * The protocol version, 1.
 */
v: number, 
/**
 * The token; absent where the transport already proved who it is (IPC, a cookie, an `Authorization` header).
 */
token?: string, 
/**
 * Who connects.
 */
client: ClientInfo, 
/**
 * Rooms to join at once, at most `limits.rooms`.
 */
rooms: Array<RoomFilter>, 
/**
 * The last place seen; absent: a snapshot of each room.
 */
resume?: Cursor, };

/**
 * How to look for hosts.
 */
export type HostFind = { 
/**
 * How long to listen for answers, in milliseconds, 100 to 10,000; 2,000 if absent.
 */
wait_ms?: number, };

/**
 * What the host sends beside events.
 */
export type HostFrame = { "type": "connection", 
/**
 * Of the `hello`.
 */
rid?: number, 
/**
 * This log.
 */
epoch: Epoch, 
/**
 * Its newest event.
 */
head: number, 
/**
 * The host's version.
 */
version: string, 
/**
 * Names this connection in `connection.list`.
 */
connection: number, 
/**
 * Who the token says it is.
 */
member: MemberId, 
/**
 * Its name.
 */
member_name: string, 
/**
 * Its role.
 */
role: Role, 
/**
 * The bounds.
 */
limits: Limits, 
/**
 * A `ping` comes at least this often, in milliseconds.
 */
ping_ms: number, } | { "type": "subscribed", 
/**
 * Of the `subscribe`; absent for rooms of the `hello`.
 */
rid?: number, 
/**
 * Which.
 */
room: RoomFilter, 
/**
 * How.
 */
mode: SubscribeMode, 
/**
 * The newest event of this room when it was joined; 0 for none. For a project with its runs: of the project's own room.
 */
head: number, } | { "type": "reset", 
/**
 * Which.
 */
room: RoomFilter, 
/**
 * `epoch_changed`, `too_old`, `too_far_behind`, `future` or `slow`.
 */
reason: string, } | { "type": "snapshot", 
/**
 * Which.
 */
room: RoomFilter, 
/**
 * Everything up to this event is in it.
 */
at: number, 
/**
 * The state.
 */
state: Snapshot, } | { "type": "synced", 
/**
 * Of the `subscribe`.
 */
rid?: number, 
/**
 * Resume from here.
 */
cursor: Cursor, } | { "type": "ping", 
/**
 * The newest event of the host, so that an idle client knows how far the log is.
 */
head: number, 
/**
 * The newest event sent to this client: if it has not seen it, something was lost.
 */
sent: number, } | { "type": "reply", 
/**
 * Of the call.
 */
rid: number, 
/**
 * What it gave.
 */
result?: unknown, 
/**
 * Why it failed.
 */
error?: CallError, } | { "type": "left", 
/**
 * Which.
 */
room: RoomFilter, 
/**
 * `unsubscribed`, `forbidden`, `not_found`.
 */
code: string, } | { "type": "lagging", 
/**
 * How many events behind.
 */
behind: number, } | { "type": "presence", 
/**
 * Where.
 */
room: Room, 
/**
 * Who.
 */
member: MemberId, 
/**
 * Their name.
 */
name: string, 
/**
 * What they look at, on the device that spoke last; absent: they left.
 */
state?: PresenceState, 
/**
 * Each device, the one that spoke last first, if there are several; at most 8.
 */
devices?: Array<PresenceState>, } | { "type": "connection_stats", 
/**
 * `host`.
 */
room: Room, 
/**
 * When it was measured.
 */
at: number, 
/**
 * How many connections there are.
 */
count: number, 
/**
 * The first 200 of them, oldest first.
 */
connections: Array<Connection>, } | { "type": "bye", 
/**
 * The close code that follows.
 */
code: number, 
/**
 * Its name.
 */
reason: string, 
/**
 * Wait this long before connecting again, in milliseconds; absent: do not.
 */
reconnect_ms?: number, };

/**
 * The host.
 */
export type HostSnapshot = { 
/**
 * The host's version.
 */
version: string, 
/**
 * Every known project.
 */
projects: Array<Project>, 
/**
 * Every member.
 */
members: Array<Member>, 
/**
 * The machine, once measured.
 */
system?: SystemStatus, 
/**
 * Each service's health.
 */
health: Array<HealthCheck>, 
/**
 * Who follows this room.
 */
presence?: Array<Present>, };

/**
 * An invitation to join this host.
 */
export type Invite = { 
/**
 * Its identifier.
 */
id: InviteId, 
/**
 * The role of who joins with it.
 */
role: Role, 
/**
 * Their projects; empty: all.
 */
projects?: Array<ProjectId>, 
/**
 * For whom it is meant, as its owner wrote it.
 */
name?: string, 
/**
 * Who made it.
 */
created_by: MemberId, 
/**
 * When.
 */
created_at: number, 
/**
 * Until when it is good.
 */
expires_at: number, 
/**
 * How many may join with it.
 */
uses: number, 
/**
 * Who has, in order.
 */
joined: Array<MemberId>, 
/**
 * It was taken back.
 */
revoked?: boolean, };

/**
 * A new invitation.
 */
export type InviteCreate = { 
/**
 * The role of who joins with it.
 */
role: Role, 
/**
 * Only these projects; absent or empty: all.
 */
projects?: Array<ProjectId>, 
/**
 * For how long, in milliseconds, at most 90 days; a week if absent.
 */
ttl_ms?: number, 
/**
 * How many may join with it, 1 to 1,000; 1 if absent.
 */
uses?: number, 
/**
 * For whom it is meant, at most 60 bytes: shown in the list.
 */
name?: string, };

/**
 * A new invitation. The code and what holds it are shown this once.
 */
export type InviteCreated = { 
/**
 * The invitation.
 */
invite: Invite, 
/**
 * The code, for `POST /api/v1/join`.
 */
code: string, 
/**
 * Opens the page that asks for a name; the likeliest of `links`.
 */
link: string, 
/**
 * The same for each address of this host.
 */
links: Array<string>, 
/**
 * Opens the desktop app.
 */
app_link: string, 
/**
 * `link` as a QR code, an SVG image.
 */
qr: string, };

/**
 * An invitation: `i_` and 8 to 40 lower-case letters or digits.
 */
export type InviteId = string;

/**
 * Names an invitation.
 */
export type InviteRef = { 
/**
 * Its id.
 */
invite: InviteId, };

/**
 * An invitation.
 */
export type InviteReply = { 
/**
 * As it is now.
 */
invite: Invite, };

/**
 * Invitations.
 */
export type Invites = { 
/**
 * The newest first.
 */
invites: Array<Invite>, };

export type JsonValue = number | string | boolean | Array<JsonValue> | { [key in string]: JsonValue } | null;

/**
 * The bounds of a connection. A client that keeps to them is never closed for their sake.
 */
export type Limits = { 
/**
 * Largest frame from a client, in bytes.
 */
frame_bytes: number, 
/**
 * Largest `data` of a posted event, in bytes.
 */
event_bytes: number, 
/**
 * Most bytes on their way to one connection.
 */
outbound_bytes: number, 
/**
 * Most rooms of one connection.
 */
rooms: number, 
/**
 * Time for `hello`, in milliseconds.
 */
hello_ms: number, 
/**
 * Calls per second and member; 0: no limit.
 */
calls_per_second: number, 
/**
 * Connections of one member; 0: no limit.
 */
connections_per_member: number, 
/**
 * Connections of the host; 0: no limit.
 */
connections: number, 
/**
 * Most events that a resume replays; further behind means `reset` and a snapshot.
 */
replay_events: number, };

/**
 * A place that a tool call is about.
 */
export type Location = { 
/**
 * The file, relative to the session's folder where it lies in it.
 */
path: string, 
/**
 * The line, from 1.
 */
line?: number, };

/**
 * A piece of what a step printed, in order of printing.
 */
export type LogChunk = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * Where it came from.
 */
stream: LogStream, 
/**
 * Bytes of this attempt's log before this piece.
 */
offset: number, 
/**
 * Lines of this attempt's log before this piece: the number of its first line, from 0.
 */
line: number, 
/**
 * Line ends in this piece.
 */
lines: number, 
/**
 * The text; for a large piece its beginning.
 */
text: string, 
/**
 * The whole piece, when it is over 16 KiB.
 */
blob?: BlobRef, };

/**
 * A line of a log.
 */
export type LogLine = { 
/**
 * Its number, from 0.
 */
n: number, 
/**
 * `stdout`, `stderr` or `system`.
 */
stream: string, 
/**
 * The text without its end; cut at 16 KiB.
 */
text: string, 
/**
 * How many bytes were cut.
 */
cut?: number, };

/**
 * Matches in a log.
 */
export type LogMatches = { 
/**
 * The attempt that was searched.
 */
attempt: number, 
/**
 * The matching lines, in order.
 */
matches: Array<LogLine>, 
/**
 * How many lines match in all.
 */
total: number, 
/**
 * Lines of the whole log.
 */
total_lines: number, };

/**
 * Lines of a log.
 */
export type LogPage = { 
/**
 * The attempt they are of.
 */
attempt: number, 
/**
 * In order.
 */
lines: Array<LogLine>, 
/**
 * Lines of the whole log so far.
 */
total_lines: number, 
/**
 * Bytes of the whole log so far.
 */
total_bytes: number, 
/**
 * Whether the log can grow.
 */
live: boolean, };

/**
 * The log, in figures.
 */
export type LogReport = { 
/**
 * Its identity.
 */
epoch: Epoch, 
/**
 * The newest event.
 */
head: number, 
/**
 * The oldest event kept.
 */
oldest: number, 
/**
 * Size on disk in bytes.
 */
bytes: number, 
/**
 * `process` or `power`: what a committed event survives.
 */
durability: string, 
/**
 * The version of the database's schema.
 */
schema: number, };

/**
 * Where a line of a log came from.
 */
export type LogStream = "stdout" | "stderr" | "system" | "protocol";

/**
 * The end of an attempt's log.
 */
export type LogTail = { 
/**
 * Its last pieces, at most 64 KiB, oldest first.
 */
chunks: Array<LogChunk>, 
/**
 * Lines of the whole log so far.
 */
lines: number, 
/**
 * Bytes of the whole log so far.
 */
bytes: number, };

/**
 * A login code.
 */
export type LoginCode = { 
/**
 * Good once, for 60 s.
 */
code: string, 
/**
 * Open this in a browser; absent while nothing listens.
 */
url?: string, };

/**
 * A read mark.
 */
export type MarkReply = { 
/**
 * As it is now.
 */
mark: ReadMark, };

/**
 * How far the caller has read.
 */
export type MarkSet = { 
/**
 * In which project.
 */
project: ProjectId, 
/**
 * Everything up to here was seen.
 */
cursor: Cursor, };

/**
 * A person or a program that may connect.
 */
export type Member = { 
/**
 * Its identifier.
 */
id: MemberId, 
/**
 * What is shown.
 */
name: string, 
/**
 * What it may do.
 */
role: Role, 
/**
 * Where; empty: everywhere.
 */
projects?: Array<ProjectId>, 
/**
 * Until when its token is good.
 */
expires_at?: number, 
/**
 * Who made the invitation with which it joined; absent for who has a token made for it.
 */
invited_by?: MemberId, 
/**
 * Who vouches for it: the issuer of the JWTs by which it comes. These say what it may do.
 */
issuer?: string, 
/**
 * Its token no longer works.
 */
revoked?: boolean, };

/**
 * A member (a person or a program): `m_` and 8 to 40 lower-case letters or digits.
 */
export type MemberId = string;

/**
 * Names a member.
 */
export type MemberRef = { 
/**
 * Its id.
 */
member: MemberId, };

/**
 * A member.
 */
export type MemberReply = { 
/**
 * As it is now.
 */
member: Member, };

/**
 * What is for one member alone.
 */
export type MemberSnapshot = { 
/**
 * Notices that were not read, newest first, at most 100.
 */
notices: Array<Notice>, 
/**
 * How many were not read, in all.
 */
unread: number, 
/**
 * How far the member has read in each project.
 */
marks: Array<ReadMark>, 
/**
 * What the member wants on every device; absent: it has never said so.
 */
profile?: Profile, };

/**
 * A change of a member: what is absent stays.
 */
export type MemberUpdate = { 
/**
 * Its id.
 */
member: MemberId, 
/**
 * Its new name, 1 to 60 bytes.
 */
name?: string, 
/**
 * Its new role.
 */
role?: Role, 
/**
 * Its new projects; empty: all.
 */
projects?: Array<ProjectId>, };

/**
 * Members.
 */
export type Members = { 
/**
 * By name.
 */
members: Array<Member>, };

/**
 * One of several events.
 */
export type NewCustomEvent = { 
/**
 * As for `event.publish`.
 */
type: string, 
/**
 * As for `event.publish`.
 */
data: JsonValue, 
/**
 * As for `event.publish`.
 */
priority?: Priority, 
/**
 * As for `event.publish`.
 */
text?: string, };

/**
 * A kind of notification.
 */
export type NewsKind = "questions" | "risks" | "messages";

/**
 * No parameters, or no result.
 */
export type Nothing = Record<symbol, never>;

/**
 * Something for one member: it stays until it is read, on whichever device.
 */
export type Notice = { 
/**
 * Its identifier.
 */
id: NoticeId, 
/**
 * For whom.
 */
member: MemberId, 
/**
 * Why.
 */
kind: NoticeKind, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Who caused it.
 */
actor: Actor, 
/**
 * What, in at most 300 bytes.
 */
text: string, 
/**
 * The event that it is about.
 */
cursor: Cursor, 
/**
 * When.
 */
at: number, 
/**
 * The run it links to.
 */
run?: RunId, 
/**
 * The step it links to.
 */
step?: StepKey, 
/**
 * The question.
 */
approval?: ApprovalId, 
/**
 * The agent's question.
 */
permission?: PermissionId, 
/**
 * The message.
 */
message?: ChatId, 
/**
 * When a device of the member first had it: who finds it absent shows it as new.
 */
delivered_at?: number, 
/**
 * When it was read, or settled.
 */
read_at?: number, 
/**
 * The question got its answer, or is no longer asked.
 */
settled?: boolean, };

/**
 * A notice in a member's inbox: `n_` and 8 to 40 lower-case letters or digits.
 */
export type NoticeId = string;

/**
 * Why something is in a member's inbox.
 */
export type NoticeKind = "mention" | "reply" | "approval" | "permission" | "webhook";

/**
 * Which notices.
 */
export type NoticeList = { 
/**
 * Only those that were not read.
 */
unread?: boolean, 
/**
 * Only those older than this one.
 */
before?: NoticeId, 
/**
 * At most this many, 1 to 200; 50 if absent.
 */
limit?: number, };

/**
 * Which notices were read: exactly one of `ids` and `all_until`.
 */
export type NoticeRead = { 
/**
 * These, at most 500.
 */
ids?: Array<NoticeId>, 
/**
 * All about events up to here.
 */
all_until?: Cursor, };

/**
 * A page of notices.
 */
export type Notices = { 
/**
 * The newest first.
 */
notices: Array<Notice>, 
/**
 * How many were not read, in all.
 */
unread: number, 
/**
 * Whether there are older ones.
 */
more: boolean, };

/**
 * How many notices were not read yet.
 */
export type NoticesLeft = { 
/**
 * How many.
 */
unread: number, };

/**
 * Notices that were delivered, read or settled together.
 */
export type NoticesUpdated = { 
/**
 * Which, at most 500.
 */
ids: Array<NoticeId>, 
/**
 * When a device first had them.
 */
delivered_at?: number, 
/**
 * When they were read or settled.
 */
read_at?: number, 
/**
 * They are settled: the question got its answer.
 */
settled?: boolean, };

/**
 * What an answer means to the agent.
 */
export type OptionKind = "allow_once" | "allow_always" | "reject_once" | "reject_always" | "answer";

/**
 * A question of an agent that waits, or waited, for a person.
 */
export type Permission = { 
/**
 * Its identifier; asked anew, it gets a new one.
 */
id: PermissionId, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The run.
 */
run: RunId, 
/**
 * The run's number, for a title that a person can read out.
 */
run_number: number, 
/**
 * The workflow's name.
 */
workflow: string, 
/**
 * The step whose agent asks.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * The agent's id in the catalogue.
 */
agent: string, 
/**
 * What is asked.
 */
topic: PermissionTopic, 
/**
 * The question, or the tool call's title.
 */
title: string, 
/**
 * What the tool does.
 */
kind: ToolKind, 
/**
 * The tool call, by its id in the transcript.
 */
tool_call?: string, 
/**
 * What it would be called with: JSON text, at most 16 KiB.
 */
input?: string, 
/**
 * Places it is about.
 */
locations?: Array<Location>, 
/**
 * Changes it would make, as the agent tells them.
 */
diffs?: Array<ToolDiff>, 
/**
 * The choices; only one of these is a valid answer.
 */
options: Array<PermissionOption>, 
/**
 * An answer may be text of one's own.
 */
free_text?: boolean, 
/**
 * Where it stands.
 */
state: PermissionState, 
/**
 * The chosen option.
 */
option?: string, 
/**
 * The answer in words.
 */
text?: string, 
/**
 * Who answered.
 */
by?: Actor, 
/**
 * Since when it waits.
 */
opened_at: number, 
/**
 * When it was settled.
 */
resolved_at?: number, 
/**
 * Why it was settled, when no person did.
 */
reason?: string, };

/**
 * An answer to an agent.
 */
export type PermissionAnswer = { 
/**
 * To which question.
 */
permission: PermissionId, 
/**
 * One of the options that it offers.
 */
option?: string, 
/**
 * An answer in words, where the question takes one; at most 8 KiB.
 */
text?: string, };

/**
 * A question of an agent that waits for a person: `q_` and 8 to 40 lower-case letters or digits.
 */
export type PermissionId = string;

/**
 * Which questions of agents.
 */
export type PermissionList = { 
/**
 * Only of this project.
 */
project?: ProjectId, };

/**
 * A choice that the agent offers.
 */
export type PermissionOption = { 
/**
 * As the agent names it.
 */
id: string, 
/**
 * What is shown.
 */
name: string, 
/**
 * What it means.
 */
kind: OptionKind, };

/**
 * A question of an agent.
 */
export type PermissionReply = { 
/**
 * As it is now.
 */
permission: Permission, };

/**
 * Where a permission request stands.
 */
export type PermissionState = "open" | "answered" | "void";

/**
 * What is asked.
 */
export type PermissionTopic = "tool" | "question" | "budget";

/**
 * Questions of agents.
 */
export type Permissions = { 
/**
 * Oldest first.
 */
permissions: Array<Permission>, };

/**
 * An entry of an agent's plan.
 */
export type PlanEntry = { 
/**
 * What.
 */
text: string, 
/**
 * Where it is.
 */
status: PlanStatus, };

/**
 * Where an entry of a plan is.
 */
export type PlanStatus = "pending" | "in_progress" | "completed";

/**
 * What a member looks at. All of it is optional, unknown keys are dropped and longer texts are cut, so it never takes more
 * than 1 KiB. Never stored.
 */
export type PresenceState = { 
/**
 * The run in view.
 */
run?: RunId, 
/**
 * The step in view.
 */
step?: StepKey, 
/**
 * The file in view, at most 400 bytes.
 */
file?: string, 
/**
 * The file in view has changes of this member that were not saved.
 */
unsaved?: boolean, 
/**
 * The question that this member is answering.
 */
approval?: ApprovalId, 
/**
 * The agent's question that this member is answering.
 */
permission?: PermissionId, 
/**
 * Writes a message. The host forgets it after 10 s unless it is said again.
 */
typing?: boolean, 
/**
 * What it looks with, at most 60 bytes; the host fills in the client's name.
 */
device?: string, };

/**
 * A member in a room.
 */
export type Present = { 
/**
 * Where: the room of the snapshot, or of one of its project's runs.
 */
room: Room, 
/**
 * Who.
 */
member: MemberId, 
/**
 * Their name.
 */
name: string, 
/**
 * What they look at, on the device that spoke last.
 */
state: PresenceState, 
/**
 * Each device, the one that spoke last first, if there are several; at most 8.
 */
devices?: Array<PresenceState>, };

/**
 * How much an activity matters; the order is the order of attention.
 */
export type Priority = "low" | "normal" | "high";

/**
 * What a member wants on every device. Only notifications are held back: the inbox and the feed have everything at once.
 */
export type Profile = { 
/**
 * Whose.
 */
member: MemberId, 
/**
 * Hours without notifications.
 */
quiet?: QuietHours, 
/**
 * No notifications until then.
 */
muted_until?: number, 
/**
 * What is notified all the same.
 */
through?: Array<NewsKind>, };

/**
 * What a member wants on every device.
 */
export type ProfileReply = { 
/**
 * As it is now.
 */
profile: Profile, 
/**
 * When it is quiet during the next eight days, in order and without overlaps; the first may have begun.
 */
quiet_times: Array<QuietTime>, };

/**
 * What the caller wants on every device. It takes the place of all that was said before: what is absent is none.
 */
export type ProfileUpdate = { 
/**
 * Hours without notifications.
 */
quiet?: QuietHours, 
/**
 * No notifications until then, at most a year ahead.
 */
muted_until?: number, 
/**
 * What is notified all the same.
 */
through?: Array<NewsKind>, };

/**
 * Progress of a step, a run, a task or a project.
 */
export type Progress = { 
/**
 * What it is about: `step`, `run`, `task` or `project`.
 */
of: string, 
/**
 * 0 to 1.
 */
value: number, 
/**
 * What is being done.
 */
text?: string, 
/**
 * Estimated time left in milliseconds.
 */
eta_ms?: number, };

/**
 * A folder that was opened, usually a git repository.
 */
export type Project = { 
/**
 * Stable while the project is known to this host.
 */
id: ProjectId, 
/**
 * The folder's name, as shown.
 */
name: string, 
/**
 * The folder's absolute path on the host.
 */
path: string, 
/**
 * Whether triggers and programs named by the project's own settings may act.
 */
trusted: boolean, 
/**
 * False once closed: its runs are kept, its room stays readable.
 */
open: boolean, 
/**
 * When it was first opened.
 */
opened_at: number, };

/**
 * A project: 1 to 64 lower-case letters, digits and inner hyphens, made from the folder's name.
 */
export type ProjectId = string;

/**
 * Projects.
 */
export type ProjectList = { 
/**
 * By name.
 */
projects: Array<Project>, };

/**
 * A folder to open.
 */
export type ProjectOpen = { 
/**
 * An absolute path on the host.
 */
path: string, 
/**
 * Trust it at once.
 */
trust?: boolean, };

/**
 * Names a project.
 */
export type ProjectRef = { 
/**
 * Its id.
 */
project: ProjectId, };

/**
 * A project.
 */
export type ProjectReply = { 
/**
 * The project.
 */
project: Project, };

/**
 * A project.
 */
export type ProjectSnapshot = { 
/**
 * The project.
 */
project: Project, 
/**
 * Runs that are not done and the last 50, newest first. Runs of over 1,000 steps come without steps: their own room has them.
 */
runs: Array<RunWithSteps>, 
/**
 * The queue.
 */
queue: QueueState, 
/**
 * Open questions, oldest first.
 */
approvals: Array<Approval>, 
/**
 * Open questions of agents, oldest first.
 */
permissions: Array<Permission>, 
/**
 * Risks that are not resolved, oldest first.
 */
risks: Array<Risk>, 
/**
 * Who is here, and in the rooms of its runs.
 */
presence?: Array<Present>, 
/**
 * The last 50 messages of its chat, oldest first.
 */
chat?: Array<ChatMessage>, };

/**
 * Trust or distrust.
 */
export type ProjectTrust = { 
/**
 * Its id.
 */
project: ProjectId, 
/**
 * Whether it is trusted from now on.
 */
trusted: boolean, };

/**
 * An event was committed.
 */
export type Published = { 
/**
 * Its place.
 */
seq: number, 
/**
 * The same as a cursor.
 */
cursor: Cursor, };

/**
 * Events were committed, one behind the other.
 */
export type PublishedMany = { 
/**
 * The first one's place; the others follow it without a gap.
 */
first: number, 
/**
 * The last one's.
 */
last: number, 
/**
 * That as a cursor.
 */
cursor: Cursor, };

/**
 * A waiting run's new place.
 */
export type QueueMove = { 
/**
 * Which run.
 */
run: RunId, 
/**
 * Its place among the waiting runs of its group, from 1.
 */
position: number, };

/**
 * A queue.
 */
export type QueueReply = { 
/**
 * As it is now.
 */
queue: QueueState, };

/**
 * The queue of a project: its new order, and why each run waits.
 */
export type QueueState = { 
/**
 * Nothing is taken from a paused queue.
 */
paused: boolean, 
/**
 * Waiting runs, next first.
 */
runs: Array<QueuedRun>, };

/**
 * A run that waits.
 */
export type QueuedRun = { 
/**
 * Which run.
 */
run: RunId, 
/**
 * Its concurrency group.
 */
group: string, 
/**
 * Why it waits, for a person.
 */
reason: string, };

/**
 * Hours in which a member is not disturbed, by the clock on a wall.
 */
export type QuietHours = { 
/**
 * When they begin, `22:00`.
 */
from: string, 
/**
 * When they end, `07:00`; on the next day if that is not after `from`.
 */
to: string, 
/**
 * The days on which they begin; none: every day.
 */
days?: Array<Weekday>, 
/**
 * Where the clock hangs: a name of the IANA time zone database, `Europe/Berlin`.
 */
time_zone: string, };

/**
 * A time without notifications.
 */
export type QuietTime = { 
/**
 * Its first moment.
 */
from: number, 
/**
 * The first moment after it.
 */
until: number, };

/**
 * How far a member has read in a project. It only ever moves forward.
 */
export type ReadMark = { 
/**
 * Whose.
 */
member: MemberId, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Everything up to this event was seen.
 */
seq: number, 
/**
 * When that event happened: whatever is younger was not seen.
 */
at: number, };

/**
 * A step that a restart touched.
 */
export type RecoveredStep = { 
/**
 * Its run.
 */
run: RunId, 
/**
 * Its key.
 */
step: StepKey, };

/**
 * By which definition to try again.
 */
export type RetryDefinition = "pinned" | "latest";

/**
 * How much of a run to try again.
 */
export type RetryScope = "step" | "from" | "failed" | "all";

/**
 * Something that may go wrong, with its evidence.
 */
export type Risk = { 
/**
 * Unique in the project; raised again, it is the same.
 */
id: string, 
/**
 * The project.
 */
project: ProjectId, 
/**
 * What kind, a word: `goal`, `forbidden_path`, `budget`, `conflict`, `worktree`, `agent`.
 */
kind: string, 
/**
 * How bad.
 */
severity: Severity, 
/**
 * What, in a sentence.
 */
title: string, 
/**
 * What was seen.
 */
evidence: string, 
/**
 * What to do.
 */
advice: string, 
/**
 * The run it is about.
 */
run?: RunId, 
/**
 * The step it is about.
 */
step?: StepKey, 
/**
 * Where it stands.
 */
state: RiskState, 
/**
 * When it was raised.
 */
raised_at: number, 
/**
 * Who changed it last.
 */
by?: Actor, };

/**
 * A risk.
 */
export type RiskRef = { 
/**
 * Its project.
 */
project: ProjectId, 
/**
 * Its id.
 */
risk: string, };

/**
 * A risk.
 */
export type RiskReply = { 
/**
 * As it is now.
 */
risk: Risk, };

/**
 * Where a risk stands.
 */
export type RiskState = "open" | "acknowledged" | "resolved";

/**
 * Risks.
 */
export type Risks = { 
/**
 * Oldest first.
 */
risks: Array<Risk>, };

/**
 * What a member may do; each includes what is before it.
 */
export type Role = "viewer" | "operator" | "owner";

/**
 * Where an event belongs.
 */
export type Room = string;

/**
 * What a subscription asks for.
 */
export type RoomFilter = string;

/**
 * An HTTP path.
 */
export type Route = { 
/**
 * `GET`, `POST`.
 */
method: string, 
/**
 * Its pattern.
 */
path: string, 
/**
 * What it does.
 */
doc: string, 
/**
 * The least role; absent: nobody needs a token.
 */
role?: Role, };

/**
 * HTTP paths and methods.
 */
export type Routes = { 
/**
 * Paths.
 */
routes: Array<Route>, 
/**
 * Methods with the least role for each.
 */
methods: Array<Route>, };

/**
 * A run's current state.
 */
export type Run = { 
/**
 * Its identifier.
 */
id: RunId, 
/**
 * Counts from 1 within the project.
 */
number: number, 
/**
 * The project it belongs to.
 */
project: ProjectId, 
/**
 * The workflow's name.
 */
workflow: string, 
/**
 * The workflow's file, relative to the project folder; absent for a text handed over by a caller.
 */
file?: string, 
/**
 * SHA-256 of the resolved plan, the key under which it is kept.
 */
plan: string, 
/**
 * Where it is.
 */
status: RunStatus, 
/**
 * How it ended; present exactly when `status` is `done`.
 */
conclusion?: RunConclusion, 
/**
 * Rises with every change, so that a late answer to an older state is refused.
 */
generation: number, 
/**
 * The values it was started with; secrets masked.
 */
inputs?: { [key in string]: JsonValue }, 
/**
 * What it is to reach, as it was when it started; absent: its workflow names no goal.
 */
goal?: string, 
/**
 * Who started it.
 */
actor: Actor, 
/**
 * Which member that is: names are not theirs alone.
 */
started_by?: MemberId, 
/**
 * When it was asked for.
 */
created_at: number, 
/**
 * When its first step started.
 */
started_at?: number, 
/**
 * When it ended.
 */
ended_at?: number, 
/**
 * Finished steps through all steps, 0 to 1.
 */
progress: number, 
/**
 * How many step instances it has.
 */
steps_total: number, 
/**
 * How many of them are done.
 */
steps_done: number, 
/**
 * The step that runs, waits or failed: what a list shows beside the name.
 */
current_step?: StepKey, 
/**
 * The concurrency group it is in, if its workflow names one.
 */
group?: string, 
/**
 * Its place among the waiting runs of its group, from 1; present while `queued`.
 */
queue_position?: number, 
/**
 * A person paused it.
 */
paused?: boolean, 
/**
 * Why it is where it is, in a sentence for a person.
 */
reason?: string, };

/**
 * Which run to cancel.
 */
export type RunCancel = { 
/**
 * Its id.
 */
run: RunId, 
/**
 * Kill at once.
 */
force?: boolean, };

/**
 * How a run ended.
 */
export type RunConclusion = "success" | "failed" | "timed_out" | "cancelled" | "rejected" | "crashed" | "skipped" | "superseded";

/**
 * Which changes.
 */
export type RunDiff = { 
/**
 * Of this run.
 */
run: RunId, 
/**
 * Of this step.
 */
step: StepKey, 
/**
 * The attempt, from 1; the newest if absent.
 */
attempt?: number, };

/**
 * Which events of a run.
 */
export type RunEvents = { 
/**
 * Of this run.
 */
run: RunId, 
/**
 * Only events after this cursor; absent: from the first on.
 */
after?: Cursor, 
/**
 * At most this many, 1 to 1,000; 200 if absent.
 */
limit?: number, };

/**
 * Which file of a step.
 */
export type RunFile = { 
/**
 * Of this run.
 */
run: RunId, 
/**
 * Of this step.
 */
step: StepKey, 
/**
 * The attempt, from 1; the newest if absent.
 */
attempt?: number, 
/**
 * Relative to the repository, or to the folder that the step works in. Only files that git knows or the step
 * changed: what git ignores is not shown.
 */
path: string, };

/**
 * A run: `r_` and 8 to 40 lower-case letters or digits.
 */
export type RunId = string;

/**
 * Which runs.
 */
export type RunList = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Only runs before this one, by number.
 */
before?: number, 
/**
 * Only these states.
 */
status?: RunStatus, 
/**
 * At most this many, 1 to 200; 50 if absent.
 */
limit?: number, };

/**
 * Which part of a log. Lines count from 0.
 */
export type RunLog = { 
/**
 * The run.
 */
run: RunId, 
/**
 * The step.
 */
step: StepKey, 
/**
 * The attempt, from 1; the newest if absent.
 */
attempt?: number, 
/**
 * The first line wanted; absent: the last `limit` lines.
 */
offset?: number, 
/**
 * At most this many lines, 1 to 5,000; 1,000 if absent.
 */
limit?: number, };

/**
 * What to look for in a log.
 */
export type RunLogSearch = { 
/**
 * The run.
 */
run: RunId, 
/**
 * The step.
 */
step: StepKey, 
/**
 * The attempt, from 1; the newest if absent.
 */
attempt?: number, 
/**
 * The text, 1 to 200 bytes.
 */
query: string, 
/**
 * Whether upper and lower case differ.
 */
case_sensitive?: boolean, 
/**
 * Only lines from this one on.
 */
from_line?: number, 
/**
 * At most this many matches, 1 to 10,000; 1,000 if absent. All are counted.
 */
limit?: number, };

/**
 * Runs.
 */
export type RunPage = { 
/**
 * Newest first.
 */
runs: Array<Run>, 
/**
 * Whether there are older ones.
 */
more: boolean, };

/**
 * Names a run.
 */
export type RunRef = { 
/**
 * Its id.
 */
run: RunId, };

/**
 * A run.
 */
export type RunReply = { 
/**
 * The run.
 */
run: Run, 
/**
 * Its steps, in the order of their index.
 */
steps: Array<Step>, };

/**
 * What to try again.
 */
export type RunRetry = { 
/**
 * The run.
 */
run: RunId, 
/**
 * How much of it.
 */
scope: RetryScope, 
/**
 * The step, for the scopes `step` and `from`.
 */
step?: StepKey, 
/**
 * By which definition; `pinned` if absent.
 */
definition?: RetryDefinition, };

/**
 * A run.
 */
export type RunSnapshot = { 
/**
 * The run.
 */
run: Run, 
/**
 * Its steps, in the order of their index.
 */
steps: Array<Step>, 
/**
 * The end of the newest attempt's log of each step that is at work or failed.
 */
logs: Array<LogTail>, 
/**
 * Sessions of its agents, by step and attempt.
 */
sessions: Array<AgentSession>, 
/**
 * What its agents used up, by step and attempt.
 */
usage: Array<AgentUsage>, 
/**
 * How the files of each agent's newest attempt differ from its base.
 */
diffs: Array<FileDiff>, 
/**
 * The newest events of its agents, at most 500, in order; older ones come from `run.transcript`.
 */
transcript: Array<SignalboxEvent>, 
/**
 * What its project's room tells of its checks, corrections, goal, commits and agents' questions: the newest 500, in order.
 */
told?: Array<SignalboxEvent>, 
/**
 * Resume the run's project room from here: steps change there.
 */
cursor: Cursor, 
/**
 * Who is here.
 */
presence?: Array<Present>, };

/**
 * What to run.
 */
export type RunStart = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The workflow's name, or a file within the project folder.
 */
workflow: string, 
/**
 * Values for its inputs.
 */
inputs?: { [key in string]: JsonValue }, };

/**
 * A run was started, or put into the queue.
 */
export type RunStarted = { 
/**
 * Its id.
 */
run: RunId, 
/**
 * Its number.
 */
number: number, 
/**
 * A place in the log before the run's first event: follow from here and miss nothing.
 */
cursor: Cursor, };

/**
 * Where a run is.
 */
export type RunStatus = "queued" | "running" | "waiting_input" | "scheduled" | "paused" | "cancelling" | "done";

/**
 * Which part of a transcript.
 */
export type RunTranscript = { 
/**
 * Of this run.
 */
run: RunId, 
/**
 * Of this step.
 */
step: StepKey, 
/**
 * Only events before this one, by `seq`; absent: the newest.
 */
before?: number, 
/**
 * At most this many, 1 to 2,000; 500 if absent.
 */
limit?: number, };

/**
 * A run with its steps.
 */
export type RunWithSteps = { 
/**
 * The run.
 */
run: Run, 
/**
 * Its steps, in the order of their index.
 */
steps: Array<Step>, };

/**
 * A secret that workflows ask for.
 */
export type SecretInfo = { 
/**
 * Its name.
 */
name: string, 
/**
 * The workflows that ask for it.
 */
workflows: Array<string>, 
/**
 * Where it comes from; absent: it is not set, and steps that need it will fail.
 */
source?: SecretSource, };

/**
 * Names a secret of a project.
 */
export type SecretRef = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Its name, as workflows write it.
 */
name: string, };

/**
 * What became of a secret that was to be removed.
 */
export type SecretRemoved = { 
/**
 * Whether it was there.
 */
removed: boolean, };

/**
 * A secret's value.
 */
export type SecretSet = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * Its name, as workflows write it: letters, digits, `_`.
 */
name: string, 
/**
 * Its value, 1 to 2,560 bytes. It is in no event, no log and no reply.
 */
value: string, };

/**
 * Where a secret comes from.
 */
export type SecretSource = "environment" | "keychain";

/**
 * Secrets of a project.
 */
export type Secrets = { 
/**
 * By name.
 */
secrets: Array<SecretInfo>, 
/**
 * Why the keychain cannot be used; absent: it can.
 */
keychain_error?: string, };

/**
 * How bad a risk is.
 */
export type Severity = "info" | "warning" | "critical";

/**
 * Where to be reached by others.
 */
export type ShareStart = { 
/**
 * An address of this machine, or 0.0.0.0 or [::] for all; `share.bind` if absent.
 */
bind?: string, 
/**
 * The port, 0 for a free one; `share.port` if absent.
 */
port?: number, };

/**
 * Whether a host is shared.
 */
export type ShareState = "off" | "on" | "failed";

/**
 * How this host is shared.
 */
export type Sharing = { 
/**
 * `off`, `on`, or `failed`: it should be on, and `error` says why it is not.
 */
state: ShareState, 
/**
 * Addresses by which others can reach it, the likeliest first. Empty unless it is on.
 */
urls: Array<string>, 
/**
 * Where the listener is bound.
 */
address?: string, 
/**
 * SHA-256 of the certificate's public key (SubjectPublicKeyInfo), 64 hexadecimal digits: what links pin.
 */
fingerprint?: string, 
/**
 * Whether the certificate is one of the owner's; else it was made here.
 */
own_certificate?: boolean, 
/**
 * Until when the certificate is good.
 */
certificate_expires_at?: number, 
/**
 * Since when it is on.
 */
since?: number, 
/**
 * Why it failed, and what to do.
 */
error?: string, };

/**
 * A room's state.
 */
export type Snapshot = { "of": "host" } & HostSnapshot | { "of": "activity" } & ActivitySnapshot | { "of": "project" } & ProjectSnapshot | { "of": "run" } & RunSnapshot | { "of": "member" } & MemberSnapshot;

/**
 * Whose text it is.
 */
export type Speaker = "agent" | "prompt";

/**
 * A step instance's current state.
 */
export type Step = { 
/**
 * The run it belongs to.
 */
run: RunId, 
/**
 * Its key: the id, and the matrix value in brackets.
 */
key: StepKey, 
/**
 * Its id in the workflow.
 */
id: string, 
/**
 * Its place in the run's list, from 0, stable over the run's life.
 */
index: number, 
/**
 * What is shown.
 */
title: string, 
/**
 * What it does.
 */
kind: StepKind, 
/**
 * Keys of the steps it needs.
 */
needs: Array<StepKey>, 
/**
 * Where it is.
 */
status: StepStatus, 
/**
 * How it ended; present exactly when `status` is `done`.
 */
conclusion?: StepConclusion, 
/**
 * Rises with every new attempt or reset, so that news of an older one is refused.
 */
generation: number, 
/**
 * Every try so far, oldest first.
 */
attempts?: Array<Attempt>, 
/**
 * When its first attempt started.
 */
started_at?: number, 
/**
 * When it ended.
 */
ended_at?: number, 
/**
 * From start to end in milliseconds; present in `step_completed`.
 */
duration_ms?: number, 
/**
 * When it will go on; present while `scheduled`.
 */
due_at?: number, 
/**
 * Automatic retries used in this round.
 */
retries?: number, 
/**
 * How often a rejection sent the run back to an earlier step.
 */
rejections?: number, 
/**
 * Silent for longer than `stall.warn`.
 */
stalled?: boolean, 
/**
 * Reported progress, 0 to 1.
 */
progress?: number, 
/**
 * The question it asks, while it waits for a person.
 */
approval?: ApprovalId, 
/**
 * The agent at work, or that worked last.
 */
agent?: StepAgent, 
/**
 * Values it handed on.
 */
outputs?: { [key in string]: JsonValue }, 
/**
 * Files kept from it.
 */
artifacts?: Array<Artifact>, 
/**
 * Why it is where it is, in a sentence for a person.
 */
reason?: string, };

/**
 * An agent as a step shows it.
 */
export type StepAgent = { 
/**
 * Its id in the catalogue.
 */
id: string, 
/**
 * What is shown.
 */
name: string, 
/**
 * A script plays the agent: nothing of it came from a model.
 */
rehearsal?: boolean, 
/**
 * The agent's own id of the session, by which it can be resumed.
 */
session?: string, 
/**
 * The branch of its worktree.
 */
branch?: string, 
/**
 * The commit its worktree was made from.
 */
base?: string, 
/**
 * What the branch was at when the step succeeded.
 */
head?: string, 
/**
 * The worktree's folder.
 */
folder?: string, 
/**
 * What all its attempts used up.
 */
usage: Usage, 
/**
 * Questions of it that wait for a person.
 */
questions?: number, };

/**
 * How a step ended.
 */
export type StepConclusion = "success" | "failed" | "timed_out" | "cancelled" | "skipped" | "omitted" | "rejected" | "crashed" | "superseded";

/**
 * A step instance: the step's id, and for a matrix step its value in brackets: `build[api]`. At most 200 bytes.
 */
export type StepKey = string;

/**
 * What a step does.
 */
export type StepKind = "agent" | "command" | "approval" | "git" | "notify";

/**
 * Where a step is.
 */
export type StepStatus = "blocked" | "ready" | "scheduled" | "starting" | "running" | "waiting_input" | "paused" | "verifying" | "cancelling" | "done";

/**
 * How a process came to its end when it was told to.
 */
export type StopKind = "graceful" | "forced" | "survivors";

/**
 * How a room was joined.
 */
export type SubscribeMode = "resumed" | "snapshot" | "live";

/**
 * The host.
 */
export type SystemReport = { 
/**
 * `ok`, `degraded` or `down`: the worst of its services.
 */
status: Health, 
/**
 * The host's version.
 */
version: string, 
/**
 * Since when it runs.
 */
started_at: number, 
/**
 * Where its data lives; empty for members of some projects, as everything here that is not theirs.
 */
data_dir: string, 
/**
 * The address it listens on; absent when it does not.
 */
url?: string, 
/**
 * Each service.
 */
services: Array<HealthCheck>, 
/**
 * The log.
 */
log: LogReport, 
/**
 * The machine, once measured.
 */
system?: SystemStatus, 
/**
 * Connections of each transport.
 */
connections: number, 
/**
 * Runs that are not done.
 */
active_runs: number, 
/**
 * Steps that may run at once.
 */
slots: number, 
/**
 * The bounds of a connection.
 */
limits: Limits, };

/**
 * The machine under the host. Only published when something changed enough to matter.
 */
export type SystemStatus = { 
/**
 * Share of all cores in use, 0 to 1.
 */
cpu: number, 
/**
 * Memory in use, in bytes.
 */
memory_used: number, 
/**
 * Memory of the machine, in bytes.
 */
memory_total: number, 
/**
 * Free space where the log lives, in bytes.
 */
disk_free: number, 
/**
 * Size of that disk, in bytes.
 */
disk_total: number, 
/**
 * Runs that are not done.
 */
active_runs: number, 
/**
 * Steps at work.
 */
active_steps: number, };

/**
 * A new member.
 */
export type TokenCreate = { 
/**
 * Its name, 1 to 60 bytes.
 */
name: string, 
/**
 * Its role.
 */
role: Role, 
/**
 * Only these projects, at most 1,000; absent or empty: all.
 */
projects?: Array<ProjectId>, 
/**
 * For how long, in milliseconds; absent: until revoked.
 */
ttl_ms?: number, };

/**
 * A new token.
 */
export type TokenCreated = { 
/**
 * Shown once: it cannot be had again.
 */
token: string, 
/**
 * Whose it is.
 */
member: Member, };

/**
 * A use of a tool.
 */
export type ToolCall = { 
/**
 * Which step.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * Unique within the attempt.
 */
id: string, 
/**
 * What it does.
 */
kind: ToolKind, 
/**
 * What is shown.
 */
title: string, 
/**
 * Where it is.
 */
status: ToolStatus, 
/**
 * Places it is about.
 */
locations?: Array<Location>, 
/**
 * What it was called with: JSON text, at most 16 KiB.
 */
input?: string, 
/**
 * What came out, at most its last 16 KiB.
 */
output?: string, 
/**
 * Bytes that came out in all, when `output` holds only the end.
 */
output_bytes?: number, 
/**
 * Exit code of what it ran.
 */
exit_code?: number, 
/**
 * Changes as the agent tells them.
 */
diffs?: Array<ToolDiff>, };

/**
 * A change as the agent tells it. A hint: what really changed says [`FileDiff`].
 */
export type ToolDiff = { 
/**
 * The file.
 */
path: string, 
/**
 * What was there; absent for a new file.
 */
old?: string, 
/**
 * What is there now.
 */
new: string, 
/**
 * Something was left out: an agent's text was over 16 KiB.
 */
cut?: boolean, };

/**
 * What a tool does.
 */
export type ToolKind = "read" | "edit" | "delete" | "move" | "search" | "execute" | "think" | "fetch" | "switch_mode" | "other";

/**
 * Where a tool call is.
 */
export type ToolStatus = "pending" | "in_progress" | "completed" | "failed" | "rejected" | "cancelled" | "unknown";

/**
 * Events of a step's agent.
 */
export type TranscriptPage = { 
/**
 * In the order in which they happened.
 */
events: Array<SignalboxEvent>, 
/**
 * Whether there are older ones.
 */
more: boolean, };

/**
 * What was used up.
 */
export type Usage = { 
/**
 * Tokens that went in, cached ones included.
 */
input_tokens: number, 
/**
 * Tokens that came out, thoughts included.
 */
output_tokens: number, 
/**
 * Of those that went in: read from a cache.
 */
cached_tokens?: number, 
/**
 * Money, in US dollars, as the agent reckons it; absent if it does not.
 */
usd?: number, };

/**
 * Which use of agents.
 */
export type UsageQuery = { 
/**
 * Only of this project; absent: of all that the caller may see.
 */
project?: ProjectId, 
/**
 * So many days back, today included, 1 to 366; 30 if absent. Days are those of UTC.
 */
days?: number, };

/**
 * What agents used up.
 */
export type UsageReport = { 
/**
 * The newest day first, then by agent.
 */
days: Array<DayUsage>, };

/**
 * The verdict of one check.
 */
export type VerifyResult = { 
/**
 * Which step was checked.
 */
step: StepKey, 
/**
 * Which attempt, from 1.
 */
attempt: number, 
/**
 * Which check, from 0.
 */
check: number, 
/**
 * What was checked, in words.
 */
what: string, 
/**
 * Whether it held.
 */
passed: boolean, 
/**
 * Evidence or reason.
 */
detail: string, 
/**
 * How long it took in milliseconds.
 */
duration_ms: number, };

/**
 * An address that gets the events of a project. Its secret is in no event and in no reply but that of its creation.
 */
export type Webhook = { 
/**
 * Its identifier.
 */
id: WebhookId, 
/**
 * The project whose events it gets, those of its runs included.
 */
project: ProjectId, 
/**
 * Where they are posted to.
 */
url: string, 
/**
 * Only these types of events; empty: all but `log`, `agent_message`, `agent_thought` and `usage_update`.
 */
types?: Array<string>, 
/**
 * Whether it is called.
 */
state: WebhookState, 
/**
 * When it was made.
 */
created_at: number, 
/**
 * Why it was disabled.
 */
reason?: string, };

/**
 * A webhook to call.
 */
export type WebhookCreate = { 
/**
 * The project whose events it gets.
 */
project: ProjectId, 
/**
 * Where they are posted to: `http://` or `https://`.
 */
url: string, 
/**
 * What deliveries are signed with, 16 to 200 bytes; absent: one is made.
 */
secret?: string, 
/**
 * Only these types of events, at most 50; absent or empty: all but the pieces of output and of what agents say.
 */
types?: Array<string>, };

/**
 * A new webhook.
 */
export type WebhookCreated = { 
/**
 * The webhook.
 */
webhook: Webhook, 
/**
 * What deliveries are signed with. It is shown once.
 */
secret: string, };

/**
 * Which deliveries.
 */
export type WebhookDeliveries = { 
/**
 * Of which webhook.
 */
webhook: WebhookId, 
/**
 * At most this many, 1 to 200; 50 if absent.
 */
limit?: number, };

/**
 * A webhook that the host calls: `w_` and 8 to 40 lower-case letters or digits.
 */
export type WebhookId = string;

/**
 * Names a webhook.
 */
export type WebhookRef = { 
/**
 * Which.
 */
webhook: WebhookId, };

/**
 * A webhook.
 */
export type WebhookReply = { 
/**
 * As it is now.
 */
webhook: Webhook, };

/**
 * Whether a webhook is called.
 */
export type WebhookState = "active" | "disabled" | "deleted";

/**
 * What became of a test.
 */
export type WebhookTested = { 
/**
 * The delivery.
 */
delivery: Delivery, };

/**
 * A project's webhooks.
 */
export type Webhooks = { 
/**
 * Oldest first; deleted ones are left out.
 */
webhooks: Array<Webhook>, };

/**
 * A day of the week.
 */
export type Weekday = "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";

/**
 * A value that a workflow asks for.
 */
export type WorkflowInput = { 
/**
 * Its name.
 */
name: string, 
/**
 * `string`, `number`, `integer`, `boolean`, `array` or `enum`.
 */
kind: string, 
/**
 * Must be given.
 */
required: boolean, 
/**
 * Several lines.
 */
multiline: boolean, 
/**
 * Choices of an `enum`.
 */
values: Array<string>, 
/**
 * Taken when nothing is given.
 */
default?: JsonValue, 
/**
 * What it is for.
 */
description?: string, };

/**
 * Workflows.
 */
export type WorkflowList = { 
/**
 * By name.
 */
workflows: Array<WorkflowSummary>, };

/**
 * Names a workflow.
 */
export type WorkflowRef = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The workflow's name: its file's name without `.yaml`.
 */
workflow: string, };

/**
 * A workflow.
 */
export type WorkflowReply = { 
/**
 * Its summary.
 */
workflow: WorkflowSummary, 
/**
 * Its text.
 */
text: string, 
/**
 * SHA-256 of the text.
 */
hash: string, 
/**
 * Its steps.
 */
graph: Array<GraphStep>, };

/**
 * A workflow's new text.
 */
export type WorkflowSave = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The workflow's name.
 */
workflow: string, 
/**
 * The whole text.
 */
text: string, 
/**
 * Hash of the text that was edited, from `workflow.get`; absent to create a file that must not exist.
 */
base_hash?: string, };

/**
 * A workflow's file was saved through the host. Who did is the event's actor.
 */
export type WorkflowSaved = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * The workflow's name.
 */
workflow: string, 
/**
 * The hash of its text, as in `workflow.get`.
 */
hash: string, };

/**
 * A workflow in a list.
 */
export type WorkflowSummary = { 
/**
 * Its name.
 */
name: string, 
/**
 * Its file, relative to the project folder.
 */
file: string, 
/**
 * What it says of itself.
 */
description?: string, 
/**
 * Whether it can be run.
 */
valid: boolean, 
/**
 * How many steps it names.
 */
steps: number, 
/**
 * What a person is asked before it starts.
 */
inputs: Array<WorkflowInput>, 
/**
 * What is wrong.
 */
diagnostics: Array<Diagnostic>, };

/**
 * A file or a text to check; exactly one of `path` and `text`.
 */
export type WorkflowValidate = { 
/**
 * The project.
 */
project: ProjectId, 
/**
 * A file within the project folder, relative to it.
 */
path?: string, 
/**
 * The text itself.
 */
text?: string, };

/**
 * A worktree.
 */
export type WorktreeInfo = { 
/**
 * Its branch.
 */
branch: string, 
/**
 * Its folder.
 */
folder: string, 
/**
 * The run it was made for, if that is known.
 */
run?: RunId, 
/**
 * Its run is not done.
 */
active: boolean, 
/**
 * Files in it that were changed and not committed.
 */
changes: number, 
/**
 * Commits on its branch that no other branch of the project has.
 */
commits: number, 
/**
 * The folder is gone.
 */
missing?: boolean, };

/**
 * Work that was merged.
 */
export type WorktreeMerged = { 
/**
 * The branch it went into.
 */
into: string, 
/**
 * The merge's commit; absent: all of it was there already.
 */
commit?: string, 
/**
 * Files that it changed.
 */
files: number, };

/**
 * A worktree.
 */
export type WorktreeRef = { 
/**
 * Its project.
 */
project: ProjectId, 
/**
 * Its branch.
 */
branch: string, };

/**
 * A worktree to remove.
 */
export type WorktreeRemove = { 
/**
 * Its project.
 */
project: ProjectId, 
/**
 * Its branch.
 */
branch: string, 
/**
 * Also if it holds changes or commits that are nowhere else: they are lost.
 */
discard?: boolean, };

/**
 * Worktrees.
 */
export type Worktrees = { 
/**
 * By branch.
 */
worktrees: Array<WorktreeInfo>, };

/** What every event carries beside its type and data. */
export interface EventEnvelope {
  seq: number;
  prev: number;
  cursor: string;
  room: string;
  ts: number;
  actor: string;
  run?: string;
  step?: string;
}

/** An event of Signalbox, or of another program (`x_...`). */
export type SignalboxEvent = EventEnvelope & (EventData | { type: `x_${string}`; data: unknown });

/** Anything that a host sends. */
export type ServerFrame = HostFrame | SignalboxEvent;

/** Parameters and reply of each method. */
export interface Methods {
  /** Opens a folder as a project, or gives the project that it already is. */
  "project.open": { params: ProjectOpen; reply: ProjectReply };
  /** Every project that the caller may see. */
  "project.list": { params: Nothing; reply: ProjectList };
  /** One project. */
  "project.get": { params: ProjectRef; reply: ProjectReply };
  /** Closes a project; its runs are kept. */
  "project.close": { params: ProjectRef; reply: ProjectReply };
  /** Trusts a project, or takes trust back: triggers and the programs that its settings name act only when trusted. */
  "project.trust": { params: ProjectTrust; reply: ProjectReply };
  /** A project's workflows, the broken ones with what is wrong. */
  "workflow.list": { params: ProjectRef; reply: WorkflowList };
  /** A workflow's text, its hash, its diagnostics and its graph. */
  "workflow.get": { params: WorkflowRef; reply: WorkflowReply };
  /** Checks a workflow file or text without keeping anything. */
  "workflow.validate": { params: WorkflowValidate; reply: WorkflowReply };
  /** Writes a workflow file. `base_hash` is the hash of the text that was edited; `conflict` if the file changed since. */
  "workflow.save": { params: WorkflowSave; reply: WorkflowReply };
  /** Starts a run. */
  "run.start": { params: RunStart; reply: RunStarted };
  /** A run with its steps. */
  "run.get": { params: RunRef; reply: RunReply };
  /** A project's runs, newest first, in pages. */
  "run.list": { params: RunList; reply: RunPage };
  /** Cancels a run: asks its processes to end (SIGTERM), after 10 s kills them. `force` kills at once. */
  "run.cancel": { params: RunCancel; reply: RunReply };
  /** Pauses a run: what runs goes on, nothing new starts. */
  "run.pause": { params: RunRef; reply: RunReply };
  /** Lets a paused run go on. */
  "run.resume": { params: RunRef; reply: RunReply };
  /** Tries again: a step, a step and what follows, all that failed, or everything. */
  "run.retry": { params: RunRetry; reply: RunReply };
  /** A page of a step's log. */
  "run.log": { params: RunLog; reply: LogPage };
  /** The text of a blob, in pages: what was too large for an event. */
  "blob.text": { params: BlobRead; reply: BlobText };
  /** Searches the whole log of a step. */
  "run.log_search": { params: RunLogSearch; reply: LogMatches };
  /** Questions that wait for a person, oldest first. */
  "approval.list": { params: ApprovalList; reply: Approvals };
  /** Answers a question. The first valid answer wins; `conflict` if it is settled. */
  "approval.answer": { params: ApprovalAnswer; reply: ApprovalReply };
  /** Questions of agents that wait for a person, oldest first. */
  "permission.list": { params: PermissionList; reply: Permissions };
  /** Answers an agent's question. The first valid answer wins; `conflict` if it is settled. */
  "permission.answer": { params: PermissionAnswer; reply: PermissionReply };
  /** Every event about a run, in its own room and in its project's, in order: what an export holds. */
  "run.events": { params: RunEvents; reply: EventPage };
  /** What agents said and did in an attempt of a step: the newest events, in order. */
  "run.transcript": { params: RunTranscript; reply: TranscriptPage };
  /** How files differ from the commit that a step began with. */
  "run.diff": { params: RunDiff; reply: DiffReply };
  /** A file as it is now where an agent works, or as the agent left it. */
  "run.file": { params: RunFile; reply: FileText };
  /** Agents: which are installed, their version and sign-in, what is missing and how to get it. */
  "agent.list": { params: AgentList; reply: Agents };
  /** Starts an agent, asks it who it is, and ends it. Nothing is sent to a model. */
  "agent.test": { params: AgentRef; reply: AgentTested };
  /** What agents used up, by day and agent, the newest day first. */
  "usage.report": { params: UsageQuery; reply: UsageReport };
  /** A project's risks that are not resolved, oldest first. */
  "risk.list": { params: ProjectRef; reply: Risks };
  /** Says that somebody knows of a risk. */
  "risk.acknowledge": { params: RiskRef; reply: RiskReply };
  /** Says that a risk is over. */
  "risk.resolve": { params: RiskRef; reply: RiskReply };
  /** Worktrees that Signalbox made in a project, and what each still holds. */
  "worktree.list": { params: ProjectRef; reply: Worktrees };
  /** Merges the work of a worktree into the branch that is checked out. `conflict` if it does not fit: nothing is changed then. */
  "worktree.merge": { params: WorktreeRef; reply: WorktreeMerged };
  /** Removes a worktree. Refused while it holds changes that are nowhere else, unless `discard` says so. */
  "worktree.remove": { params: WorktreeRemove; reply: Worktrees };
  /** Posts an event of another program's type (`x_...`) to a project. */
  "event.publish": { params: EventPublish; reply: Published };
  /** Posts up to 1,000 of them in one commit: all or none. Their places follow each other without a gap. */
  "event.publish_many": { params: EventPublishMany; reply: PublishedMany };
  /** Events of some rooms in order, in pages. */
  "event.list": { params: EventList; reply: EventPage };
  /** Full-text search over events, newest first. */
  "event.search": { params: EventSearch; reply: EventPage };
  /** A project's queue. */
  "queue.get": { params: ProjectRef; reply: QueueReply };
  /** Moves a waiting run to another place. */
  "queue.move": { params: QueueMove; reply: QueueReply };
  /** Stops taking runs from a project's queue. */
  "queue.pause": { params: ProjectRef; reply: QueueReply };
  /** Takes runs from it again. */
  "queue.resume": { params: ProjectRef; reply: QueueReply };
  /** Writes into a project's chat. */
  "chat.post": { params: ChatPost; reply: ChatReply };
  /** Changes a message. Only who wrote it can. */
  "chat.edit": { params: ChatEdit; reply: ChatReply };
  /** Takes a message back. Only who wrote it, or an owner, can. */
  "chat.delete": { params: ChatRef; reply: ChatReply };
  /** A project's chat, in pages. */
  "chat.list": { params: ChatList; reply: ChatPage };
  /** Says how far the caller has read in a project. Never moves back. */
  "mark.set": { params: MarkSet; reply: MarkReply };
  /** What happened since the caller's mark that is for it, or that matters to everybody. */
  "away.list": { params: AwayList; reply: Away };
  /** The caller's inbox, newest first. */
  "notice.list": { params: NoticeList; reply: Notices };
  /** Marks notices of the caller as read, on all of its devices. */
  "notice.read": { params: NoticeRead; reply: NoticesLeft };
  /** What the caller wants on every device, and when it is quiet. */
  "profile.get": { params: Nothing; reply: ProfileReply };
  /** Says when the caller is not to be disturbed. */
  "profile.update": { params: ProfileUpdate; reply: ProfileReply };
  /** Has a project's events posted to an address, at least once each and in order. */
  "webhook.create": { params: WebhookCreate; reply: WebhookCreated };
  /** A project's webhooks. */
  "webhook.list": { params: ProjectRef; reply: Webhooks };
  /** Deletes a webhook; what waits for it is not delivered. */
  "webhook.delete": { params: WebhookRef; reply: WebhookReply };
  /** Posts a test to a webhook's address. A webhook that was disabled and takes it is active again. */
  "webhook.test": { params: WebhookRef; reply: WebhookTested };
  /** What became of a webhook's deliveries, newest first. */
  "webhook.deliveries": { params: WebhookDeliveries; reply: Deliveries };
  /** Members: for owners those that they may change, for others those who may see one of their projects. */
  "member.list": { params: Nothing; reply: Members };
  /** Makes a token for a new member. It is shown once and stored hashed. */
  "token.create": { params: TokenCreate; reply: TokenCreated };
  /** Revokes a member's token and closes its connections. */
  "token.revoke": { params: MemberRef; reply: MemberReply };
  /** Changes a member's name, role or projects. Its connections are closed at once, and come back with the new rights. */
  "member.update": { params: MemberUpdate; reply: MemberReply };
  /** Who did what, when and from where, the newest first. */
  "audit.list": { params: AuditList; reply: AuditPage };
  /** Lets others reach this host, over TLS. It stays so, also after a restart, until `share.stop`. */
  "share.start": { params: ShareStart; reply: Sharing };
  /** Closes the way in for others; their connections end. */
  "share.stop": { params: Nothing; reply: Sharing };
  /** Whether others can reach this host, and how. */
  "share.status": { params: Nothing; reply: Sharing };
  /** Hosts that are announced in the local network. What they say of themselves is not proven. */
  "host.find": { params: HostFind; reply: FoundHosts };
  /** Makes an invitation. Its code is shown once and stored hashed. */
  "invite.create": { params: InviteCreate; reply: InviteCreated };
  /** Invitations of the last 90 days, without their codes. */
  "invite.list": { params: Nothing; reply: Invites };
  /** Takes an invitation back. Who joined with it stays. */
  "invite.revoke": { params: InviteRef; reply: InviteReply };
  /** Makes a code with which a browser logs in once, within a minute, as the caller. */
  "login_code.create": { params: Nothing; reply: LoginCode };
  /** The secrets that a project's workflows ask for, and where each comes from. Never a value. */
  "secret.list": { params: ProjectRef; reply: Secrets };
  /** Puts a secret of a project into the keychain of the host's machine. */
  "secret.set": { params: SecretSet; reply: Nothing };
  /** Takes a secret of a project out of the keychain. */
  "secret.remove": { params: SecretRef; reply: SecretRemoved };
  /** Who is connected, and how well. */
  "connection.list": { params: Nothing; reply: Connections };
  /** Closes a connection for good. */
  "connection.close": { params: ConnectionRef; reply: Nothing };
  /** The host's state: version, log, engine, disk, limits. */
  "system.status": { params: Nothing; reply: SystemReport };
  /** Every HTTP path and method. */
  "system.routes": { params: Nothing; reply: Routes };
}
