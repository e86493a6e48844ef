//! `cargo xtask fuzz`: a target, or all of them one after the other, for as long as is wanted.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use signalbox_fuzz::{TARGETS, Target, named, runner};

const USAGE: &str = "signalbox-fuzz [TARGET | FILE...] [--seconds N] [--seed S]";

fn main() -> ExitCode {
    let (mut chosen, mut files, mut seconds, mut seed) = (Vec::new(), Vec::new(), 60, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        match argument.as_str() {
            "--seconds" | "--seed" => {
                let Some(value) = number() else { return usage(&format!("{argument} needs a number")) };
                if argument == "--seed" { seed = Some(value) } else { seconds = value }
            }
            name => match named(name) {
                Some(target) => chosen.push(target),
                None if std::path::Path::new(name).is_file() => files.push(name.to_owned()),
                None => return usage(&format!("there is no target {name}")),
            },
        }
    }
    if !files.is_empty() {
        return again(&chosen, &files);
    }
    if chosen.is_empty() {
        chosen = TARGETS.iter().collect();
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok();
    let seed = seed.unwrap_or(u64::from_le_bytes(bytes));
    let mut failed = 0;
    for target in chosen {
        let until = Instant::now() + Duration::from_secs(seconds);
        match runner::run(target, seed, move |_| Instant::now() < until) {
            Ok(done) => println!("{:<14} {done:>9} inputs, seed {seed}", target.name),
            Err(failure) => {
                failed += 1;
                println!("{:<14} FAILED, seed {seed}: {}", target.name, failure.message);
                println!("{:<14} the input is in {}", "", failure.file.display());
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a target on files, to look at a failure.
fn again(chosen: &[&Target], files: &[String]) -> ExitCode {
    let [target] = chosen else { return usage("name one target for these files") };
    for file in files {
        let Ok(data) = std::fs::read(file) else { return usage(&format!("{file} cannot be read")) };
        (target.run)(&data);
        println!("{file}: nothing found");
    }
    ExitCode::SUCCESS
}

fn usage(why: &str) -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("{why}\nUsage: {USAGE}\nTargets: {}", names.join(", "));
    ExitCode::FAILURE
}
