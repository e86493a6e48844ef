//! The host as a whole: opening it, closing it, and what its parts share.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use signalbox_model::{Actor, Clock, EventData, Member, NewEvent, Room, SystemClock, UnixMillis};
use signalbox_store::{Batch, Options, Store, StoreError, TokenChange};
use signalbox_stream::{Connection, Connections, Fanout, Feed, Framing, Hub, Outlet, Session};
use signalbox_wire::{CallError, Caller, CloseCode, ErrorCode, Limits, dispatch, method};

use crate::{
    AuthError, Settings, SettingsError, VERSION,
    agents::{Services, asks::Asks, catalogue::Catalogue, tools::Tokens, workspace::Worktrees},
    auth::{self, Codes},
    ids, members,
    metrics::Metrics,
    private,
    runtime::{self, EngineHandle},
    sharing, system,
    team::Team,
    webhooks,
};

/// How to open a host.
pub struct HostOptions {
    /// The folder for the log, blobs and `host.json`.
    pub data_dir: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// The clock; [`SystemClock`] outside tests.
    pub clock: Arc<dyn Clock>,
}

impl HostOptions {
    /// With the system's clock.
    #[must_use]
    pub fn new(data_dir: PathBuf, settings: Settings) -> Self {
        Self { data_dir, settings, clock: Arc::new(SystemClock) }
    }
}

/// Why a host could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An agent of the settings cannot be used.
    #[error("the settings are wrong: {0}")]
    Agent(#[from] signalbox_agent::catalogue::CustomError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The keys for tokens of others.
    #[error("the settings are wrong: {0}")]
    Jwt(#[from] crate::JwtError),
    /// `host.json`.
    #[error("{} cannot be written: {source}", path.display())]
    HostFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What `<data-dir>/host.json` says while a host runs (mode 0600).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostFile {
    /// The base address; absent while nothing listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The local owner's token, good until the host stops.
    pub token: String,
    /// The host's process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The log's identity.
    pub epoch: String,
}

impl HostFile {
    /// Where it is.
    #[must_use]
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("host.json")
    }

    /// Reads it.
    ///
    /// # Errors
    /// If there is none or it is malformed.
    pub fn read(data_dir: &Path) -> std::io::Result<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(data_dir))?).map_err(std::io::Error::other)
    }

    /// Reads it, if a host really runs: one that was killed leaves its file behind.
    #[must_use]
    pub fn of_running(data_dir: &Path) -> Option<Self> {
        if signalbox_store::is_open(data_dir) { Self::read(data_dir).ok() } else { None }
    }

    fn write(&self, data_dir: &Path) -> Result<(), HostError> {
        let path = Self::path(data_dir);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| private::write_for_now(&path, &text))
            .map_err(|source| HostError::HostFile { path, source })
    }
}

/// A running host. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) data_dir: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) engine: EngineHandle,
    pub(crate) codes: Codes,
    pub(crate) started_at: UnixMillis,
    pub(crate) url: Arc<RwLock<Option<String>>>,
    pub(crate) services: Arc<Services>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) asks: Arc<Asks>,
    pub(crate) token: String,
    pub(crate) owner: Member,
    pub(crate) share: sharing::Share,
    pub(crate) projects: Mutex<crate::projects::Known>,
    pub(crate) schemas: crate::schemas::Schemas,
    /// Held to change what members may do; shared by those that let connections in.
    pub(crate) rights: tokio::sync::RwLock<()>,
    /// How often that was changed.
    pub(crate) rights_changes: AtomicU64,
    pub(crate) secret_replies: members::SecretReplies,
    pub(crate) jwt: Option<Arc<crate::jwt::Jwt>>,
    /// Who joins does so one at a time.
    pub(crate) joining: tokio::sync::Mutex<()>,
    /// Run numbers are given one at a time.
    pub(crate) numbers: tokio::sync::Mutex<()>,
    pub(crate) team: Team,
    pub(crate) webhooks: webhooks::Desk,
    closed: Mutex<bool>,
    stopping: tokio::sync::watch::Sender<bool>,
}

