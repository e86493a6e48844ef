//! The desktop app: a window, a tray icon and notifications around the host, which runs in this process.
//!
//! Everything that matters is in `crates/`; here is only what needs a desktop.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod arguments;
mod closing;
mod commands;
mod elsewhere;
mod host;
mod links;
mod notify;
mod tray;
mod window;
mod wishes;

use std::process::ExitCode;

use arguments::{Arguments, Wanted};
use tauri::{Manager, RunEvent};

fn main() -> ExitCode {
    if let Some(code) = rehearse() {
        return code;
    }
    let wanted = arguments::parse(std::env::args_os().skip(1), &std::env::current_dir().unwrap_or_default());
    let arguments = match wanted {
        Ok(Wanted::Open(arguments)) => arguments,
        Ok(Wanted::Say(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("signalbox-desktop: {error}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("SIGNALBOX_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(arguments) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            #[cfg(unix)]
            begin_again(&error);
            eprintln!("signalbox-desktop: the app could not start: {error}\nNothing was changed.");
            ExitCode::FAILURE
        }
    }
}

/// The host starts this program again to play the rehearsal agent: a process of its own, without a window.
fn rehearse() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != "agent" || arguments.next()? != "rehearsal" {
        return None;
    }
    let played = tauri::async_runtime::block_on(signalbox_host::rehearsal::play(None));
    Some(match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signalbox-desktop: {error}");
            ExitCode::FAILURE
        }
    })
}

/// A copy that ended a moment ago may still be known to the session bus: who starts then hands over to nobody and
/// fails. This process begins again, a few times; it returns if that is not what happened, or is no use.
#[cfg(unix)]
fn begin_again(error: &tauri::Error) {
    const AGAIN: &str = "SIGNALBOX_BEGAN_AGAIN";
    let before: u32 = std::env::var(AGAIN).ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    if before >= 10 || !error.to_string().contains("single-instance") {
        return;
    }
    wait_a_moment();
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = std::process::Command::new(program);
    again.args(std::env::args_os().skip(1)).env(AGAIN, (before + 1).to_string());
    let failed = std::os::unix::process::CommandExt::exec(&mut again);
    tracing::warn!(error = %failed, "the app could not begin again");
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "the bus tells nobody when it has noticed an end; bounded by its caller")]
fn wait_a_moment() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

fn run(mut arguments: Arguments) -> tauri::Result<i32> {
    let app = tauri::Builder::default()
        // First: a second copy hands its arguments over and exits before it touches anything.
        .plugin(tauri_plugin_single_instance::init(|app, arguments, cwd| {
            window::focus(app);
            match arguments::parse(arguments.into_iter().skip(1).map(Into::into), cwd.as_ref()) {
                Ok(Wanted::Open(arguments)) => {
                    host::open_projects(app, arguments.projects);
                    links::follow(app, arguments.links);
                }
                Ok(Wanted::Say(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "a second copy was started with arguments that are not understood")
                }
            }
        }))
        .plugin(tauri_plugin_deep_link::init())
        .plugin(tauri_plugin_window_state::Builder::default().build())
        .plugin(tauri_plugin_notification::init())
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_opener::init())
        .manage(commands::Streams::default())
        .manage(wishes::Wishes::default())
        .manage(host::Slot::default())
        .manage(elsewhere::Elsewhere::load(&signalbox_host::settings::data_dir()))
        .invoke_handler(tauri::generate_handler![
            commands::stream_open,
            commands::stream_send,
            commands::stream_close,
            commands::host_list,
            commands::host_join,
            commands::host_rename,
            commands::host_forget,
            commands::wishes,
            commands::pick_folder,
            commands::save_text,
            commands::open_external
        ])
        // A page that was loaded anew has lost its channels: their streams would wait for credit for ever.
        .on_page_load(|webview, load| {
            if load.event() == tauri::webview::PageLoadEvent::Started {
                webview.state::<commands::Streams>().close_all();
                webview.state::<wishes::Wishes>().leave();
            }
        })
        .setup(move |app| {
            links::register(app.handle());
            links::follow(app.handle(), std::mem::take(&mut arguments.links));
            // The window first: it is painted while the log is recovered.
            window::open(app.handle())?;
            host::start(app.handle().clone(), arguments);
            closing::on_signals(app.handle().clone());
            Ok(())
        })
        .build(context())?;
    Ok(app.run_return(|app, event| match event {
        RunEvent::ExitRequested { api, code, .. } => closing::exit_requested(app, &api, code),
        RunEvent::WindowEvent { label, event: tauri::WindowEvent::CloseRequested { api, .. }, .. }
            if label == window::MAIN =>
        {
            closing::close_requested(app, &api);
        }
        _ => {}
    }))
}

/// A copy on another data folder is another app: it has a window, a window state and an instance of its own.
fn context() -> tauri::Context {
    let mut context = tauri::generate_context!();
    if let Some(folder) = std::env::var_os("SIGNALBOX_DATA_DIR").filter(|folder| !folder.is_empty()) {
        let folder = std::path::absolute(&folder).unwrap_or_else(|_| folder.into());
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&folder, &mut hasher);
        // A letter first: parts of a name on the session bus must not begin with a digit.
        context.config_mut().identifier.push_str(&format!(".d{:016x}", std::hash::Hasher::finish(&hasher)));
    }
    context
}
