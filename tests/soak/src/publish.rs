//! Those who append: each event with a key of its own, again and again until it is acknowledged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use signalbox_client::{Client, Options, Update, connect};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    random::Random,
    wire::{self, Failed},
    world::{Phase, World, count},
};

/// The type of the soak's own events.
pub(crate) const KIND: &str = "x_soak";

/// What the host said it has: `(publisher, number)` to `seq`.
pub(crate) type Acknowledged = Arc<Mutex<HashMap<(u64, u64), u64>>>;

struct Publisher {
    world: Arc<World>,
    number: u64,
    random: Random,
    acknowledged: Acknowledged,
    /// Time between two events of this publisher.
    pace: Duration,
    n: u64,
}

/// Starts `publishers` of them, that together append about `per_second` events.
pub(crate) fn start(
    world: &Arc<World>,
    publishers: u64,
    per_second: u64,
    acknowledged: &Acknowledged,
    tasks: &mut JoinSet<()>,
) {
    let pace = Duration::from_millis(1000 * publishers / per_second.max(1));
    for number in 0..publishers {
        let random = world.random("publisher", number);
        let publisher =
            Publisher { world: Arc::clone(world), number, random, acknowledged: Arc::clone(acknowledged), pace, n: 0 };
        tasks.spawn(publisher.run());
    }
}

/// Reads a client's news, so that its connection does not wait for us.
async fn ignore(mut updates: mpsc::Receiver<Update>) {
    while updates.recv().await.is_some() {}
}

impl Publisher {
    async fn run(mut self) {
        loop {
            match self.world.phase(|phase| matches!(phase, Phase::Storm | Phase::Over)).await {
                Phase::Storm => {}
                _ => return,
            }
            // Every other one through the client crate, which repeats a call with a key by itself.
            if self.number.is_multiple_of(2) {
                self.storm(None).await;
            } else {
                let options = Options::new(self.world.proxy_url(), &self.world.known().token);
                let (client, updates) = connect(options);
                let listener = tokio::spawn(ignore(updates));
                self.storm(Some(client)).await;
                listener.abort();
            }
        }
    }

    async fn storm(&mut self, client: Option<Client>) {
        while self.world.is(Phase::Storm) {
            self.n += 1;
            let params = self.event();
            let key = format!("soak-{}-{}-{}", self.world.seed, self.number, self.n);
            let Some(seq) = self.publish(client.as_ref(), &params, &key).await else { return };
            self.acknowledged.lock().unwrap_or_else(|e| e.into_inner()).insert((self.number, self.n), seq);
            count(&self.world.counters.acknowledged);
            if self.random.percent(2) {
                // A caller that did not hear the answer: the same key is the same event.
                count(&self.world.counters.repeated);
                match self.publish(client.as_ref(), &params, &key).await {
                    Some(again) if again != seq => {
                        self.world.violation(format!("doubled: the key {key} was event {seq} and then {again}"));
                    }
                    _ => {}
                }
            }
            let wait = self.pace.mul_f64(0.5 + f64::from(u32::try_from(self.random.below(1000)).unwrap_or(0)) / 1000.0);
            if !self.world.burst.load(Ordering::Relaxed) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    fn event(&mut self) -> Value {
        let project = &self.world.known().projects[usize::from(self.random.percent(20))];
        let bytes = match self.random.below(100) {
            0 => 30_000,
            1..10 => 2_000,
            _ => 40,
        };
        let filler = "x".repeat(usize::try_from(self.random.below(bytes)).unwrap_or(0));
        json!({ "project": project, "type": KIND, "data": { "p": self.number, "n": self.n, "filler": filler } })
    }

    /// Publishes until it is acknowledged. None: the host said that it will not, which is a violation.
    async fn publish(&mut self, client: Option<&Client>, params: &Value, key: &str) -> Option<u64> {
        loop {
            let answer = match client {
                Some(client) => {
                    let call = client.call("event.publish", Some(params.clone()), Some(key.to_owned()));
                    match tokio::time::timeout(Duration::from_secs(180), call).await {
                        Err(_) => Err(Failed::Unanswered("the client crate has no answer for three minutes".into())),
                        Ok(Err(error)) => Err(Failed::Refused(0, json!({ "error": error }))),
                        Ok(Ok(reply)) => {
                            serde_json::from_str(reply.get()).map_err(|error| Failed::Unanswered(error.to_string()))
                        }
                    }
                }
                None => {
                    let address = self.world.host().await;
                    let answer = wire::call(&address, "event.publish", params, Some(key)).await;
                    // A refused token is that of a host that has just been killed.
                    if let Err(Failed::Refused(401, _)) = &answer
                        && !self.world.lives(&address)
                    {
                        continue;
                    }
                    answer
                }
            };
            match answer {
                Ok(reply) => match reply["seq"].as_u64() {
                    Some(seq) => return Some(seq),
                    None => {
                        self.world.violation(format!("an acknowledgement without a place: {reply}"));
                        return None;
                    }
                },
                Err(Failed::Unanswered(_)) => count(&self.world.counters.unanswered),
                // Before the project is open again.
                Err(Failed::Refused(_, error)) if error["error"]["code"] == "unavailable" => {
                    count(&self.world.counters.unanswered);
                }
                Err(failed) => {
                    self.world.violation(format!("publisher {} was refused: {failed}", self.number));
                    return None;
                }
            }
            let wait = self.random.millis(50, 500);
            tokio::time::sleep(wait).await;
        }
    }
}
