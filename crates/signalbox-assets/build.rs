//! Lists the files of `ui/dist` as a table of `include_bytes!`. Without a built UI the table is empty, and the host
//! says so to a browser: the core builds and tests without Node.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn collect(dir: &Path, base: &Path, found: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, base, found)?;
        } else if let Ok(name) = path.strip_prefix(base) {
            found.push((name.to_string_lossy().replace('\\', "/"), path));
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../../ui/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut found = Vec::new();
    if dist.is_dir() {
        let dist = fs::canonicalize(&dist)?;
        collect(&dist, &dist, &mut found)?;
    }
    found.sort();
    let mut table = String::from("&[\n");
    for (name, path) in found {
        table.push_str(&format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string()));
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("files.rs");
    fs::write(out, table)
}
