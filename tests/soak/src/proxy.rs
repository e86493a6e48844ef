//! A port that stays while the host's changes: what clients need that come back by themselves.
//!
//! It forwards to where the host is now, and is the bad network besides: after a random time a connection is cut, or
//! frozen for a while - nothing is carried on and nothing is closed - and cut then.

use std::{sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use crate::{
    random::Random,
    wire,
    world::{Phase, World, count},
};

/// Listens, and forwards for as long as the soak lasts.
pub(crate) async fn start(world: &Arc<World>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    world.proxy.set(listener.local_addr()?).ok();
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            number += 1;
            let random = world.random("proxy", number);
            tokio::spawn(forward(Arc::clone(&world), stream, random));
        }
    });
    Ok(())
}

async fn forward(world: Arc<World>, mut near: TcpStream, mut random: Random) {
    let Some(address) = world.address.borrow().clone() else { return };
    let Ok(mut far) = wire::connect(&address.host, None).await else { return };
    near.set_nodelay(true).ok();
    let cut = async {
        loop {
            tokio::time::sleep(random.millis(5_000, 90_000)).await;
            if world.is(Phase::Storm) {
                return;
            }
        }
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        () = cut => {}
    }
    if random.percent(40) {
        count(&world.counters.half_open);
        let time = Duration::from_millis(random.below(25_000));
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = world.phase(|phase| *phase != Phase::Storm) => {}
        }
    }
    count(&world.counters.cuts);
}
