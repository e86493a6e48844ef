//! Short runs: the whole corpus, and some thousands of inputs made from it by a seed that is always the same.

use signalbox_fuzz::{TARGETS, named, runner};

/// Any number does: it is fixed so that a failure is one of the change that is tested, and not of luck.
const SEED: u64 = 20_260_101;

fn short(name: &str) {
    let target = named(name).expect("a target");
    if let Err(failure) = runner::run(target, SEED, move |number| number < target.inputs) {
        panic!("{name}, seed {SEED}: {}\nthe input is in {}", failure.message, failure.file.display());
    }
}

macro_rules! short_runs {
    ($($name:ident),*) => {
        $( #[test] fn $name() { short(stringify!($name)); } )*

        #[test]
        fn no_target_is_forgotten() {
            let run = [$(stringify!($name)),*];
            assert!(TARGETS.iter().map(|target| target.name).eq(run));
            for target in TARGETS {
                assert!(runner::corpus(target).len() >= 5, "{} has hardly a corpus", target.name);
            }
        }
    };
}

short_runs!(client_frame, host_frame, workflow, expression, name, output, log, call, http, websocket, agent);

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let target = named("call").expect("a target");
    let corpus: Vec<Vec<u8>> = runner::corpus(target).into_iter().map(|(_, data)| data).collect();
    let make = |seed| {
        let mut random = signalbox_fuzz::random::Random::of(seed, 7);
        signalbox_fuzz::mutate::mutated(target, &corpus, &mut random)
    };
    assert_eq!(make(1), make(1));
    assert!((2..20).any(|seed| make(seed) != make(1)));
}
