//! Secrets in a real keychain: a Secret Service on a session bus of its own.

use std::{fs, process::Stdio};

use crate::support::{Project, binary, command};

const WORKFLOW: &str = r#"
signalbox: 1
name: use
secrets: [TOKEN]
env: { WHO: workflow }
steps:
  a:
    kind: command
    env: { T: "${{ secrets.TOKEN }}", WHO: step, FROM: "${{ env.WHO }}" }
    run: |
      echo "it is $T"
      test "${{ env.T }}" = s3cret-"value"
      echo "chars: $(printf '%s' "$T" | wc -c) who: ${{ env.WHO }} from: $FROM"
"#;

/// Runs a shell script with `signalbox` in its path, and what it printed.
fn script(bus: bool, text: &str) -> String {
    let project = Project::new(&[("use", WORKFLOW)]);
    let data = tempfile::tempdir().unwrap();
    let home = data.path().join("home");
    fs::create_dir_all(&home).unwrap();
    // What `command` sets for the host is set for the shell, and the host is started by it.
    let like = command(data.path());
    let mut shell = if bus {
        let mut shell = std::process::Command::new("dbus-run-session");
        shell.args(["--", "sh", "-c"]);
        shell
    } else {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c");
        shell
    };
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let folder = std::path::Path::new(binary()).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(folder.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = shell
        .arg(text)
        .current_dir(project.path())
        .env("PATH", path.unwrap())
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", &home)
        .env_remove("XDG_DATA_HOME")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{error}: `cargo xtask setup` installs what is missing"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The value is in no file of the data folder: not in the log, not in a blob.
    if bus {
        for file in walk(data.path()).into_iter().filter(|file| !file.starts_with(&home)) {
            let content = fs::read(&file).unwrap_or_default();
            assert!(!content.windows(12).any(|part| part == b"s3cret-value"), "the secret is in {}", file.display());
        }
    }
    text
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_secret_lives_in_the_keychain_and_reaches_the_step_alone() {
    let said = script(
        true,
        r#"
        printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        echo s3cret-value | signalbox secret set TOKEN || exit 1
        signalbox secret list
        signalbox run use --logs; echo "first: $?"
        signalbox secret remove TOKEN
        signalbox run use; echo "second: $?"
        SIGNALBOX_SECRET_TOKEN=s3cret-value signalbox run use; echo "third: $?"
        signalbox doctor | grep keychain
        "#,
    );
    for part in [
        "TOKEN is in the keychain",
        "in the keychain              use",
        "it is ***",
        "chars: 12 who: step from: workflow",
        "first: 0",
        "TOKEN was removed",
        "the secret TOKEN is not set: `signalbox secret set TOKEN`",
        "second: 1",
        "third: 0",
        "✓ keychain",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!said.contains("s3cret-value"), "{said}");
}

#[test]
fn without_a_keychain_nothing_is_kept_and_the_way_out_is_told() {
    let said = script(
        false,
        r#"
        echo s3cret-value | signalbox secret set TOKEN; echo "set: $?"
        signalbox run use; echo "run: $?"
        find . "$HOME" -type f | xargs grep -l s3cret-value
        "#,
    );
    for part in
        ["cannot be reached", "nothing was kept", "SIGNALBOX_SECRET_TOKEN in its environment", "set: 1", "run: 1"]
    {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!said.contains("./"), "a file has the secret:\n{said}");
}
