//! The HTTP paths.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::{json, value::RawValue};
use signalbox_host::{Host, VERSION, metrics, proxies::Proxies};
use signalbox_model::{Health, ProjectId, Role, Room, RoomFilter};
use signalbox_stream::Transport;
use signalbox_wire::{CallError, Caller, ErrorCode, document, method};
use tokio::sync::watch;

use crate::{
    Assets, agui,
    guard::{self, COOKIE, Guard, authenticate},
    hooks, join,
    joins::Joins,
    mcp,
    rate::{Calls, Logins},
    sse, websocket,
};

/// What every request shares.
pub(crate) struct Net {
    pub(crate) host: Host,
    pub(crate) guard: Guard,
    pub(crate) proxies: Proxies,
    pub(crate) calls: Arc<Calls>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) joins: Arc<Joins>,
    pub(crate) assets: Assets,
    /// Whether it is served over TLS.
    pub(crate) secure: bool,
    /// Becomes true when this listener is closed, though the host goes on.
    pub(crate) stopped: Option<watch::Receiver<bool>>,
}

impl Net {
    /// Waits until this listener is closed though the host goes on.
    pub(crate) async fn closed(&self) {
        match self.stopped.clone() {
            Some(mut stopped) => drop(stopped.wait_for(|stopped| *stopped).await),
            None => std::future::pending().await,
        }
    }

    /// Waits until this listener is closed, or the host stops.
    pub(crate) async fn ended(&self) {
        tokio::select! {
            () = self.host.stopping() => {}
            () = self.closed() => {}
        }
    }
}

/// The other end of the connection; behind a trusted proxy the address of who called that, with the port of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    /// The address without the port, as the audit list has it.
    pub(crate) fn address(&self) -> Arc<str> {
        self.0.ip().to_canonical().to_string().into()
    }
}

pub(crate) type Shared = State<Arc<Net>>;

/// An error as a response.
pub(crate) struct Failure(pub(crate) CallError);

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_response(status, &json!({ "error": self.0 }));
        if let Some(wait) = self.0.retry_after_ms {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(crate) type Answer = Result<Response, Failure>;

pub(crate) fn json_response(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

fn raw_response(value: &RawValue) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, value.get().to_owned()).into_response()
}

pub(crate) fn router(net: Arc<Net>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/api/v1/health", get(health))
        .route("/api/v1/session", get(session))
        .route("/api/v1/login", post(login))
        .route("/api/v1/join", post(join::join))
        .route("/api/v1/logout", post(logout))
        .route("/api/v1/ws", get(websocket::full))
        .route("/api/v1/projects/{project}/ws", get(websocket::naive))
        .route("/api/v1/events", get(sse::rooms))
        .route("/api/v1/projects/{project}/events", get(sse::project))
        .route("/api/v1/call/{method}", post(call))
        .route("/api/v1/blobs/{hash}", get(blob))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/asyncapi.json", get(asyncapi))
        .route("/api/v1/schemas/{name}", get(schema))
        .route("/api/v1/agui/{project}", post(agui::run))
        .route("/api/v1/hooks/{project}/{name}", post(hooks::take))
        .route("/mcp", any(mcp::serve))
        .fallback(ui)
        .method_not_allowed_fallback(|| async {
            let error = CallError::bad_request("this path does not know that method")
                .hint("GET /api/v1/openapi.json lists them");
            (StatusCode::METHOD_NOT_ALLOWED, json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": error })))
                .into_response()
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&net), check))
        .with_state(net)
}

