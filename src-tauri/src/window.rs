//! The window.

#[cfg(target_os = "linux")]
mod graphics;

use tauri::{AppHandle, Manager, Url, WebviewUrl, WebviewWindowBuilder};

/// The label of the one window; `capabilities/main.json` speaks of it.
pub(crate) const MAIN: &str = "main";

pub(crate) fn open(app: &AppHandle) -> tauri::Result<()> {
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("Signalbox")
        .inner_size(1280.0, 820.0)
        .min_inner_size(420.0, 360.0)
        // The page shows what others wrote: a link in it must not take the window, and its rights, elsewhere.
        .on_navigation(ours)
        .build()?;
    #[cfg(target_os = "linux")]
    if !graphics::is_there() {
        window.with_webview(|webview| graphics::do_without(&webview.inner()))?;
    }
    #[cfg(not(target_os = "linux"))]
    drop(window);
    Ok(())
}

fn ours(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => true,
        "http" | "https" => url.host_str() == Some("tauri.localhost") || (tauri::is_dev() && url.port() == Some(5173)),
        _ => false,
    }
}

/// Brings the window to the front.
pub(crate) fn focus(app: &AppHandle) {
    let Some(window) = app.get_webview_window(MAIN) else { return };
    for done in [window.unminimize(), window.show(), window.set_focus()] {
        if let Err(error) = done {
            tracing::warn!(%error, "the window could not be brought to the front");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_stays_with_its_own_page() {
        for (url, stays) in [
            ("tauri://localhost/runs/1", true),
            ("http://tauri.localhost/", true),
            ("https://example.org/", false),
            ("https://tauri.localhost.example.org/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(ours(&url.parse().unwrap()), stays, "{url}");
        }
    }
}
