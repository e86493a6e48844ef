//! A log of 1,000,000 lines under the wheel, the scroll bar and the search.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Mark, Row, each_frame, idle, load};
use crate::app::{self, App, Sandbox, until};

const LINES: u64 = 1_000_000;
/// Of these, this one has the word that is looked for.
const NEEDLE: u64 = 765_432;
const PRINT: &str = "seq -f 'step %.0f of the build went well' 1 1000000 | sed '765432s/$/ but for a needle/'";

/// In the page: what is asked of the log's rows.
const ROWS: &str = "
const scroller = document.querySelector('[data-testid=log] .log-scroll');
const rows = () => [...scroller.querySelectorAll('.log-row')];
const inSight = () => {
  const box = scroller.getBoundingClientRect();
  return rows().filter((row) => { const at = row.getBoundingClientRect(); return at.bottom > box.top + 1 && at.top < box.bottom - 1; });
};
const filled = () => { const seen = inSight(); return seen.length > 5 && !seen.some((row) => row.querySelector('.log-wait')); };
const firstLine = () => Number(inSight()[0]?.dataset.line ?? -1);
";

/// Brings the bar to a part of its way; how long until every row in sight shows its line, and which is the first.
fn jump(app: &App<'_>, part: f64) -> (f64, u64) {
    let found = app.script_async(
        &format!(
            "const done = arguments[0]; {ROWS}
            const began = performance.now();
            scroller.scrollTop = (scroller.scrollHeight - scroller.clientHeight) * {part};
            // The scroll event comes with the next frame, the rows after it.
            let n = 0;
            const look = () => (n += 1) > 2 && filled() ? done([performance.now() - began, firstLine()]) : requestAnimationFrame(look);
            requestAnimationFrame(look);"
        ),
        Duration::from_secs(60),
    );
    (found[0].as_f64().unwrap(), found[1].as_u64().unwrap_or_else(|| panic!("no line in sight: {found}")))
}

/// What `grep` takes for the same text, the least of three, in milliseconds.
fn grep(sandbox: &Sandbox) -> f64 {
    let file = sandbox.path().join("text");
    let text = Command::new("sh").args(["-c", PRINT]).output().unwrap().stdout;
    fs::write(&file, text).unwrap();
    let took = || {
        let began = Instant::now();
        let found = Command::new("grep").args(["-n", "needle"]).arg(&file).stdin(Stdio::null()).output().unwrap();
        assert!(found.stdout.starts_with(b"765432:"), "{found:?}");
        began.elapsed().as_secs_f64() * 1000.0
    };
    (0..3).map(|_| took()).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "a figure: cargo xtask bench window"]
fn a_log_of_a_million_lines_is_scrolled_and_searched() {
    let before = load();
    // It prints when the window is there: to come to the run is another figure.
    let command = format!("until [ -e go ]; do sleep 0.05; done; {PRINT}");
    let workflow = format!("signalbox: 1\nname: chatty\nsteps:\n  print: {{ kind: command, run: \"{command}\" }}\n");
    let sandbox = Sandbox::new("lines", &[("chatty", &workflow)]);
    let app = sandbox.drive();
    app.click("project-shop");
    let idle = idle(&app, 3);
    app.click("tab-workflows");
    app.wait("run-workflow-chatty");
    app.click("run-workflow-chatty");
    until("the run to be at work", Duration::from_secs(60), || {
        (app.attribute("run-header", "data-state")? == "running").then_some(())
    });
    app.click("node-print");
    app.wait("log");
    // What opening it costs is not to be among the frames.
    app::rest(Duration::from_secs(1));
    // While it prints: the window follows.
    super::Gaps::watch(&app);
    let began = Instant::now();
    fs::write(sandbox.path().join("shop/go"), "").unwrap();
    until("the run to end", Duration::from_secs(120), || {
        (app.attribute("run-header", "data-state")? == "success").then_some(())
    });
    let printed = began.elapsed().as_secs_f64();
    app.wait_text("log", "1000000 lines");
    app.wait_text("log", "step 1000000 of the build");
    let follows = super::Gaps::read(&app);
    app.screenshot("bench-log");

    // A second of the wheel at a time, slow and fast, up from the end, with what comes into sight fetched meanwhile.
    let wheel = "const wheel = (deltaY) => scroller.dispatchEvent(new WheelEvent('wheel', { deltaY, bubbles: true, cancelable: true }));";
    let wheeled = each_frame(
        &app,
        600,
        &format!("{ROWS} {wheel} window.seen = new Set();"),
        "wheel([-60, -240, -1200, -6000][Math.floor(n / 30) % 4]); window.seen.add(scroller.querySelector('.log-row')?.dataset.line);",
    );
    let seen = app.script("return window.seen.size", &json!([])).as_u64().unwrap();
    assert!(seen > 200, "the wheel moved nothing: {seen} places");
    // The whole length of the bar in ten seconds, to and fro.
    let dragged = each_frame(
        &app,
        600,
        &format!("{ROWS} const range = scroller.scrollHeight - scroller.clientHeight; window.blank = 0;"),
        "scroller.scrollTop = range * (n < 300 ? 1 - n / 300 : (n - 300) / 300); if (!filled()) window.blank += 1;",
    );
    let blank = app.script("return window.blank", &json!([]));
    let jumps: Vec<_> = [0.5, 0.0, 0.25, 1.0, 0.75].into_iter().map(|part| (part, jump(&app, part))).collect();
    for (part, (_, line)) in &jumps {
        #[expect(clippy::cast_precision_loss)]
        let at = *line as f64 / LINES as f64;
        assert!((at - part).abs() < 0.01, "at {part} of the bar the first line is {line}");
    }
    let jumped = jumps.iter().map(|(_, (ms, _))| *ms).fold(0.0, f64::max);

    // Ahead of where it is, so that the found line has to be gone to and fetched.
    jump(&app, 0.1);
    app.fill("log-search", "needle");
    let found = app.script_async(
        &format!(
            "const done = arguments[0]; {ROWS}
            const began = performance.now();
            document.querySelector('[data-testid=log-search]').dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true }}));
            const look = () => {{
              const row = inSight().find((row) => row.querySelector('mark'));
              if (row) done([performance.now() - began, row.querySelector('.log-text').textContent]); else requestAnimationFrame(look);
            }};
            look();"
        ),
        Duration::from_secs(60),
    );
    assert_eq!(found[1], Value::from(format!("step {NEEDLE} of the build went well but for a needle")));
    let found = found[0].as_f64().unwrap();
    app.wait_text("log-matches", "1 of 1");
    app.screenshot("bench-log-found");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");
    let floor = grep(&sandbox);

    eprintln!("A log of 1,000,000 lines, printed by a step in {printed:.1} s; load before {before}, after {}", load());
    follows.print("log followed while it is printed", &idle, Mark::AtMost(50.0));
    wheeled.print("log scrolled with the wheel", &idle, Mark::AtMost(50.0));
    dragged.print("log scrolled with the bar", &idle, Mark::AtMost(50.0));
    eprintln!("    {blank} of 600 frames with lines that were not there yet");
    let row = |what, ours, floor, bare, mark| Row { what, ours, floor, bare, unit: "ms", mark }.print();
    row("jump to anywhere in it, until its lines are shown", jumped, "a frame", idle.at(0.5), Mark::AtMost(200.0));
    row("search of one word, until its line is shown", found, "grep -n of the same text", floor, Mark::AtMost(1000.0));
}