/// Before everything else: who is called, and from where.
async fn check(State(net): Shared, request: Request, next: Next) -> Response {
    if let Err(error) = net.guard.check(request.headers(), request.uri()) {
        net.host.metrics().refused();
        return Failure(error).into_response();
    }
    // A body is taken as it is: what is small on the way and large when it is unpacked is not unpacked.
    let encodings = request.headers().get_all(header::CONTENT_ENCODING);
    if encodings.iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let error = CallError::bad_request("compressed bodies are not taken; nothing was done")
            .hint("send it without Content-Encoding");
        let mut response = Failure(error).into_response();
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        return response;
    }
    let mut request = request;
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied()
        && let Some(name) = net.proxies.header_of(peer.ip())
    {
        let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        let caller = net.proxies.caller(peer.ip(), &values.collect::<Vec<_>>());
        request.extensions_mut().insert(Peer(SocketAddr::new(caller, peer.port())));
    }
    let entry = matches!(request.uri().path(), "/api/v1/login" | "/api/v1/join");
    let peer = request.extensions().get::<Peer>().copied();
    let mut response = next.run(request).await;
    if let Some(peer) = peer.filter(|_| response.status() == StatusCode::UNAUTHORIZED && !entry) {
        net.note_refusal(peer).await;
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

impl Net {
    /// Notes that a token was refused: once a minute for each address, so that nobody can fill the audit list.
    pub(crate) async fn note_refusal(&self, peer: Peer) {
        if self.logins.note_refusal(peer.0.ip(), Instant::now()) {
            let refused: Result<(), _> = Err(CallError::new(ErrorCode::Unauthorized, "refused"));
            self.host.note_entry("token.refused", &refused, None, &peer.address()).await;
        }
    }

    /// The caller, with the role that the path needs, counted against its rate.
    pub(crate) async fn caller(&self, headers: &HeaderMap, uri: &Uri, least: Role) -> Result<Caller, Failure> {
        let caller = authenticate(&self.host, headers, uri).await.inspect_err(|_| self.host.metrics().refused())?;
        if caller.role < least {
            return Err(
                CallError::new(ErrorCode::Forbidden, format!("this needs the role {least:?}").to_lowercase()).into()
            );
        }
        self.calls.take(&caller.member, Instant::now()).inspect_err(|_| self.host.metrics().refused())?;
        Ok(caller)
    }
}

async fn ready(State(net): Shared) -> Response {
    if net.host.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match net.host.store().trouble() {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")).into_response(),
    }
}

async fn metrics_text(State(net): Shared, headers: HeaderMap, uri: Uri) -> Answer {
    net.caller(&headers, &uri, Role::Owner).await?;
    let text = metrics::render(&net.host).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

async fn health(State(net): Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    let report = net.host.call(&caller, "system.status", None).await?;
    let report: method::SystemReport =
        serde_json::from_str(report.get()).map_err(|error| CallError::new(ErrorCode::Internal, error.to_string()))?;
    let status = if report.status == Health::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let open = net.host.connections().by_transport();
    let of = |transport: Transport| open.get(&transport).copied().unwrap_or_default();
    let services: serde_json::Map<String, serde_json::Value> = report
        .services
        .iter()
        .map(|check| (check.service.clone(), json!({ "status": check.health, "detail": check.detail })))
        .collect();
    Ok(json_response(
        status,
        &json!({
            "status": report.status,
            "version": VERSION,
            "started_at": report.started_at,
            "services": services,
            "connections": { "websocket": of(Transport::WebSocket) + of(Transport::NaiveWebSocket), "sse": of(Transport::Sse), "ipc": of(Transport::Ipc) },
            "log": { "epoch": report.log.epoch, "head": report.log.head },
        }),
    ))
}

async fn session(State(net): Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    let who = json!({ "member": caller.member, "member_name": caller.actor, "role": caller.role });
    Ok(json_response(StatusCode::OK, &who))
}

pub(crate) async fn body(net: &Net, body: Body) -> Result<bytes::Bytes, Failure> {
    let limit = match net.host.settings().limits.body_bytes {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    // Longer than for a header: a megabyte over a slow line.
    let patience = 3 * net.host.settings().limits.hello_ms.max(1);
    let read = tokio::time::timeout(Duration::from_millis(patience), axum::body::to_bytes(body, limit)).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error))
            if std::error::Error::source(&error).is_some_and(|e| e.is::<http_body_util::LengthLimitError>()) =>
        {
            Err(CallError::new(
                ErrorCode::LimitExceeded,
                format!("the body is larger than {limit} bytes; nothing was done"),
            )
            .into())
        }
        Ok(Err(_)) => Err(CallError::bad_request("the body broke off; nothing was done").into()),
        Err(_) => {
            Err(CallError::bad_request(format!("the body did not come within {patience} ms; nothing was done")).into())
        }
    }
}

async fn login(State(net): Shared, Extension(Peer(peer)): Extension<Peer>, uri: Uri, content: Body) -> Answer {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        code: String,
    }
    guard::refuse_token_in_url(&uri)?;
    net.logins.check(peer.ip(), Instant::now())?;
    let content = body(&net, content).await?;
    let login: Login = serde_json::from_slice(&content).map_err(|error| CallError::bad_request(error.to_string()))?;
    let result = net.host.login(&login.code).await;
    net.host.note_entry("login", &result, result.as_ref().ok().map(|(member, _)| member), &Peer(peer).address()).await;
    let (member, token) = match result {
        Ok(found) => found,
        Err(error) => {
            if error.code == ErrorCode::Unauthorized {
                net.logins.failed(peer.ip(), Instant::now());
                net.host.metrics().refused();
            }
            return Err(error.into());
        }
    };
    net.logins.succeeded(peer.ip());
    let who = json!({ "member": member.id, "member_name": member.name, "role": member.role });
    let mut response = json_response(StatusCode::OK, &who);
    net.set_session(&mut response, &token, 30 * 24 * 3600);
    Ok(response)
}

impl Net {
    /// Gives a browser its session, for `seconds`.
    pub(crate) fn set_session(&self, response: &mut Response, token: &str, seconds: u32) {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict{secure}; Path=/; Max-Age={seconds}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
    }
}

async fn logout(State(net): Shared, headers: HeaderMap, uri: Uri) -> Answer {
    net.caller(&headers, &uri, Role::Viewer).await?;
    if let Some(token) = guard::cookie(&headers) {
        net.host.logout(&token).await?;
    }
    let mut response = json_response(StatusCode::OK, &json!({}));
    net.set_session(&mut response, "", 0);
    Ok(response)
}

