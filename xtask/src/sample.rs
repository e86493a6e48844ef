//! The sample project of `cargo xtask run`: a shop whose workflows run, ask, fan out and fail.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

const WORKFLOWS: [(&str, &str); 4] = [
    (
        "release",
        r#"signalbox: 1
name: release
description: Builds for every platform, asks a person, then ships.
inputs:
  version: { type: string, default: "1.4.0", description: What the release is called }
steps:
  lint:
    kind: command
    run: for file in cart checkout orders search; do echo "checking $file.ts"; sleep 0.4; done
  test:
    kind: command
    run: for n in $(seq 1 60); do printf 'test %02d \033[32mok\033[0m\n' "$n"; sleep 0.08; done
  build:
    kind: command
    needs: [lint, test]
    matrix: { axes: { platform: [linux, macos, windows] }, key: "${{ matrix.platform }}" }
    run: for part in core ui assets; do echo "building $part for ${{ matrix.platform }}"; sleep 0.7; done
  ship_it:
    kind: approval
    needs: [build]
    question: All platforms are built. Ship it?
    who: { roles: [operator, owner], self_approval: true }
    form: { note: { type: string, multiline: true } }
  ship:
    kind: command
    needs: [ship_it]
    run: 'for n in 25 50 75 100; do printf "uploading %s%%\r" "$n"; sleep 0.5; done; echo; echo "shipped ${{ inputs.version }}"'
"#,
    ),
    (
        "nightly",
        r#"signalbox: 1
name: nightly
description: The long checks of the night; one of them is broken.
steps:
  fetch:
    kind: command
    run: echo "fetching fixtures"; sleep 1; echo "312 files"
  load:
    kind: command
    needs: [fetch]
    run: for n in $(seq 1 40); do echo "request $n took $((n * 7 % 90 + 20)) ms"; sleep 0.1; done
  migrate:
    kind: command
    needs: [fetch]
    run: |
      echo "applying 0041_orders.sql"
      sleep 1.5
      printf '\033[31mERROR\033[0m column "total" of relation "orders" does not exist\n'
      exit 3
  report:
    kind: command
    needs: [load, migrate]
    run: echo "all is well"
  tell:
    kind: notify
    needs: [report]
    if: "${{ always() }}"
    to: [desktop]
    message: "Nightly checks: ${{ run.conclusion }}"
"#,
    ),
    (
        "watch",
        r#"signalbox: 1
name: watch
description: Follows the shop's orders for some minutes.
steps:
  orders:
    kind: command
    run: for n in $(seq 1 600); do echo "order $((4100 + n)) paid"; sleep 0.5; done
"#,
    ),
    (
        "hello",
        r#"signalbox: 1
name: hello
description: Two steps, a few seconds.
steps:
  greet: { kind: command, run: echo hello; sleep 1 }
  bye: { kind: command, needs: [greet], run: echo bye }
"#,
    ),
];

/// Those that are started for the person.
pub(crate) const STARTED: [&str; 3] = ["release", "nightly", "watch"];

/// The scratch folders: project, data and settings.
pub(crate) struct Sample {
    pub(crate) project: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
}

/// Makes the sample project below `folder`; what a person changed in it stays, unless `fresh`.
pub(crate) fn make(folder: &Path, fresh: bool) -> Result<Sample> {
    if fresh && folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("{} could not be removed; close the app that uses it", folder.display()))?;
    }
    let sample = Sample { project: folder.join("shop"), data: folder.join("data"), config: folder.join("config") };
    let workflows = sample.project.join(".signalbox/workflows");
    for folder in [&workflows, &sample.data, &sample.config] {
        fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    }
    for (name, text) in WORKFLOWS {
        let file = workflows.join(format!("{name}.yaml"));
        if !file.exists() {
            fs::write(&file, text).with_context(|| format!("{} could not be written", file.display()))?;
        }
    }
    Ok(sample)
}
