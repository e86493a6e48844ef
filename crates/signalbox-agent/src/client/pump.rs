//! Between the agent's pipes and the session: reads lines, reduces them, hands out updates, answers what needs no person.
//!
//! One task owns the reducer. It reads on only when the update channel has taken what came out: a slow reader slows the
//! agent down. Another task writes; it shows the pump each line before the agent gets it, so that the reducer knows of a
//! request before its answer.

use std::{collections::HashSet, sync::Arc, time::Duration};

use signalbox_model::LogStream;
use signalbox_process::{Dialogue, Exit, Report, end_each};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, ChildStdout},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Config, OUTGOING,
    errands::{Errands, News},
    link::{Exited, Link, Reply, Stop},
    messages,
};
use crate::{
    lines::{Line, Lines},
    pace::Pace,
    reducer::{Frame, Reducer},
    update::{Outcome, Update},
};

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// How long output may still come after the process ended, from what it left behind with its pipe.
const LINGER: Duration = Duration::from_millis(500);
/// The same, if it never pauses.
const LINGER_AT_MOST: Duration = Duration::from_secs(5);
/// How long a process may live that has closed its standard output.
const MUTE: Duration = Duration::from_secs(2);

struct Pump {
    link: Arc<Link>,
    reducer: Reducer,
    pace: Pace,
    updates: mpsc::Sender<Update>,
    stop: watch::Receiver<Stop>,
    errands: Errands,
    /// Nobody reads the updates.
    unread: bool,
    /// Filled by the reducer, not yet paced.
    fresh: Vec<Update>,
    ready: Vec<Update>,
}

/// Starts both tasks.
pub(super) fn start(
    config: &Config,
    dialogue: Dialogue,
    reports: mpsc::Receiver<Report>,
    updates: mpsc::Sender<Update>,
) -> Arc<Link> {
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let (shown, notes) = mpsc::channel(OUTGOING);
    let link = Arc::new(Link::new(config, dialogue.handle, out));
    tokio::spawn(write(dialogue.stdin, outgoing, shown, link.stop.subscribe()));
    let (errands, errand_news) = Errands::new(config, &link);
    let pump = Pump {
        reducer: Reducer::new(&config.folder.to_string_lossy()).offering(config.offers),
        pace: Pace::new(config.masker.clone()),
        updates,
        stop: link.stop.subscribe(),
        errands,
        unread: false,
        fresh: Vec::new(),
        ready: Vec::new(),
        link: Arc::clone(&link),
    };
    tokio::spawn(pump.run(dialogue.stdout, reports, notes, errand_news, config.marker.clone()));
    link
}

/// Writes lines to the agent until the session quits or the agent does not read any more.
async fn write(
    mut stdin: ChildStdin,
    mut outgoing: mpsc::Receiver<String>,
    shown: mpsc::Sender<String>,
    mut stop: watch::Receiver<Stop>,
) {
    let lines = async {
        while let Some(mut line) = outgoing.recv().await {
            if shown.send(line.clone()).await.is_err() {
                return;
            }
            line.push('\n');
            if stdin.write_all(line.as_bytes()).await.is_err() {
                // It reads no more. That it ended is seen elsewhere.
                return;
            }
        }
    };
    tokio::select! {
        () = lines => {}
        _ = stop.wait_for(|stop| *stop != Stop::No) => {}
    }
}

