//! The tray icon: shows that something runs while the window is behind others. The app does without it where it cannot be.

use tauri::{
    AppHandle,
    menu::{Menu, MenuItem},
    tray::{MouseButton, MouseButtonState, TrayIconBuilder, TrayIconEvent},
};

use crate::window;

const ID: &str = "main";

/// Builds the icon; false if this desktop has no place for one.
pub(crate) fn build(app: &AppHandle) -> bool {
    if !supported() {
        tracing::info!(
            "no tray icon: the appindicator library is not installed (libayatana-appindicator3-1 on Debian)"
        );
        return false;
    }
    match try_build(app) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "no tray icon");
            false
        }
    }
}

fn try_build(app: &AppHandle) -> tauri::Result<()> {
    let show = MenuItem::with_id(app, "show", "Show Signalbox", true, None::<&str>)?;
    let quit = MenuItem::with_id(app, "quit", "Quit", true, None::<&str>)?;
    let mut tray = TrayIconBuilder::with_id(ID)
        .menu(&Menu::with_items(app, &[&show, &quit])?)
        .show_menu_on_left_click(false)
        .on_menu_event(|app, event| match event.id().as_ref() {
            "show" => window::focus(app),
            "quit" => crate::closing::ask(app),
            _ => {}
        })
        .on_tray_icon_event(|tray, event| {
            if let TrayIconEvent::Click { button: MouseButton::Left, button_state: MouseButtonState::Up, .. } = event {
                window::focus(tray.app_handle());
            }
        });
    if let Some(icon) = app.default_window_icon() {
        tray = tray.icon(icon.clone());
    }
    tray.build(app)?;
    Ok(())
}

/// Says how much goes on.
pub(crate) fn show_counts(app: &AppHandle, runs: usize, questions: usize) {
    let Some(tray) = app.tray_by_id(ID) else { return };
    // A title is text beside the icon: the only one that Linux shows, since it has no tooltips there.
    let title = (runs > 0).then(|| runs.to_string());
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let tooltip = match (runs, questions) {
        (0, 0) => "Signalbox".to_owned(),
        (runs, 0) => format!("Signalbox: {}", plural(runs, "run")),
        (runs, questions) => format!("Signalbox: {}, {}", plural(runs, "run"), plural(questions, "question")),
    };
    tray.set_title(title).and_then(|()| tray.set_tooltip(Some(tooltip))).ok();
}

#[cfg(not(target_os = "linux"))]
fn supported() -> bool {
    true
}

/// Whether the library is there: it is loaded by name, and without it building a tray ends the process.
#[cfg(target_os = "linux")]
fn supported() -> bool {
    const NAMES: [&str; 2] = ["libayatana-appindicator3.so.1", "libappindicator3.so.1"];
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let named = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let usual =
        ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/app/lib"].map(std::path::PathBuf::from);
    std::env::split_paths(&named).chain(usual).any(|folder| {
        NAMES.iter().any(|name| folder.join(name).exists() || folder.join(&multiarch).join(name).exists())
    })
}
