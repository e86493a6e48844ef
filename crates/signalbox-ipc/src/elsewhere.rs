//! A stream of a host elsewhere: the page's frames and the host's, carried over one connection.
//!
//! The page keeps its own place and resumes itself, so that it does the same whatever host it looks at; here its token
//! is added, which the page never sees, and frames become batches against credit. Without credit the connection is not
//! read: the rest waits in that host's log.

use std::sync::Arc;

use signalbox_client::{Ended, Link, Options};
use signalbox_wire::{ClientFrame, HostFrame};
use tokio::{sync::mpsc, time::Instant};

use crate::{BATCH, BEAT, Stream, credit::Credit};

/// The page's own code for a connection that broke: it comes back.
const BROKEN: u16 = 4000;

/// Opens a stream of the host that `options` name. The future is its loop and has to be run; it ends when the
/// [`Stream`] is dropped, when the connection ends, or when `deliver` says that nobody is there any more.
///
/// `deliver` gets each batch as the text of a JSON array; the last one says `bye`.
pub fn open_elsewhere<D>(options: Options, deliver: D) -> (Stream, impl Future<Output = ()> + Send + 'static)
where
    D: FnMut(String) -> bool + Send + 'static,
{
    let (stream, frames, credit) = Stream::new();
    let relay = Relay { options, frames, credit, deliver, batch: String::new() };
    (stream, relay.run())
}

struct Relay<D> {
    options: Options,
    frames: mpsc::Receiver<ClientFrame>,
    credit: Arc<Credit>,
    deliver: D,
    /// Frames that wait to be delivered, a JSON array without its end.
    batch: String,
}

impl<D: FnMut(String) -> bool + Send> Relay<D> {
    async fn run(mut self) {
        let Err(Some(ended)) = self.relay().await else { return };
        let (code, reason) = match ended {
            Ended::Closed { code, reason } => (code, reason),
            other => (BROKEN, other.to_string()),
        };
        self.push(&HostFrame::Bye { code, reason, reconnect_ms: None }.to_json());
        self.flush();
    }

    /// Until the end: none if the page wanted it.
    async fn relay(&mut self) -> Result<std::convert::Infallible, Option<Ended>> {
        let mut link = Link::open(&self.options).await.map_err(Some)?;
        let mut beat = Instant::now();
        loop {
            let open = self.credit.any();
            let full = self.batch.len() >= BATCH;
            tokio::select! {
                frame = self.frames.recv() => match frame {
                    None => {
                        link.close().await;
                        return Err(None);
                    }
                    Some(mut frame) => {
                        if let ClientFrame::Hello(hello) = &mut frame {
                            hello.token = Some(self.options.token.clone());
                        }
                        link.send(&frame).await.map_err(Some)?;
                    }
                },
                text = link.next(), if open && !full => self.push(&text.map_err(Some)?),
                () = tokio::time::sleep_until(beat), if open && !self.batch.is_empty() => {
                    self.credit.take();
                    if !self.flush() {
                        return Err(None);
                    }
                    beat = Instant::now() + BEAT;
                }
                () = self.credit.added(), if !open => {}
            }
        }
    }

    fn push(&mut self, frame: &str) {
        self.batch.push(if self.batch.is_empty() { '[' } else { ',' });
        self.batch.push_str(frame);
    }

    /// Delivers what waits; false if nobody takes it.
    fn flush(&mut self) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        batch.push(']');
        (self.deliver)(batch)
    }
}
