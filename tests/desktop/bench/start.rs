//! From nothing to the first useful paint, and memory at rest, beside a window with nothing in it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{Mark, Row, load};
use crate::{
    app::{self, APP, App, Sandbox},
    processes,
};

const ROUNDS: usize = 5;
/// From the first paint until it rests: what is loaded in idle moments is loaded.
const REST: Duration = Duration::from_secs(8);

/// Built beside the app by `cargo xtask bench window`.
fn empty_window() -> PathBuf {
    let path = Path::new(APP).parent().unwrap().join("examples/empty-window");
    assert!(path.is_file(), "{} is not built: cargo xtask bench window", path.display());
    path
}

/// What one start gave: milliseconds to the mark that its page makes when it is painted, to the first paint of anything, and
/// memory at rest in MiB.
#[derive(Debug, Clone, Copy)]
struct Lap {
    ready: f64,
    paint: f64,
    memory: f64,
}

impl Lap {
    fn run(app: &App<'_>) -> Self {
        let pid = app.pid();
        // The page's own clock: that it is asked late changes nothing.
        let found = app.script(
            "const at = (name) => performance.timeOrigin + performance.getEntriesByName(name)[0]?.startTime;
            return [at('ready'), at('first-contentful-paint')]",
            &json!([]),
        );
        let began = processes::began(pid);
        app::rest(REST);
        #[expect(clippy::cast_precision_loss)]
        let memory = (0..3).map(|_| processes::memory(pid)).min().unwrap() as f64;
        Self { ready: found[0].as_f64().unwrap() - began, paint: found[1].as_f64().unwrap_or(f64::NAN) - began, memory }
    }
}

fn least(laps: &[Lap], of: impl Fn(&Lap) -> f64) -> f64 {
    laps.iter().map(of).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "a figure: cargo xtask bench window"]
fn the_app_starts_and_rests_beside_an_empty_window() {
    let before = load();
    let empty_window = empty_window();
    let bare = Sandbox::new("empty", &[]);
    let ours = Sandbox::new("start", &[("hello", crate::HELLO)]);
    // Once each, unmeasured: folders are made, the project is known, files are in memory.
    drop(bare.launch(&empty_window, &[]));
    drop(ours.drive());
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                theirs.push(Lap::run(&bare.launch(&empty_window, &[])));
            } else {
                let app = ours.launch(Path::new(APP), &[]);
                app.wait("project-shop");
                mine.push(Lap::run(&app));
                if round == 0 {
                    app.screenshot("bench-start");
                }
            }
        }
    }
    eprintln!("Start and rest; warm, least of {ROUNDS}, in turn; load before {before}, after {}", load());
    eprintln!("    ours {mine:.0?}\n    empty {theirs:.0?}");
    let row = |what, unit, mark, of: fn(&Lap) -> f64| {
        Row { what, ours: least(&mine, of), floor: "empty Tauri window", bare: least(&theirs, of), unit, mark }.print();
    };
    row("start to first useful paint", "ms", Mark::Times(1.5), |lap| lap.ready);
    row("start to first paint of anything", "ms", Mark::None, |lap| lap.paint);
    row("memory at rest (Pss of all its processes)", "MiB", Mark::Above(60.0), |lap| lap.memory);
}
