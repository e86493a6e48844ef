//! How a connection is let in: who it is, what it may see, and the first that it is told.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use signalbox_host::NotAdmitted;
use signalbox_model::{Cursor, RoomFilter};
use signalbox_stream::{Listed, Registration, Transport};
use signalbox_wire::{Caller, ClientFrame, CloseCode, Hello, HostFrame, PROTOCOL_VERSION};
use tokio::time::Instant;

use super::{
    Entry, FRAMING, Over, Step,
    connection::{Connection, Received},
    live::{Live, over},
};
use crate::{
    http::{Net, Peer},
    joins,
};

impl Connection {
    /// Lets in who comes, up to the moment at which its rooms are joined.
    pub(super) async fn enter(&mut self, entry: Entry) -> Step<Box<Live>> {
        match entry {
            Entry::Full(caller) => self.enter_full(caller).await,
            Entry::Naive(caller, rooms) => {
                let listed = self.register(&caller, Transport::NaiveWebSocket, "naive".into(), None).await?;
                self.welcome(None, &caller, &listed).await?;
                self.join(caller, listed, rooms, None).await
            }
        }
    }

    async fn enter_full(&mut self, caller: Option<Caller>) -> Step<Box<Live>> {
        let hello = self.hello().await?;
        if hello.v != PROTOCOL_VERSION {
            return Err(Over(Some(CloseCode::UnsupportedVersion)));
        }
        let caller = match &hello.token {
            Some(token) => recognise(&self.net, self.peer, token).await?,
            None => caller.ok_or(Over(Some(CloseCode::InvalidToken)))?,
        };
        let caller = Caller { address: Some(self.peer.address()), ..caller };
        let Hello { rid, client, rooms, resume, .. } = hello;
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
        let name = format!("{}/{}", short(&client.name), short(&client.version));
        let rooms = self.net.host.rooms_of(&caller, rooms);
        let listed = self.register(&caller, Transport::WebSocket, name, client.instance).await?;
        self.welcome(rid, &caller, &listed).await?;
        self.join(caller, listed, rooms, resume).await
    }

    async fn hello(&mut self) -> Step<Hello> {
        let limit = Duration::from_millis(self.net.host.settings().limits.hello_ms.max(1));
        let deadline = Instant::now() + limit;
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout_at(deadline, self.socket.next()) => message,
                () = self.net.closed() => return Err(Over(Some(CloseCode::Shutdown))),
            };
            let message = message.map_err(|_| Over(Some(CloseCode::NoHello)))?;
            match self.parse(message)? {
                Some(Received::Other(ClientFrame::Hello(hello))) => return Ok(hello),
                Some(_) => return Err(Over(Some(CloseCode::NoHello))),
                None => {}
            }
        }
    }

    async fn register(
        &self,
        caller: &Caller,
        transport: Transport,
        client: String,
        instance: Option<String>,
    ) -> Step<Listed> {
        let turn = self.net.joins.turn(std::time::Instant::now(), joins::PATIENCE);
        let wait = turn.map_err(|_| Over(Some(CloseCode::TooManyRequests)))?;
        self.net.rest(wait).await.map_err(|_| Over(Some(CloseCode::Shutdown)))?;
        let registration = Registration {
            transport,
            member: caller.member.clone(),
            member_name: caller.actor.to_string(),
            client,
            instance: instance.map(|text| text.chars().take(60).collect()),
            address: Some(self.peer.0.to_string()),
            now: self.net.host.clock().now(),
        };
        let listed = self.net.host.admit(caller, registration).await.map_err(|refused| {
            Over(Some(match refused {
                NotAdmitted::Full(_) => CloseCode::ConnectionLimit,
                NotAdmitted::Changed => CloseCode::StateInvalidated,
            }))
        })?;
        self.net.host.metrics().accepted(transport.as_str());
        Ok(listed)
    }

    async fn welcome(&mut self, rid: Option<u64>, caller: &Caller, listed: &Listed) -> Step<()> {
        let host = &self.net.host;
        let frame = HostFrame::Connection {
            rid,
            epoch: host.store().epoch().clone(),
            head: host.head(),
            version: signalbox_host::VERSION.to_owned(),
            connection: listed.id,
            member: caller.member.clone(),
            member_name: caller.actor.to_string(),
            role: caller.role,
            limits: host.limits(),
            ping_ms: host.settings().limits.ping_ms,
        };
        self.say(&frame).await
    }

    async fn join(
        &mut self,
        caller: Caller,
        listed: Listed,
        rooms: Vec<RoomFilter>,
        resume: Option<Cursor>,
    ) -> Step<Box<Live>> {
        let mut feed = self.net.host.feed(caller.clone(), Arc::clone(&self.outlet), &listed, FRAMING);
        let mode = if resume.is_some() { "resumed" } else { "snapshot" };
        if !rooms.is_empty() {
            self.net.host.follow(&caller, &listed, rooms.clone());
            feed.join(None, rooms, resume).await.map_err(|error| over(&error))?;
        }
        let live = Box::new(Live { caller, listed, feed, mode });
        live.joined(&self.net);
        self.net.host.metrics().joined(live.mode_now());
        self.net.host.arrived(&live.caller);
        Ok(live)
    }
}

async fn recognise(net: &Arc<Net>, peer: Peer, token: &str) -> Step<Caller> {
    use signalbox_host::AuthError;
    match net.host.caller(token).await {
        Ok(caller) => Ok(caller),
        Err(AuthError::Expired) => Err(Over(Some(CloseCode::TokenExpired))),
        Err(AuthError::Wrong) => {
            net.host.metrics().refused();
            net.note_refusal(peer).await;
            Err(Over(Some(CloseCode::InvalidToken)))
        }
        Err(AuthError::Unavailable) => Err(Over(Some(CloseCode::StateInvalidated))),
    }
}
