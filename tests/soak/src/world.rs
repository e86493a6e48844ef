//! What all parts of a soak share: where the host is, what phase it is, what was counted, what went wrong.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};

use crate::{random::Random, readers::Report};

/// Where a life of the host listens, and with which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    pub(crate) token: String,
    /// Which life, from 1.
    pub(crate) life: u64,
}

/// What everybody does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Publish, read, and disturb.
    Storm,
    /// Nothing is disturbed or published: whoever is connected reads to the end.
    Calm,
    /// Nobody is connected.
    Away,
    /// Everybody hands in what they saw.
    Over,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// What was counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $( pub(crate) $name: AtomicU64, )* }
    };
}
counters!(
    host_kills,
    naps,
    step_kills,
    client_kills,
    connects,
    resumes,
    resets,
    stalls,
    half_open,
    cuts,
    rewinds,
    acknowledged,
    repeated,
    unanswered,
    events,
    runs,
    peak_memory
);

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What is there once the host ran for the first time.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) epoch: String,
    /// A token that outlives restarts.
    pub(crate) token: String,
    /// Ids of the two projects.
    pub(crate) projects: [String; 2],
    /// What readers follow, by profile.
    pub(crate) profiles: Vec<Vec<String>>,
}

/// How far a reader is, for those who wait for it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) profile: usize,
    /// Everything up to here was seen; 0: nothing yet.
    pub(crate) end: AtomicU64,
}

/// What differs between the plays.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) seed: u64,
    /// The folder of everything that this soak makes.
    pub(crate) folder: PathBuf,
    pub(crate) binary: PathBuf,
    /// Where the host listens.
    pub(crate) listen: String,
    /// Settings `limits` of the host.
    pub(crate) limits: &'static [(&'static str, &'static str)],
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) started: Instant,
    /// The folder of everything that this soak makes.
    pub(crate) folder: PathBuf,
    pub(crate) binary: PathBuf,
    pub(crate) listen: String,
    pub(crate) limits: &'static [(&'static str, &'static str)],
    pub(crate) counters: Counters,
    pub(crate) known: OnceLock<Known>,
    pub(crate) proxy: OnceLock<std::net::SocketAddr>,
    pub(crate) address: watch::Sender<Option<Arc<Address>>>,
    /// Which life of the host it is: counted when the one before is over.
    pub(crate) life: AtomicU64,
    /// While set nobody disturbs on purpose.
    pub(crate) gentle: watch::Sender<bool>,
    pub(crate) phase: watch::Sender<Phase>,
    /// While set publishers do not wait between events: so a kill comes while much is on its way.
    pub(crate) burst: AtomicBool,
    pub(crate) places: Mutex<Vec<Arc<Place>>>,
    violations: Mutex<Vec<String>>,
}

/// Violations told in full; more say nothing new.
const TOLD: usize = 20;

impl World {
    /// Waits at most `patience` until everybody has ended, and gives what readers saw.
    pub(crate) async fn collect(
        &self,
        readers: &mut JoinSet<Report>,
        tasks: &mut JoinSet<()>,
        patience: Duration,
    ) -> Vec<Report> {
        let mut reports = Vec::new();
        let everybody = async {
            while let Some(report) = readers.join_next().await {
                match report {
                    Ok(report) => reports.push(report),
                    Err(error) => self.violation(format!("a reader ended: {error}")),
                }
            }
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    self.violation(format!("a publisher or a chain of runs ended: {error}"));
                }
            }
        };
        if tokio::time::timeout(patience, everybody).await.is_err() {
            self.violation("not everybody came back to say what they saw".into());
        }
        reports
    }

    pub(crate) fn new(stage: Stage) -> Arc<Self> {
        let Stage { seed, folder, binary, listen, limits } = stage;
        Arc::new(Self {
            seed,
            started: Instant::now(),
            folder,
            binary,
            listen,
            limits,
            counters: Counters::default(),
            known: OnceLock::new(),
            proxy: OnceLock::new(),
            address: watch::channel(None).0,
            life: AtomicU64::new(0),
            gentle: watch::channel(false).0,
            phase: watch::channel(Phase::Away).0,
            burst: AtomicBool::new(false),
            places: Mutex::default(),
            violations: Mutex::default(),
        })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn project(&self, number: usize) -> PathBuf {
        self.folder.join(["busy", "quiet"][number.min(1)])
    }

    pub(crate) fn random(&self, part: &str, number: u64) -> Random {
        Random::of(self.seed, part, number)
    }

    #[expect(clippy::expect_used, reason = "everybody who asks was started after it was set")]
    pub(crate) fn known(&self) -> &Known {
        self.known.get().expect("the host ran once")
    }

    #[expect(clippy::expect_used, reason = "everybody who asks was started after it was set")]
    pub(crate) fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy.get().expect("the proxy listens"))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.violations.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Something that must not be.
    pub(crate) fn violation(&self, what: String) {
        let mut all = self.lock();
        if all.len() < TOLD {
            eprintln!("\nVIOLATION at {} s: {what}", self.started.elapsed().as_secs());
        }
        all.push(what);
    }

    pub(crate) fn violations(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.lock().iter().take(TOLD).cloned().collect()
    }

    pub(crate) fn is(&self, phase: Phase) -> bool {
        *self.phase.borrow() == phase
    }

    /// Whether nobody is to be connected.
    pub(crate) fn is_away(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Away | Phase::Over)
    }

    /// Waits until nobody is to be connected.
    pub(crate) async fn sent_away(&self) {
        self.phase(|phase| matches!(phase, Phase::Away | Phase::Over)).await;
    }

    /// Waits for a phase that `wanted` accepts.
    pub(crate) async fn phase(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase.subscribe();
        phase.wait_for(wanted).await.map_or(Phase::Over, |phase| *phase)
    }

    /// Where the host is, as soon as it is somewhere.
    pub(crate) async fn host(&self) -> Arc<Address> {
        let mut address = self.address.subscribe();
        loop {
            if let Ok(found) = address.wait_for(Option::is_some).await
                && let Some(found) = found.clone()
            {
                return found;
            }
        }
    }

    /// Whether this is still where the host is.
    pub(crate) fn lives(&self, address: &Address) -> bool {
        self.address.borrow().as_deref() == Some(address)
    }

    /// Waits until `found` gives something; none after `patience`.
    pub(crate) async fn until<T>(patience: Duration, mut found: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = found().await {
                return Some(found);
            }
            if start.elapsed() > patience {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
