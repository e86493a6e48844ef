//! Puts the app's commands under the access control list: what is not named here and in `capabilities` cannot be called.

use tauri_build::{AppManifest, Attributes};

const COMMANDS: &[&str] = &[
    "stream_open",
    "stream_send",
    "stream_close",
    "host_list",
    "host_join",
    "host_rename",
    "host_forget",
    "wishes",
    "pick_folder",
    "save_text",
    "open_external",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Embedded at compile time: a message here is clearer than what the macro would say.
    println!("cargo::rerun-if-changed=../ui/dist");
    if !std::path::Path::new("../ui/dist/index.html").is_file() {
        return Err("the UI is not built: run `cargo xtask build`, or `npm ci && npm run build` in ui/, then build the app again".into());
    }
    tauri_build::try_build(Attributes::new().app_manifest(AppManifest::new().commands(COMMANDS)))?;
    Ok(())
}