impl Host {
    /// Opens the host of a data folder: recovers the log and the engine, and writes `host.json`.
    ///
    /// # Errors
    /// If another host has the folder, or something in it cannot be used.
    pub async fn open(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { data_dir, settings, clock } = options;
        let hub = Hub::new();
        let sink = Arc::clone(&hub);
        let durability = settings.durability()?;
        let jwt = crate::jwt::Jwt::new(&settings.auth)?.map(Arc::new);
        let store_options = Options {
            dir: data_dir.clone(),
            durability,
            clock: Arc::clone(&clock),
            publish: Box::new(move |frames| sink.publish(frames)),
        };
        make_private(&data_dir)?;
        let store =
            tokio::task::spawn_blocking(move || Store::open(store_options)).await.map_err(|_| StoreError::Closed)??;
        hub.start_at(store.head());
        let metrics = Arc::new(Metrics::default());
        let counted = Arc::clone(&metrics);
        let fanout = Fanout::start(&hub, Box::new(move |events, bytes| counted.sent(events, bytes)));
        let fanout = fanout.map_err(|source| StoreError::Folder { path: data_dir.clone(), source })?;
        let (owner, token) = auth::local_owner(&store).await?;
        let asks = Arc::new(Asks::new(store.clone(), Arc::clone(&clock)));
        asks.void_lost().await?;
        let url = Arc::new(RwLock::new(None));
        let services = Arc::new(Services {
            asks: Arc::clone(&asks),
            catalogue: Arc::new(Catalogue::new(&settings.agents, &data_dir)?),
            worktrees: Arc::new(Worktrees::new(data_dir.join("worktrees"))),
            tokens: Tokens::default(),
            url: Arc::clone(&url),
        });
        let engine = runtime::start(runtime::Parts {
            store: store.clone(),
            clock: Arc::clone(&clock),
            slots: settings.slots(),
            log_limit: settings.engine.log_megabytes.max(1) * 1024 * 1024,
            host: marker(&data_dir),
            services: Arc::clone(&services),
        })
        .await?;
        let host = Self {
            inner: Arc::new(Inner {
                started_at: clock.now(),
                data_dir,
                settings,
                clock,
                store,
                hub,
                fanout,
                connections: Arc::default(),
                engine,
                codes: Codes::default(),
                url,
                services,
                metrics,
                asks,
                token,
                owner,
                share: sharing::Share::default(),
                rights: tokio::sync::RwLock::new(()),
                rights_changes: AtomicU64::new(0),
                secret_replies: members::SecretReplies::default(),
                jwt,
                joining: tokio::sync::Mutex::new(()),
                numbers: tokio::sync::Mutex::new(()),
                projects: Mutex::default(),
                schemas: crate::schemas::Schemas::default(),
                team: Team::default(),
                webhooks: webhooks::Desk::default(),
                closed: Mutex::new(false),
                stopping: tokio::sync::watch::channel(false).0,
            }),
        };
        host.write_host_file()?;
        system::watch(&host);
        host.start_team();
        tokio::spawn(webhooks::run(host.clone()));
        Ok(host)
    }

    fn write_host_file(&self) -> Result<(), HostError> {
        HostFile {
            url: self.url(),
            token: self.inner.token.clone(),
            pid: std::process::id(),
            version: VERSION.to_owned(),
            epoch: self.inner.store.epoch().to_string(),
        }
        .write(&self.inner.data_dir)
    }

    /// Says where the host listens, or that it no longer does; `host.json` follows.
    ///
    /// # Errors
    /// If `host.json` cannot be written.
    pub fn set_url(&self, url: Option<String>) -> Result<(), HostError> {
        *self.inner.url.write().unwrap_or_else(|e| e.into_inner()) = url;
        self.write_host_file()
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.inner.url.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The folder of its data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.inner.data_dir
    }

    /// Its log.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Who is connected.
    #[must_use]
    pub fn connections(&self) -> &Arc<Connections> {
        &self.inner.connections
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The bounds of a connection.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.inner.settings.limits()
    }

