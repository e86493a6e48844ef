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
        host.inner.connections.each(|connection| {
            #[expect(clippy::cast_precision_loss, reason = "a number of events to look at")]
            host.metrics().lag(connection.lag.load(Ordering::Relaxed) as f64);
        });
        let presence = host.inner.connections.presence();
        if !presence.is_followed(&Room::Host) {
            continue;
        }
        let count = host.inner.connections.len() as u64;
        let connections = host.inner.connections.report(LISTED, |_| true);
        let frame = HostFrame::ConnectionStats { room: Room::Host, at: host.inner.clock.now(), count, connections };
        presence.broadcast(&Room::Host, &Topic::Connections, &Bytes::from(frame.to_json()));
    }
}

impl Host {
    /// Looks at how many bytes each connection is behind: those of the events that it has still to get, whatever room they
    /// are of, as far as they are in memory.
    pub(crate) fn measure_lag(&self) {
        let (connections, mut worst) = (&self.inner.connections, 0);
        connections.each(|connection| worst = connection.lag.load(Ordering::Relaxed).max(worst));
        let bytes = self.inner.hub.bytes_of_newest(worst);
        connections.each(|connection| {
            let lag = usize::try_from(connection.lag.load(Ordering::Relaxed)).unwrap_or(usize::MAX).min(bytes.len());
            let behind = lag.checked_sub(1).and_then(|newest| bytes.get(newest)).copied().unwrap_or_default();
            connection.lag_bytes.store(behind, Ordering::Relaxed);
        });
    }
}