impl Pump {
    async fn run(
        mut self,
        stdout: ChildStdout,
        mut reports: mpsc::Receiver<Report>,
        mut notes: mpsc::Receiver<String>,
        mut errand_news: mpsc::Receiver<News>,
        marker: String,
    ) {
        let (mut stdout, mut lines, mut buffer) = (Some(stdout), Lines::default(), vec![0; READ]);
        let mut exit: Option<Option<Exit>> = None;
        let (mut give_up, mut last_call): (Option<Instant>, Option<Instant>) = (None, None);
        while exit.is_none() || stdout.is_some() {
            let due = self.pace.due().map(Instant::from_std);
            let wake = [due, give_up].into_iter().flatten().min();
            tokio::select! {
                Some(line) = notes.recv() => self.outgoing(&line),
                Some(news) = errand_news.recv() => match news {
                    News::Output { terminal, text } => self.reducer.terminal_printed(&terminal, &text, &mut self.fresh),
                    News::Ended { terminal, code } => self.reducer.terminal_ended(&terminal, code, &mut self.fresh),
                },
                report = reports.recv(), if exit.is_none() => match report {
                    Some(Report::Output(piece)) if piece.stream == LogStream::Stderr => {
                        self.link.heard_stderr(&piece.text);
                        self.fresh.push(Update::Stderr(piece.text));
                    }
                    Some(Report::Output(_) | Report::Progress(_)) => {}
                    Some(Report::Exited(ended)) => {
                        exit = Some(Some(ended));
                        give_up = Some(Instant::now() + LINGER);
                        last_call = Some(Instant::now() + LINGER_AT_MOST);
                    }
                    None => exit = Some(None),
                },
                read = read(&mut stdout, &mut buffer), if stdout.is_some() => {
                    let mut got = Vec::new();
                    if read == 0 {
                        stdout = None;
                        got.extend(lines.finish());
                        give_up = Some(Instant::now() + MUTE);
                    } else {
                        lines.push(&buffer[..read], |line| got.push(line));
                        give_up = last_call.map_or(give_up, |last| Some(last.min(Instant::now() + LINGER)));
                    }
                    // What we sent before these lines came is known before they are read.
                    while let Ok(line) = notes.try_recv() {
                        self.outgoing(&line);
                    }
                    for line in got {
                        self.incoming(line).await;
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if give_up.is_some_and(|at| at <= Instant::now()) {
                        give_up = None;
                        match exit {
                            // Something that it left behind keeps the pipe open: it is swept below.
                            Some(_) => stdout = None,
                            None => self.link.kill(),
                        }
                    }
                    self.pace.tick(std::time::Instant::now(), &mut self.ready);
                }
            }
            self.hand_out().await;
        }
        self.reducer.end(&mut self.fresh);
        self.settle();
        self.hand_out().await;
        let markers = HashSet::from([marker]);
        let swept = tokio::task::spawn_blocking(move || end_each(&markers)).await;
        let (swept, survivors) = swept.unwrap_or((0, true));
        let exit = exit.flatten();
        let (code, signal) = (exit.and_then(|exit| exit.code), exit.and_then(|exit| exit.signal));
        self.link.finish(Exited { code, signal, swept, survivors });
    }

    fn outgoing(&mut self, line: &str) {
        self.reducer.outgoing(line, &mut self.fresh);
        self.link.state().busy = self.reducer.is_busy();
    }

    async fn incoming(&mut self, line: Line) {
        let frame = match &line {
            Line::Whole(line) => self.reducer.incoming(line, &mut self.fresh),
            Line::TooLong { head, bytes } => self.reducer.incoming_too_long(head, *bytes, &mut self.fresh),
        };
        {
            let mut state = self.link.state();
            state.heard = Instant::now();
            state.busy = self.reducer.is_busy();
        }
        // A question can be answered from the moment on at which it is seen; an answer is one only when all that came
        // before it is in the channel.
        match frame {
            Frame::Nothing => {}
            Frame::Question { id, request } => {
                if self.link.is_cancelled() {
                    self.link.send_now(messages::answer(&request, &Outcome::Cancelled));
                } else {
                    self.link.state().questions.insert(id, request);
                }
                self.settle();
            }
            Frame::Withdrawn { id } => {
                let request = self.link.state().questions.remove(&id);
                if let Some(request) = request {
                    self.link.send_now(messages::answer(&request, &Outcome::Cancelled));
                }
            }
            Frame::Unanswerable { request } => self.link.send_now(messages::answer(&request, &Outcome::Cancelled)),
            Frame::Wish { request, method, params } => self.errands.take(request, method, params),
            Frame::NotOffered { request, method } => self.link.send_now(messages::not_offered(&request, &method)),
            Frame::Answer { id, result } => {
                self.finish_turn().await;
                self.link.reply(id, Reply::Answer(result));
                return;
            }
            Frame::Turn { id, result } => {
                self.finish_turn().await;
                self.link.state().questions.clear();
                self.link.reply(id, Reply::Turn(result));
                return;
            }
            Frame::AnswerTooLong { id } => {
                self.finish_turn().await;
                self.link.reply(id, Reply::TooLong);
                return;
            }
        }
        self.hand_out().await;
    }

    async fn finish_turn(&mut self) {
        self.settle();
        self.hand_out().await;
    }

    /// Nothing may wait any longer.
    fn settle(&mut self) {
        self.pace();
        self.pace.flush(&mut self.ready);
    }

    fn pace(&mut self) {
        let now = std::time::Instant::now();
        for mut update in self.fresh.drain(..) {
            if let Update::Info(info) = &mut update {
                let mut state = self.link.state();
                info.not_resumed.clone_from(&state.not_resumed);
                state.info = (**info).clone();
            }
            self.pace.take(update, now, &mut self.ready);
        }
    }

    /// Puts what is ready into the channel, and waits while that is full.
    async fn hand_out(&mut self) {
        self.pace();
        for update in self.ready.drain(..) {
            if self.unread {
                continue;
            }
            let update = match self.updates.try_send(update) {
                Ok(()) => continue,
                Err(mpsc::error::TrySendError::Full(update)) => update,
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    self.unread = true;
                    continue;
                }
            };
            self.link.state().blocked = true;
            tokio::select! {
                biased;
                sent = self.updates.send(update) => self.unread = sent.is_err(),
                _ = self.stop.wait_for(|stop| *stop == Stop::Abandon) => self.unread = true,
            }
            let mut state = self.link.state();
            state.blocked = false;
            state.heard = Instant::now();
        }
    }
}

async fn read(stdout: &mut Option<ChildStdout>, buffer: &mut [u8]) -> usize {
    match stdout {
        Some(stdout) => stdout.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}
