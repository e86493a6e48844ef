//! Painting on a machine without a graphics processor: a virtual machine, a server with a remote desktop.
//!
//! There WebKit would compose the window with OpenGL all the same, which a library imitates on the processor: each kind of
//! surface has a program that must be compiled first, half a second at the start of the app, and each frame costs several
//! times what painting it costs.

use std::path::Path;

use webkit2gtk::{HardwareAccelerationPolicy, SettingsExt, WebView, WebViewExt};

/// Devices that drivers with names of their own make: NVIDIA's, those of telephones' chips, and Windows' for its Linux.
const OWN_NAMES: [&str; 5] = ["nvidiactl", "nvhost-gpu", "mali0", "kgsl-3d0", "dxg"];

/// Whether there may be a graphics processor.
pub(super) fn is_there() -> bool {
    is_in(Path::new("/dev"))
}

fn is_in(devices: &Path) -> bool {
    // A card that only shows what others have painted has no node for rendering.
    let renders = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("renderD");
    let cards = devices.join("dri").read_dir();
    cards.is_ok_and(|found| found.flatten().any(renders)) || OWN_NAMES.iter().any(|name| devices.join(name).exists())
}

/// Lets the processor paint the page.
pub(super) fn do_without(view: &WebView) {
    let Some(settings) = view.settings() else { return };
    settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
    tracing::debug!("no graphics processor: the processor paints the window");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_device_that_renders_counts() {
        let devices = tempfile::tempdir().unwrap();
        assert!(!is_in(devices.path()), "no devices at all");
        fs::create_dir(devices.path().join("dri")).unwrap();
        fs::write(devices.path().join("dri/card0"), "").unwrap();
        assert!(!is_in(devices.path()), "a card that only shows");
        fs::write(devices.path().join("dri/renderD128"), "").unwrap();
        assert!(is_in(devices.path()), "a card that renders");
        let devices = tempfile::tempdir().unwrap();
        fs::write(devices.path().join("nvidiactl"), "").unwrap();
        assert!(is_in(devices.path()), "a driver with names of its own");
    }
}
