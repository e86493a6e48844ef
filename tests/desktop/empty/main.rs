//! The least that Tauri can open: one window with a page that stands still. What the app costs is measured beside it.

use tauri::{WebviewUrl, WebviewWindowBuilder};

fn main() {
    let app = tauri::Builder::default().setup(|app| {
        // As large as the app's, since every pixel is paid for.
        WebviewWindowBuilder::new(app, "main", WebviewUrl::default()).inner_size(1280.0, 820.0).build()?;
        Ok(())
    });
    if let Err(error) = app.run(tauri::generate_context!("../tests/desktop/empty/tauri.conf.json")) {
        eprintln!("the empty window could not be opened: {error}");
        std::process::exit(1);
    }
}
