//! Painting on a machine without a graphics processor: a virtual machine, a server with a remote desktop.
//!
//! There WebKit would compose the window with OpenGL all the same, which a library imitates on the processor: each kind of
//! surface has a program that must be compiled first, half a second at the start of the app, and each frame costs several
//! times what painting it costs.

use std::path::Path;

use webkit2gtk::{HardwareAccelerationPolicy, SettingsExt, WebView, WebViewExt};

/// Whether there may be a graphics processor: the system has a device for rendering, or the driver of a maker that has
/// names of its own.
pub(super) fn is_there() -> bool {
    let renders = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("renderD");
    let any = Path::new("/dev/dri").read_dir().is_ok_and(|found| found.flatten().any(|entry| renders(&entry)));
    any || ["/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/mali0", "/dev/kgsl-3d0", "/dev/dxg"]
        .iter()
        .any(|it| Path::new(it).exists())
}

/// Lets the processor paint the page.
pub(super) fn do_without(view: &WebView) {
    let Some(settings) = view.settings() else { return };
    settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
    tracing::debug!("no graphics processor: the processor paints the window");
}
