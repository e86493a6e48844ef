//! Who is listed, whatever comes and goes.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;
use signalbox_model::MemberId;
use signalbox_stream::{Connections, Listed, Refused, Registration, Transport};
use signalbox_wire::CloseCode;

const PER_MEMBER: u64 = 4;
const PER_HOST: u64 = 9;

#[derive(Debug, Clone)]
enum Do {
    Come { member: usize, instance: Option<usize> },
    Go { which: usize },
}

fn what() -> impl Strategy<Value = Do> {
    prop_oneof![
        3 => (0..3usize, proptest::option::of(0..3usize)).prop_map(|(member, instance)| Do::Come { member, instance }),
        2 => (0..20usize).prop_map(|which| Do::Go { which }),
    ]
}

fn member(n: usize) -> MemberId {
    MemberId::new(format!("m_{n:08}")).unwrap()
}

proptest! {
    /// The list is what a plain one says it is: limits count those that are in it, an older connection of an instance gives
    /// way, also if its task ends long after that, and another member's instance of the same name is another one.
    #[test]
    fn the_list_is_that_of_a_plain_one(steps in proptest::collection::vec(what(), 1..80)) {
        let connections = Arc::new(Connections::default());
        let mut held: Vec<Listed> = Vec::new();
        let mut expected: Vec<(u64, usize, Option<usize>)> = Vec::new();
        for step in steps {
            match step {
                Do::Come { member: of, instance } => {
                    expected.retain(|(_, other, one)| instance.is_none() || (*other, *one) != (of, instance));
                    let who = Registration {
                        transport: Transport::WebSocket,
                        member: member(of),
                        member_name: String::new(),
                        client: "test/1".into(),
                        instance: instance.map(|n| n.to_string()),
                        address: None,
                        now: 0,
                    };
                    let theirs = expected.iter().filter(|(_, other, _)| *other == of).count() as u64;
                    match connections.register(who, PER_MEMBER, PER_HOST) {
                        Ok(listed) => {
                            prop_assert!(theirs < PER_MEMBER && (expected.len() as u64) < PER_HOST);
                            expected.push((listed.id, of, instance));
                            held.push(listed);
                        }
                        Err(Refused::Host) => prop_assert_eq!(expected.len() as u64, PER_HOST),
                        Err(Refused::Member) => prop_assert_eq!(theirs, PER_MEMBER),
                    }
                }
                Do::Go { which } if !held.is_empty() => {
                    let gone = held.swap_remove(which % held.len());
                    expected.retain(|(id, ..)| *id != gone.id);
                }
                Do::Go { .. } => {}
            }
            let mut listed = Vec::new();
            connections.each(|connection| listed.push(connection.id));
            let plain: Vec<u64> = expected.iter().map(|(id, ..)| *id).collect();
            prop_assert_eq!(listed, plain);
            for n in 0..3 {
                let plain = expected.iter().filter(|(_, of, _)| *of == n).count() as u64;
                prop_assert_eq!(connections.of_member(&member(n)), plain);
            }
            for listed in &held {
                let here = expected.iter().any(|(id, ..)| *id == listed.id);
                prop_assert_eq!(connections.get(listed.id).is_some(), here);
                // Who had to give way is told so, and hears nothing more.
                let closing = pin!(listed.closed()).poll(&mut Context::from_waker(Waker::noop()));
                prop_assert_eq!(closing, if here { Poll::Pending } else { Poll::Ready(CloseCode::Kicked) });
                prop_assert_eq!(listed.is_sealed(), !here);
            }
        }
        held.clear();
        prop_assert!(connections.is_empty() && connections.presence().size().1 == 0);
        prop_assert_eq!(connections.of_member(&member(0)), 0);
    }
}
