//! What ARCHITECTURE.md says is absent, is absent.

use std::{fs, path::Path};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of the dependencies in a manifest, without those for tests.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies]") && !line.contains("dev-");
        } else if inside && let Some(name) = line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()) {
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn the_engine_has_nothing_to_read_a_clock_or_do_io_with() {
    for name in dependencies("crates/signalbox-engine/Cargo.toml") {
        assert!(["indexmap", "serde", "serde_json", "signalbox-model", "thiserror"].contains(&name.as_str()), "{name}");
    }
    for entry in fs::read_dir(root().join("crates/signalbox-engine/src")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for word in ["std::time", "std::fs", "std::net", "std::env", "std::process", "std::thread"] {
            assert!(!text.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn only_the_shell_knows_tauri() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let found = dependencies(&format!("crates/{name}/Cargo.toml"));
        assert!(!found.iter().any(|dependency| dependency.starts_with("tauri")), "{name} depends on Tauri");
    }
}

#[test]
fn only_the_agent_crate_knows_the_protocol_of_agents() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let found = dependencies(&format!("crates/{name}/Cargo.toml"));
        let knows = found.iter().any(|dependency| dependency.starts_with("agent-client-protocol"));
        assert_eq!(knows, name == "signalbox-agent", "{name}");
    }
}

#[test]
fn arrows_point_one_way() {
    let order = [
        "signalbox-model",
        "signalbox-wire",
        "signalbox-workflow",
        "signalbox-engine",
        "signalbox-store",
        "signalbox-process",
        "signalbox-git",
        "signalbox-agent",
        "signalbox-client",
        "signalbox-stream",
        "signalbox-host",
        "signalbox-assets",
        "signalbox-net",
        "signalbox-ipc",
        "signalbox-cli",
    ];
    for (place, name) in order.iter().enumerate() {
        for dependency in dependencies(&format!("crates/{name}/Cargo.toml")) {
            if let Some(at) = order.iter().position(|known| *known == dependency) {
                assert!(at < place, "{name} depends on {dependency}");
            }
        }
    }
}

#[test]
fn the_typescript_types_are_those_of_rust() {
    let written = fs::read_to_string(root().join("ui/src/platform/protocol.ts")).unwrap();
    let client = fs::read_to_string(root().join("clients/typescript/src/protocol.ts")).unwrap();
    assert!(written == client, "the two differ: run `cargo xtask codegen`");
    assert_eq!(written, signalbox_wire::typescript::module(), "run `cargo xtask codegen`");
}

#[test]
fn every_test_that_the_list_of_pitfalls_names_is_there() {
    fn sources(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "node_modules" && name != "target") {
                sources(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = String::new();
    sources(&root().join("crates"), &mut all);
    sources(&root().join("tests"), &mut all);
    let text = fs::read_to_string(root().join("docs/pitfalls.md")).unwrap();
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2).collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        assert!(all.contains(&format!("fn {name}(")), "docs/pitfalls.md names {name}, which is no test");
    }
    for number in 1..=14 {
        assert!(text.contains(&format!("| {number} |")), "pitfall {number} is not in the list");
    }
}
