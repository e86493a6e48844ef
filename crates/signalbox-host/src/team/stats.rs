//! How the connections are, for those who follow the room of the host.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use signalbox_model::Room;
use signalbox_stream::Topic;
use signalbox_wire::HostFrame;

use crate::Host;

/// Figures go out at most this often.
const PACE: Duration = Duration::from_secs(5);
/// Connections in one message.
const LISTED: usize = 200;

pub(super) async fn run(host: Host) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            () = host.stopping() => return,
        }
        host.measure_lag();
        for connection in host.inner.connections.all() {
            #[expect(clippy::cast_precision_loss, reason = "a number of events to look at")]
            host.metrics().lag(connection.lag.load(Ordering::Relaxed) as f64);
        }
        let presence = host.inner.connections.presence();
        if !presence.is_followed(&Room::Host) {
            continue;
        }
        let mut connections = host.inner.connections.report();
        let count = connections.len() as u64;
        connections.truncate(LISTED);
        let frame = HostFrame::ConnectionStats { room: Room::Host, at: host.inner.clock.now(), count, connections };
        presence.broadcast(&Room::Host, &Topic::Connections, &Bytes::from(frame.to_json()));
    }
}

impl Host {
    /// Looks at how many bytes each connection is behind: those of the events that it has still to get, whatever room they
    /// are of, as far as they are in memory.
    pub(crate) fn measure_lag(&self) {
        for connection in self.inner.connections.all() {
            let lag = connection.lag.load(Ordering::Relaxed);
            let bytes = if lag == 0 { 0 } else { self.inner.hub.bytes_of_newest(lag) };
            connection.lag_bytes.store(bytes, Ordering::Relaxed);
        }
    }
}
