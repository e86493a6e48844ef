//! The protocol's side of the rehearsal agent: sessions, and who plays in them.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use agent_client_protocol::{
    Agent, Client, ConnectTo, Error, UntypedMessage,
    schema::ProtocolVersion,
    v1::{
        ConnectionTo, Responder,
        schema::{
            AgentCapabilities, CancelNotification, ContentBlock, ContentChunk, Implementation, InitializeRequest,
            InitializeResponse, LoadSessionRequest, LoadSessionResponse, NewSessionRequest, NewSessionResponse,
            PromptRequest, ResumeSessionRequest, ResumeSessionResponse, SessionCapabilities, SessionMode,
            SessionModeState, SessionNotification, SessionResumeCapabilities, SessionUpdate, SetSessionModeRequest,
            SetSessionModeResponse, TextContent,
        },
    },
};
use serde_json::{Value, json};
use signalbox_model::{Clock as _, SystemClock, ToolKind};
use tokio::sync::watch;

use super::{
    NAME, builtin,
    play::{End, Play},
    script::{Scene, Script},
    state::{self, Kept},
};

/// Its modes: as it asks, changing nothing, and never asking.
const MODES: [(&str, &str); 3] = [("default", "Asks"), ("plan", "Changes nothing"), ("auto", "Does not ask")];

struct Stage {
    script: Option<Script>,
    folder: Option<PathBuf>,
    sessions: Mutex<HashMap<String, Arc<Open>>>,
    opened: AtomicU32,
}

