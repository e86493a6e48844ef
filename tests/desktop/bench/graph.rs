//! A graph of 1,000 steps under the pointer.

use std::{fmt::Write, time::Duration};

use serde_json::json;

use super::{Mark, Row, each_frame, idle, load};
use crate::app::{App, Sandbox, until};

const COLUMNS: usize = 100;
const ROWS: usize = 10;

/// A lattice: each step needs the one before it in its row, and that one's neighbour.
fn lattice() -> String {
    let mut text = String::from("signalbox: 1\nname: lattice\nsteps:\n");
    for column in 0..COLUMNS {
        for row in 0..ROWS {
            let needs = match column {
                0 => String::new(),
                _ => format!("needs: [s{}_{row}, s{}_{}], ", column - 1, column - 1, (row + 1) % ROWS),
            };
            writeln!(text, "  s{column}_{row}: {{ kind: command, {needs}run: \"sleep 0.2\" }}").unwrap();
        }
    }
    text
}

/// Events as a mouse makes them, on the drawing; a page takes them like a person's, but for `isTrusted`.
const POINTER: &str = "
const pane = document.querySelector('.react-flow__pane'), view = document.querySelector('.react-flow__viewport');
const box = pane.getBoundingClientRect();
const x = box.left + box.width / 2, y = box.top + box.height / 2;
const mouse = (target, type, dx, dy) => target.dispatchEvent(new MouseEvent(type,
  { bubbles: true, cancelable: true, view: window, button: 0, buttons: 1, clientX: x + dx, clientY: y + dy }));
const wheel = (more) => pane.dispatchEvent(new WheelEvent('wheel',
  { bubbles: true, cancelable: true, view: window, clientX: x, clientY: y, ...more }));
const places = new Set(); const note = () => places.add(view.style.transform); window.places = places;
";

/// That the drawing followed: it was in many places.
fn moved(app: &App<'_>, what: &str) {
    let places = app.script("return window.places.size", &json!([])).as_u64().unwrap();
    assert!(places > 40, "{what}: the drawing was in {places} places only");
}

/// That all steps in sight are drawn: the picture they are from afar has the colour of those that succeeded.
fn painted(app: &App<'_>) {
    let found = app.script(
        "const canvas = document.querySelector('[data-testid=graph-far]');
        if (!canvas || document.querySelector('.react-flow__node')) return -1;
        const good = getComputedStyle(canvas).getPropertyValue('--good').trim();
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let at = 0; at < data.length; at += 4) {
          const colour = [data[at], data[at + 1], data[at + 2]].map((part) => part.toString(16).padStart(2, '0')).join('');
          if ('#' + colour === good && data[at + 3] === 255) found += 1;
        }
        return found;",
        &json!([]),
    );
    // A step is 10 pixels wide and nearly 3 high at the least, one row of it without an edge.
    let least = i64::try_from(COLUMNS * ROWS).unwrap() * 4;
    let found = found.as_i64().unwrap();
    assert!(found > least, "{found} pixels have the colour of steps that succeeded");
}

#[test]
#[ignore = "a figure: cargo xtask bench window"]
fn a_graph_of_a_thousand_steps_is_panned_and_zoomed() {
    let before = load();
    let sandbox = Sandbox::new("lattice", &[("lattice", &lattice())]).env("SIGNALBOX_ENGINE_SLOTS", "10");
    let app = sandbox.drive();
    app.click("project-shop");
    let idle = idle(&app, 3);
    app.click("tab-workflows");
    app.wait("run-workflow-lattice");
    // From the press to a drawing of all steps that are in sight.
    let drawn = app.script_async(
        "const done = arguments[0], began = performance.now();
        document.querySelector('[data-testid=run-workflow-lattice]').click();
        const look = () => document.querySelector('.react-flow__node .signal')
          ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look);
        look();",
        Duration::from_secs(60),
    );
    let drawn = drawn.as_f64().unwrap();

    // Far out and close by, with the whole drawing passing: every part of it is made and taken away again.
    let drag = |frames| {
        each_frame(
            &app,
            frames,
            POINTER,
            "
            // A stroke of the hand is 30 frames; then the next.
            const at = n % 30;
            if (at === 0) mouse(pane, 'mousedown', 0, 0);
            else if (at === 29) mouse(window, 'mouseup', -at * 12, 0);
            else mouse(window, 'mousemove', -at * 12, Math.sin(n / 20) * 20);
            note();",
        )
    };
    let state = app.attribute("run-header", "data-state");
    let at_work = drag(300);
    moved(&app, "dragging at work");
    until("the run to end", Duration::from_secs(300), || {
        (app.attribute("run-header", "data-state")? == "success").then_some(())
    });
    let dragged = drag(600);
    moved(&app, "dragging");
    // To the beginning and across all hundred columns: 26,000 pixels in ten seconds.
    each_frame(&app, 60, POINTER, "wheel({ deltaX: -500 })");
    let panned = each_frame(&app, 600, POINTER, "wheel({ deltaX: 45, deltaY: Math.sin(n / 15) * 6 }); note();");
    moved(&app, "panning");
    let zoomed = each_frame(&app, 600, POINTER, "wheel({ deltaY: n % 120 < 60 ? 12 : -12, ctrlKey: true }); note();");
    moved(&app, "zooming");
    app.screenshot("bench-graph");
    let far = {
        app.script("document.querySelector('[aria-label=\"Show the whole diagram\"]').click()", &json!([]));
        each_frame(&app, 30, "", "");
        each_frame(
            &app,
            300,
            POINTER,
            "wheel({ deltaX: Math.sin(n / 20) * 30, deltaY: Math.cos(n / 20) * 10 }); note();",
        )
    };
    moved(&app, "panning with all in sight");
    painted(&app);
    app.screenshot("bench-graph-whole");
    assert_eq!(app.errors(), Vec::<String>::new(), "the page reported errors");

    eprintln!("A graph of {} steps; load before {before}, after {}", COLUMNS * ROWS, load());
    Row {
        what: "1,000 steps, from the press to their drawing",
        ours: drawn,
        floor: "-",
        bare: drawn,
        unit: "ms",
        mark: Mark::None,
    }
    .print();
    at_work.print(
        &format!("dragged, at first while its run is {}", state.unwrap_or_default()),
        &idle,
        Mark::AtMost(50.0),
    );
    dragged.print("dragged", &idle, Mark::AtMost(50.0));
    panned.print("panned with the wheel, all columns", &idle, Mark::AtMost(50.0));
    zoomed.print("zoomed", &idle, Mark::AtMost(50.0));
    far.print("panned, all 1,000 in sight", &idle, Mark::AtMost(50.0));
}
