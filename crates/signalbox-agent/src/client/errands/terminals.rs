//! Commands that run for the agent, as the protocol's terminals.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_client_protocol::v1::schema::{
    CreateTerminalRequest, CreateTerminalResponse, KillTerminalRequest, KillTerminalResponse, ReleaseTerminalRequest,
    ReleaseTerminalResponse, TerminalExitStatus, TerminalOutputRequest, TerminalOutputResponse,
    WaitForTerminalExitRequest, WaitForTerminalExitResponse,
};
use signalbox_process::{Exit, Handle, Report, Spec, spawn};
use tokio::sync::{mpsc, watch};

use super::{News, No, Shared};
use crate::limits;

/// Terminals that may be there at once; an agent that wants more has to release some.
const TERMINALS: usize = 32;
/// Bytes of output kept for the agent, if it does not ask for fewer: the end.
const OUTPUT: usize = 1024 * 1024;
/// Pieces of output that may wait to be taken.
const REPORTS: usize = 16;

#[derive(Default)]
pub(super) struct Terminals(Mutex<Table>);

#[derive(Default)]
struct Table {
    made: u64,
    open: BTreeMap<String, Terminal>,
}

struct Terminal {
    handle: Handle,
    text: String,
    truncated: bool,
    limit: usize,
    ended: watch::Sender<Option<Exit>>,
}

impl Terminal {
    fn print(&mut self, more: &str) {
        self.text.push_str(more);
        // Cut only now and then, so that a long output is not moved with each piece.
        if self.text.len() > 2 * self.limit {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if self.text.len() > self.limit {
            self.text = limits::tail(&self.text, self.limit).to_owned();
            self.truncated = true;
        }
    }
}

fn status(exit: Exit) -> TerminalExitStatus {
    let code = exit.code.and_then(|code| u32::try_from(code).ok());
    TerminalExitStatus::new().exit_code(code).signal(exit.signal.map(|signal| signal.to_string()))
}

impl Terminals {
    fn table(&self) -> MutexGuard<'_, Table> {
        // No code that holds it can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Terminal) -> T) -> Result<T, No> {
        self.table().open.get_mut(id).map(act).ok_or_else(No::not_found)
    }

    pub(super) fn output(&self, wanted: &TerminalOutputRequest) -> Result<TerminalOutputResponse, No> {
        self.with(&wanted.terminal_id.0, |terminal| {
            terminal.trim();
            let exit = *terminal.ended.borrow();
            TerminalOutputResponse::new(terminal.text.clone(), terminal.truncated).exit_status(exit.map(status))
        })
    }

    pub(super) async fn wait(&self, wanted: &WaitForTerminalExitRequest) -> Result<WaitForTerminalExitResponse, No> {
        let mut ended = self.with(&wanted.terminal_id.0, |terminal| terminal.ended.subscribe())?;
        let exit = ended.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        let exit = exit.ok_or_else(|| No::failed("the terminal was released before its command ended"))?;
        Ok(WaitForTerminalExitResponse::new(status(exit)))
    }

    pub(super) fn kill(&self, wanted: &KillTerminalRequest) -> Result<KillTerminalResponse, No> {
        self.with(&wanted.terminal_id.0, |terminal| {
            // Afterwards its number may be another's.
            if terminal.ended.borrow().is_none() {
                terminal.handle.kill();
            }
        })?;
        Ok(KillTerminalResponse::new())
    }

    pub(super) fn release(&self, wanted: &ReleaseTerminalRequest) -> Result<ReleaseTerminalResponse, No> {
        let terminal = self.table().open.remove(&*wanted.terminal_id.0).ok_or_else(No::not_found)?;
        if terminal.ended.borrow().is_none() {
            terminal.handle.kill();
        }
        Ok(ReleaseTerminalResponse::new())
    }
}

impl Shared {
    pub(super) fn create(self: &Arc<Self>, wanted: CreateTerminalRequest) -> Result<CreateTerminalResponse, No> {
        let dir = wanted.cwd.unwrap_or_else(|| self.folder.clone());
        if !dir.is_absolute() {
            return Err(No::params(format!("the folder {} is not absolute", dir.display())));
        }
        let argv: Vec<OsString> = if wanted.args.is_empty() && wanted.command.contains(char::is_whitespace) {
            // Some agents put a whole line of the shell into `command`.
            vec!["/bin/sh".into(), "-c".into(), wanted.command.into()]
        } else {
            std::iter::once(wanted.command).chain(wanted.args).map(OsString::from).collect()
        };
        let mut env = self.env.clone();
        env.extend(wanted.env.into_iter().map(|variable| (variable.name, variable.value)));
        let wanted_limit = wanted.output_byte_limit.and_then(|limit| usize::try_from(limit).ok());
        let spec = Spec {
            argv,
            dir,
            env,
            marker: self.marker.clone(),
            masker: self.masker.clone(),
            limit: None,
            log_so_far: (0, 0),
        };
        let (sender, reports) = mpsc::channel(REPORTS);
        let mut table = self.terminals.table();
        if table.open.len() >= TERMINALS {
            return Err(No::failed(format!("there are {TERMINALS} terminals: release one first")));
        }
        let handle = spawn(spec, sender).map_err(|error| No::failed(error.to_string()))?;
        table.made += 1;
        let id = format!("t{}", table.made);
        let terminal = Terminal {
            handle,
            text: String::new(),
            truncated: false,
            limit: wanted_limit.map_or(OUTPUT, |limit| limit.min(OUTPUT)),
            ended: watch::Sender::new(None),
        };
        table.open.insert(id.clone(), terminal);
        drop(table);
        tokio::spawn(Arc::clone(self).follow(id.clone(), reports));
        Ok(CreateTerminalResponse::new(id))
    }

    async fn follow(self: Arc<Self>, id: String, mut reports: mpsc::Receiver<Report>) {
        while let Some(report) = reports.recv().await {
            // A terminal that was released is read on until its command has ended.
            let news = match report {
                Report::Output(piece) => {
                    self.terminals.with(&id, |terminal| terminal.print(&piece.text)).ok();
                    News::Output { terminal: id.clone(), text: piece.text }
                }
                Report::Progress(_) => continue,
                Report::Exited(exit) => {
                    self.terminals.with(&id, |terminal| terminal.ended.send_replace(Some(exit))).ok();
                    News::Ended { terminal: id.clone(), code: exit.code }
                }
            };
            // Nobody listens any more when the session has ended.
            self.news.send(news).await.ok();
        }
    }
}