/// A session that is open here.
pub(super) struct Open {
    pub(super) id: String,
    pub(super) folder: PathBuf,
    pub(super) kept: Mutex<Kept>,
    /// Kinds of tools that it need not ask about any more.
    pub(super) allowed: Mutex<HashSet<ToolKind>>,
    /// The turn at work, by which it is cancelled.
    turn: Mutex<Option<watch::Sender<bool>>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn serve(
    script: Option<Script>,
    folder: Option<PathBuf>,
    transport: impl ConnectTo<Agent> + 'static,
) -> Result<(), Error> {
    let stage = Arc::new(Stage { script, folder, sessions: Mutex::default(), opened: AtomicU32::new(0) });
    let [new, load, resume, mode, cancel, prompt] = std::array::from_fn(|_| Arc::clone(&stage));
    Agent
        .v1()
        .name(NAME)
        .on_receive_request(
            async move |_: InitializeRequest, responder: Responder<InitializeResponse>, _cx| {
                responder.respond(initialized())
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: NewSessionRequest, responder: Responder<NewSessionResponse>, _cx| {
                let open = new.open(request.cwd);
                let modes = modes(&open);
                responder.respond(NewSessionResponse::new(open.id.clone()).modes(modes))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: LoadSessionRequest,
                        responder: Responder<LoadSessionResponse>,
                        cx: ConnectionTo<Client>| {
                match load.again(&request.session_id.to_string(), request.cwd) {
                    Ok(open) => {
                        tell_past(&open, &cx)?;
                        responder.respond(LoadSessionResponse::new().modes(modes(&open)))
                    }
                    Err(error) => responder.respond_with_error(error),
                }
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: ResumeSessionRequest, responder: Responder<ResumeSessionResponse>, _cx| match resume
                .again(&request.session_id.to_string(), request.cwd)
            {
                Ok(open) => responder.respond(ResumeSessionResponse::new().modes(modes(&open))),
                Err(error) => responder.respond_with_error(error),
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: SetSessionModeRequest, responder: Responder<SetSessionModeResponse>, _cx| match mode
                .set_mode(&request.session_id.to_string(), &request.mode_id.to_string())
            {
                Ok(()) => responder.respond(SetSessionModeResponse::new()),
                Err(error) => responder.respond_with_error(error),
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_notification(
            async move |cancelled: CancelNotification, _cx| {
                cancel.cancel(&cancelled.session_id.to_string());
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        // Untyped: a script may end a turn for a reason that the types do not have.
        .on_receive_request(
            async move |request: UntypedMessage, responder: Responder<Value>, cx: ConnectionTo<Client>| {
                if request.method() != "session/prompt" {
                    return responder.respond_with_error(Error::method_not_found());
                }
                match serde_json::from_value::<PromptRequest>(request.params) {
                    Ok(request) => prompt.prompt(&request, responder, &cx),
                    Err(_) => responder.respond_with_error(Error::invalid_params()),
                }
            },
            agent_client_protocol::on_receive_request!(),
        )
        .connect_to(transport)
        .await
}

fn initialized() -> InitializeResponse {
    let resume = SessionCapabilities::new().resume(SessionResumeCapabilities::new());
    let capabilities = AgentCapabilities::new().load_session(true).session_capabilities(resume);
    let us = Implementation::new(NAME, env!("CARGO_PKG_VERSION")).title("Rehearsal".to_owned());
    InitializeResponse::new(ProtocolVersion::V1).agent_capabilities(capabilities).agent_info(us)
}

fn modes(open: &Open) -> SessionModeState {
    let offered = MODES.map(|(id, name)| SessionMode::new(id, name)).to_vec();
    SessionModeState::new(locked(&open.kept).mode.clone(), offered)
}

fn chunk(text: &str) -> ContentChunk {
    ContentChunk::new(ContentBlock::Text(TextContent::new(text)))
}

fn tell_past(open: &Open, cx: &ConnectionTo<Client>) -> Result<(), Error> {
    let said = locked(&open.kept).said.clone();
    for said in said {
        let chunk = chunk(&said.text);
        let update =
            if said.by_user { SessionUpdate::UserMessageChunk(chunk) } else { SessionUpdate::AgentMessageChunk(chunk) };
        cx.send_notification(SessionNotification::new(open.id.clone(), update))?;
    }
    Ok(())
}

impl Stage {
    fn open(&self, folder: PathBuf) -> Arc<Open> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let id = format!("rehearsal-{:x}-{:x}-{number}", SystemClock.now(), std::process::id());
        let kept = Kept { mode: MODES[0].0.to_owned(), ..Kept::default() };
        state::save(self.folder.as_deref(), &id, &kept);
        self.enter(id, folder, kept)
    }

    fn again(&self, id: &str, folder: PathBuf) -> Result<Arc<Open>, Error> {
        match state::load(self.folder.as_deref(), id) {
            Some(kept) => Ok(self.enter(id.to_owned(), folder, kept)),
            None => Err(not_found(id)),
        }
    }

    fn enter(&self, id: String, folder: PathBuf, kept: Kept) -> Arc<Open> {
        let (kept, allowed) = (Mutex::new(kept), Mutex::default());
        let open = Arc::new(Open { id: id.clone(), folder, kept, allowed, turn: Mutex::default() });
        locked(&self.sessions).insert(id, Arc::clone(&open));
        open
    }

    fn session(&self, id: &str) -> Result<Arc<Open>, Error> {
        locked(&self.sessions).get(id).cloned().ok_or_else(|| not_found(id))
    }

    fn set_mode(&self, id: &str, mode: &str) -> Result<(), Error> {
        let open = self.session(id)?;
        if !MODES.iter().any(|(known, _)| *known == mode) {
            return Err(Error::invalid_params().data(json!({"mode": mode})));
        }
        mode.clone_into(&mut locked(&open.kept).mode);
        self.keep(&open);
        Ok(())
    }

    fn keep(&self, open: &Open) {
        let kept = locked(&open.kept).clone();
        state::save(self.folder.as_deref(), &open.id, &kept);
    }

    fn cancel(&self, id: &str) {
        let Ok(open) = self.session(id) else { return };
        if let Some(turn) = locked(&open.turn).as_ref() {
            turn.send_replace(true);
        }
    }

    fn prompt(
        self: &Arc<Self>,
        request: &PromptRequest,
        responder: Responder<Value>,
        cx: &ConnectionTo<Client>,
    ) -> Result<(), Error> {
        let open = match self.session(&request.session_id.to_string()) {
            Ok(open) => open,
            Err(error) => return responder.respond_with_error(error),
        };
        let text: Vec<&str> = request
            .prompt
            .iter()
            .filter_map(|block| if let ContentBlock::Text(text) = block { Some(text.text.as_str()) } else { None })
            .collect();
        let text = text.join("\n");
        let (sender, cancelled) = watch::channel(false);
        if locked(&open.turn).is_some() {
            return responder.respond_with_error(Error::invalid_request().data(json!("a turn is at work")));
        }
        *locked(&open.turn) = Some(sender);
        let scene = self.scene(&open, &text);
        let chunk_ms = scene.chunk_ms.or(self.script.as_ref().map(|script| script.chunk_ms)).unwrap_or_default();
        let play = Play::new(cx.clone(), Arc::clone(&open), cancelled, chunk_ms);
        let stage = Arc::clone(self);
        // In a task of its own: the loop that called this has to go on, or no answer to a question would come.
        cx.spawn(async move {
            let (end, used) = play.scene(&scene).await;
            *locked(&open.turn) = None;
            stage.keep(&open);
            match end {
                End::Stop(reason) => responder.respond(json!({"stopReason": reason, "usage": used})),
                End::Cancelled => responder.respond(json!({"stopReason": "cancelled", "usage": used})),
                End::Fail(fail) => responder.respond_with_error(Error::new(fail.code, fail.message)),
            }
        })
    }

    fn scene(&self, open: &Open, prompt: &str) -> Scene {
        let mut kept = locked(&open.kept);
        kept.say(true, prompt);
        let earlier = kept.prompts;
        kept.prompts = earlier.saturating_add(1);
        match &self.script {
            None => builtin::scene(prompt, earlier, kept.mode != "plan"),
            Some(script) => script.scene(prompt, &mut kept.plays).cloned().unwrap_or_else(nothing),
        }
    }
}

/// The protocol's code for a resource that is not there.
fn not_found(session: &str) -> Error {
    Error::new(-32002, "Resource not found").data(json!({"sessionId": session}))
}

fn nothing() -> Scene {
    let words = "The script has no scene for this prompt.".to_owned();
    Scene { when: None, times: None, chunk_ms: None, actions: vec![super::Action::Say(words)] }
}
