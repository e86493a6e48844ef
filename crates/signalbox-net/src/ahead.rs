//! A connection on which much comes is read further than it is asked for.
//!
//! What reads frames asks for little, so that ten thousand connections that wait keep little; to one that posts thousands of
//! events a second it would make a system call for every two of them.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that are read at once.
const FAR: usize = 32 * 1024;

thread_local! {
    /// One for all connections of a thread: it is used within one poll.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; FAR]);
}

/// What was read and not asked for yet. Without memory of its own while nothing comes.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    kept: Vec<u8>,
    /// How much of it was given.
    given: usize,
    /// There was more than was asked for, the last time.
    busy: bool,
}

impl Ahead {
    /// Reads from `source`, or gives what was read of it before.
    pub(crate) fn poll_read(
        &mut self,
        source: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let asked = buf.remaining();
        if self.given < self.kept.len() {
            // As if the socket had been read: who always has more must not keep the others of its thread from theirs.
            let turn = ready!(tokio::task::coop::poll_proceed(cx));
            self.give(buf);
            turn.made_progress();
            return Poll::Ready(Ok(()));
        }
        if !self.busy || asked == 0 {
            ready!(source.poll_read(cx, buf))?;
            self.busy = asked > 0 && buf.remaining() == 0;
            return Poll::Ready(Ok(()));
        }
        ROOM.with_borrow_mut(|room| {
            let mut far = ReadBuf::new(room);
            let polled = source.poll_read(cx, &mut far);
            self.given = 0;
            match &polled {
                Poll::Ready(Ok(())) => {
                    self.busy = far.filled().len() > asked;
                    let (now, later) = far.filled().split_at(far.filled().len().min(asked));
                    buf.put_slice(now);
                    if self.busy {
                        self.kept.clear();
                        self.kept.extend_from_slice(later);
                    } else {
                        self.kept = Vec::new();
                    }
                }
                _ => self.kept = Vec::new(),
            }
            polled
        })
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let kept = &self.kept[self.given..];
        let now = kept.len().min(buf.remaining());
        buf.put_slice(&kept[..now]);
        self.given += now;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Gives pieces one after the other, however much is asked for, and nothing now and then.
    #[derive(Default)]
    struct Source {
        pieces: VecDeque<Option<Vec<u8>>>,
        reads: usize,
    }

    impl AsyncRead for Source {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.reads += 1;
            match self.pieces.pop_front() {
                None => Poll::Ready(Ok(())),
                Some(None) => Poll::Pending,
                Some(Some(mut piece)) => {
                    let rest = piece.split_off(piece.len().min(buf.remaining()));
                    buf.put_slice(&piece);
                    if !rest.is_empty() {
                        self.pieces.push_front(Some(rest));
                    }
                    Poll::Ready(Ok(()))
                }
            }
        }
    }

    fn cx() -> Context<'static> {
        Context::from_waker(std::task::Waker::noop())
    }

    proptest! {
        #[test]
        fn every_byte_comes_once_and_in_order(
            sizes in proptest::collection::vec(proptest::option::of(1..90_000_usize), 0..12),
            asks in proptest::collection::vec(1..5_000_usize, 1..8),
        ) {
            let mut bytes = (0..u32::MAX).flat_map(u32::to_le_bytes);
            let pieces: VecDeque<_> = sizes.iter().map(|size| size.map(|size| bytes.by_ref().take(size).collect())).collect();
            let wanted: Vec<u8> = pieces.iter().flatten().flat_map(|piece: &Vec<u8>| piece.clone()).collect();
            let mut source = Source { pieces, reads: 0 };
            let (mut ahead, mut got) = (Ahead::default(), Vec::new());
            for asked in asks.iter().cycle() {
                let mut room = vec![0; *asked];
                let mut buf = ReadBuf::new(&mut room);
                match ahead.poll_read(Pin::new(&mut source), &mut cx(), &mut buf) {
                    Poll::Ready(done) => {
                        done.unwrap();
                        if buf.filled().is_empty() {
                            break;
                        }
                        got.extend_from_slice(buf.filled());
                    }
                    Poll::Pending => prop_assert_eq!(ahead.kept.capacity(), 0, "it keeps memory while it waits"),
                }
            }
            prop_assert!(got == wanted);
        }
    }

    #[test]
    fn who_sends_much_costs_few_reads_and_who_sends_little_none_more() {
        let read = |pieces: &[usize]| {
            let mut source = Source { pieces: pieces.iter().map(|size| Some(vec![1; *size])).collect(), reads: 0 };
            let mut ahead = Ahead::default();
            loop {
                let mut room = [0; 1024];
                let mut buf = ReadBuf::new(&mut room);
                assert!(ahead.poll_read(Pin::new(&mut source), &mut cx(), &mut buf).is_ready());
                if buf.filled().is_empty() {
                    return source.reads;
                }
            }
        };
        // The last one is the end.
        assert_eq!(read(&[1024 + 64 * 1024]), 1 + 2 + 1);
        assert_eq!(read(&[100, 200, 1023]), 4);
    }
}