async fn call(
    State(net): Shared,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    content: Body,
) -> Answer {
    let mut caller = net.caller(&headers, &uri, Role::Viewer).await?;
    caller.address = Some(peer.address());
    if let Some(key) = headers.get("idempotency-key") {
        let key = key.to_str().map_err(|_| CallError::bad_request("Idempotency-Key must be visible ASCII"))?;
        caller.key = Some(key.to_owned());
    }
    let content = body(&net, content).await?;
    let text = std::str::from_utf8(&content).map_err(|_| CallError::bad_request("the body is not UTF-8"))?;
    let params: Option<&RawValue> = match text.trim() {
        "" => None,
        text => Some(
            serde_json::from_str(text)
                .map_err(|error| CallError::bad_request(format!("the body is not JSON: {error}")))?,
        ),
    };
    let reply = net.host.call(&caller, &name, params).await?;
    Ok(raw_response(&reply))
}

async fn blob(State(net): Shared, Path(hash): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let caller = net.caller(&headers, &uri, Role::Viewer).await?;
    let content = net.host.blob(&caller, &hash).await?;
    // What a step wrote is not ours: a browser must never run it as a page of this site.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ];
    Ok((headers, content).into_response())
}

async fn openapi(State(net): Shared, headers: HeaderMap, uri: Uri) -> Answer {
    net.caller(&headers, &uri, Role::Viewer).await?;
    Ok(json_response(StatusCode::OK, &document::openapi()))
}

async fn asyncapi(State(net): Shared, headers: HeaderMap, uri: Uri) -> Answer {
    net.caller(&headers, &uri, Role::Viewer).await?;
    Ok(json_response(StatusCode::OK, &document::asyncapi()))
}

async fn schema(State(net): Shared, Path(name): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    net.caller(&headers, &uri, Role::Viewer).await?;
    let wanted = name.strip_suffix(".json").unwrap_or(&name);
    match document::schema(wanted) {
        Some(schema) => Ok(json_response(StatusCode::OK, &schema)),
        None => Err(CallError::not_found("schema", wanted.chars().take(80).collect::<String>()).into()),
    }
}

/// The rooms of a project, if the caller may see it: for the endpoints that name it in their path.
pub(crate) fn project_rooms(project: &str) -> Result<Vec<RoomFilter>, Failure> {
    let id = ProjectId::new(project)
        .map_err(|_| CallError::not_found("project", project.chars().take(64).collect::<String>()))?;
    Ok(vec![RoomFilter::ProjectTree(id)])
}

/// Refuses a project that is not there, before a stream is opened on it.
pub(crate) async fn check_rooms(net: &Net, caller: &Caller, rooms: &[RoomFilter]) -> Result<(), Failure> {
    for room in rooms {
        // The same answer as the methods give: what is not theirs is as if it were not there.
        let (method, params) = match room {
            RoomFilter::Activity(_) => continue,
            RoomFilter::ProjectTree(project) | RoomFilter::One(Room::Project(project) | Room::Feed(project)) => {
                ("project.get", json!({ "project": project }))
            }
            RoomFilter::One(Room::Run(run)) => ("run.get", json!({ "run": run })),
            RoomFilter::One(Room::Host | Room::Activity) if caller.projects.is_empty() => continue,
            RoomFilter::One(Room::Member(member)) if *member == caller.member => continue,
            RoomFilter::One(Room::Member(member)) => return Err(CallError::not_found("member", member).into()),
            RoomFilter::One(Room::Host | Room::Activity) => {
                let text = format!("the room {room} speaks of every project, and this token is for some");
                return Err(CallError::new(ErrorCode::Forbidden, text).into());
            }
        };
        let params = serde_json::value::to_raw_value(&params).ok();
        net.host.call(caller, method, params.as_deref()).await?;
    }
    Ok(())
}

/// Everything else: the UI.
async fn ui(State(net): Shared, method: Method, headers: HeaderMap, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || (method != Method::GET && method != Method::HEAD) {
        return Failure(CallError::not_found("path", uri.path()).hint("GET /api/v1/openapi.json lists them"))
            .into_response();
    }
    let file = if path.is_empty() { "index.html" } else { path };
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_none_or(|accept| accept.contains("text/html") || accept.contains("*/*"));
    let (name, content) = match net.assets.get(file) {
        Some(content) => (file, content),
        // A page of the UI has a path of its own, so that it can be opened, reloaded and sent to somebody.
        None if wants_page && !path.starts_with("assets/") => match net.assets.get("index.html") {
            Some(content) => ("index.html", content),
            None => {
                return (StatusCode::NOT_FOUND, "this build carries no UI: build it with `cargo xtask build`\n")
                    .into_response();
            }
        },
        None => return Failure(CallError::not_found("file", uri.path())).into_response(),
    };
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response =
        ([(header::CONTENT_TYPE, Assets::media_type(name)), (header::CACHE_CONTROL, cache)], content).into_response();
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self' ws://{host} wss://{host}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