    /// The newest event that a session can have.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.inner.hub.head()
    }

    /// The local owner: who sits at this machine.
    #[must_use]
    pub fn owner(&self) -> Caller {
        auth::caller(&self.inner.owner, self.rights())
    }

    /// The local owner's token, as in `host.json`.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.inner.token
    }

    /// Who has this token.
    ///
    /// # Errors
    /// If nobody has, or no longer.
    pub async fn recognise(&self, token: &str) -> Result<Member, AuthError> {
        if token == self.inner.token {
            return Ok(self.inner.owner.clone());
        }
        if let Some(jwt) = self.inner.jwt.as_ref().filter(|_| crate::jwt::Jwt::is_one(token)) {
            return self.vouched(Arc::clone(jwt), token).await;
        }
        let (store, token, now) = (self.inner.store.clone(), token.to_owned(), self.inner.clock.now());
        tokio::task::spawn_blocking(move || auth::recognise(&store, &token, now))
            .await
            .unwrap_or(Err(AuthError::Unavailable))
    }

    /// How often rights were changed: to be asked before a token is looked at.
    pub(crate) fn rights(&self) -> u64 {
        self.inner.rights_changes.load(Ordering::SeqCst)
    }

    /// The caller that this token stands for.
    ///
    /// # Errors
    /// If it stands for nobody, or no longer.
    pub async fn caller(&self, token: &str) -> Result<Caller, AuthError> {
        let rights = self.rights();
        Ok(auth::caller(&self.recognise(token).await?, rights))
    }

    /// Exchanges a login code for a session token, once.
    ///
    /// # Errors
    /// `unauthorized` if the code is wrong, used up or too old.
    pub async fn login(&self, code: &str) -> Result<(Member, String), CallError> {
        let wrong = || {
            CallError::new(ErrorCode::Unauthorized, "this login code is wrong, used up or older than a minute")
                .hint("get a new one: in the app under settings, or with `signalbox login`")
        };
        let id = self.inner.codes.redeem(code, self.inner.clock.now()).ok_or_else(wrong)?;
        let member = self.inner.store.read(|reader| reader.member(&id)).map_err(store_error)?;
        let now = self.inner.clock.now();
        let member = member.filter(|member| member.is_active(now)).ok_or_else(wrong)?;
        let token = ids::token(32);
        let tokens = vec![TokenChange::Add { hash: auth::hash(&token), member: id }];
        self.inner.store.append(Batch { tokens, ..Batch::default() }).await.map_err(store_error)?;
        Ok((member, token))
    }

    /// Ends a session: its token is no longer good.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn logout(&self, token: &str) -> Result<(), CallError> {
        let tokens = vec![TokenChange::Remove { hash: auth::hash(token) }];
        self.inner.store.append(Batch { tokens, ..Batch::default() }).await.map_err(store_error)?;
        Ok(())
    }

    /// A new subscriber.
    #[must_use]
    pub fn session(&self, caller: Caller) -> Session {
        let limits = &self.inner.settings.limits;
        let rooms = match limits.rooms {
            0 => usize::MAX,
            rooms => usize::try_from(rooms).unwrap_or(usize::MAX),
        };
        let replay = limits.replay_events.max(1);
        let session = Session::new(Arc::clone(&self.inner.hub), self.inner.store.clone(), caller, replay, rooms);
        session.with_presence(Arc::clone(self.inner.connections.presence()))
    }

    /// A new subscriber that is written to through `outlet`.
    #[must_use]
    pub fn feed(&self, caller: Caller, outlet: Arc<Outlet>, connection: &Arc<Connection>, framing: Framing) -> Feed {
        let stall = std::time::Duration::from_millis(self.inner.settings.limits.stall_ms.max(1));
        let (session, fanout) = (self.session(caller), Arc::clone(&self.inner.fanout));
        Feed::new(session, fanout, outlet, Arc::clone(connection), framing, stall)
    }

    /// Calls a method. With a key, a call that was answered before is answered alike and not done again.
    ///
    /// # Errors
    /// What the method says.
    pub async fn call(
        &self,
        caller: &Caller,
        name: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, CallError> {
        let started = std::time::Instant::now();
        // A key is of one method: the answer of another would be nothing that this caller understands.
        let keyed = caller.key.as_ref().map(|key| Caller { key: Some(format!("{name} {key}")), ..caller.clone() });
        let mut result = self.check_holds(caller).and_then(|()| match &caller.key {
            Some(key) if key.is_empty() || key.len() > 100 => Err(CallError::bad_request("a key has 1 to 100 bytes")),
            _ => Ok(()),
        });
        let mut reply = None;
        if result.is_ok() {
            let done = self.call_once(keyed.as_ref().unwrap_or(caller), name, params).await;
            // What was read while the rights changed is not handed out; what was done is.
            result = if method::writes(name) { Ok(()) } else { self.check_holds(caller) };
            reply = Some(done);
        }
        let result = result.and_then(|()| reply.unwrap_or_else(|| unreachable!("it was called")));
        self.note_call(caller, name, params, &result).await;
        self.inner.metrics.call(name, result.as_ref().err().map(|error| error.code), started.elapsed());
        result
    }

    async fn call_once(
        &self,
        caller: &Caller,
        name: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, CallError> {
        // Whose role no longer allows the call is not answered what it was answered then.
        let may = method::role_of(name).is_some_and(|least| caller.role >= least);
        if let Some(key) = caller.key.as_ref().filter(|_| may && method::writes(name)) {
            let earlier =
                self.inner.store.read(|reader| reader.reply_for_key(&caller.member, key)).map_err(store_error)?;
            if earlier.as_deref() == Some(members::SECRET) {
                let kept = self.inner.secret_replies.find_made(&caller.member, key).await;
                let kept = kept.ok_or_else(members::shown_once)?;
                return RawValue::from_string(kept).map_err(|error| internal(&error));
            }
            if let Some(reply) = earlier {
                return RawValue::from_string(reply).map_err(|error| internal(&error));
            }
        }
        dispatch(self, caller, name, params).await
    }

    /// Waits until the host begins to stop.
    pub async fn stopping(&self) {
        self.inner.stopping.subscribe().wait_for(|stopping| *stopping).await.ok();
    }

    /// Whether the host stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.inner.stopping.borrow()
    }

    /// Stops: connections are told to come back later, processes are ended, the log is closed. A second call waits for nothing.
    pub async fn close(&self) {
        if std::mem::replace(&mut *self.inner.closed.lock().unwrap_or_else(|e| e.into_inner()), true) {
            return;
        }
        self.inner.stopping.send_replace(true);
        self.inner.connections.close(CloseCode::Shutdown, |_| true);
        self.inner.engine.stop().await;
        // Connections say `bye` and go; those that do not are left behind.
        for _ in 0..100 {
            if self.inner.connections.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let store = self.inner.store.clone();
        tokio::task::spawn_blocking(move || store.close()).await.ok();
        std::fs::remove_file(HostFile::path(&self.inner.data_dir)).ok();
    }

    pub(crate) async fn publish(&self, event: NewEvent) -> Result<(), StoreError> {
        self.inner.store.append(Batch::of(vec![event])).await.map(|_| ())
    }

    /// Publishes something about the host itself; if that fails it is only logged.
    pub(crate) async fn publish_quietly(&self, data: EventData) {
        if let Err(error) = self.publish(NewEvent::new(Room::Host, Actor::host(), data)).await {
            tracing::warn!(%error, "the host's state could not be recorded");
        }
    }
}

/// Makes the data folder, if it is not there, for its owner alone: what steps print is nobody else's business.
fn make_private(data_dir: &Path) -> Result<(), StoreError> {
    if data_dir.exists() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data_dir).map_err(|source| StoreError::Folder { path: data_dir.to_owned(), source })
}

/// Names a data folder in the markers of processes, so that hosts of other folders are left alone.
fn marker(data_dir: &Path) -> String {
    let path = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    signalbox_store::blob::hash(path.to_string_lossy().as_bytes())[..16].to_owned()
}

fn internal(error: &dyn std::fmt::Display) -> CallError {
    CallError::new(ErrorCode::Internal, error.to_string())
}

/// A failure of the log as a caller sees it.
pub(crate) fn store_error(error: StoreError) -> CallError {
    match error {
        StoreError::Refused { .. } => CallError::conflict(error.to_string()),
        StoreError::TooLarge { .. } => CallError::new(ErrorCode::LimitExceeded, error.to_string()),
        StoreError::NotFound(_) => CallError::new(ErrorCode::NotFound, error.to_string()),
        StoreError::Closed => CallError::new(ErrorCode::Unavailable, error.to_string()),
        // The same call may succeed later: who has a key can simply make it again.
        error if error.is_transient() => CallError::new(ErrorCode::Unavailable, error.to_string()),
        _ => CallError::new(ErrorCode::Internal, error.to_string()),
    }
}
