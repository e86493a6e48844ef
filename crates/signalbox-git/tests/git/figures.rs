//! What it costs. `cargo nextest run -p signalbox-git --run-ignored only --no-capture figures`.

use std::time::Instant;

use signalbox_git::DiffOptions;

use crate::kit::{Kit, author, git, write};

#[test]
#[ignore = "makes 50,000 files and prints figures"]
fn figures_of_a_repository_with_50000_files() {
    let kit = Kit::new();
    for n in 0..50_000 {
        let text = format!("line {n}\n").repeat(20);
        write(&kit.project(), &format!("d{}/e{}/f{n}.txt", n % 50, n / 50 % 20), text.as_bytes());
    }
    git(&kit.project(), &["add", "-A"]);
    git(&kit.project(), &["commit", "-qm", "many"]);
    let timed = |what: &str, times: u32, act: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..times).for_each(|_| act());
        println!("{what}: {:.0} ms", start.elapsed().as_secs_f64() * 1000.0 / f64::from(times));
    };
    let mut tree = None;
    timed("add a worktree", 1, &mut || tree = Some(kit.worktree("s")));
    timed("find it again", 5, &mut || tree = Some(kit.worktree("s")));
    let tree = tree.expect("made");
    let mut watch = kit.repository.watch(&tree.checkout, &tree.base).expect("watches");
    timed("first look", 1, &mut || assert!(watch.poll().is_ok()));
    timed("look, nothing changed", 20, &mut || assert!(watch.poll().is_ok()));
    let mut n = 0;
    timed("look, a file changed", 10, &mut || {
        n += 1;
        write(&tree.checkout.folder, "d3/e3/f1153.txt", n.to_string().as_bytes());
        assert!(watch.poll().expect("looks"));
    });
    timed("look and difference, a file changed", 10, &mut || {
        n += 1;
        write(&tree.checkout.folder, "d3/e3/f1153.txt", n.to_string().as_bytes());
        assert_eq!(watch.diff(&DiffOptions::default()).expect("a difference").files.len(), 1);
    });
    timed("state of the project's own folder", 10, &mut || {
        kit.repository.checkout_state(kit.repository.project()).expect("works");
    });
    timed("checkpoint", 1, &mut || drop(kit.repository.commit_all(&tree.checkout, "x", &author()).expect("works")));
    for n in 0..2_000 {
        write(&tree.checkout.folder, &format!("d{}/e{}/f{n}.txt", n % 50, n / 50 % 20), b"changed\n");
    }
    timed("look and difference, 2,000 files changed", 1, &mut || {
        assert!(watch.diff(&DiffOptions::default()).expect("a difference").files.len() >= 2_000);
    });
}
