//! Commands that need no host.

use std::path::{Path, PathBuf};

use anyhow::Context;
use signalbox_wire::document;
use signalbox_workflow::{Capabilities, Diagnostics, json_schema, load, starter};

use crate::{End, output, remote};

struct OnDisk(PathBuf);

impl starter::Folder for OnDisk {
    fn has(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(path)).ok()
    }
}

pub(crate) fn init(path: Option<PathBuf>, name: &str, dry_run: bool) -> anyhow::Result<End> {
    let folder = path.unwrap_or_else(|| PathBuf::from("."));
    let folder =
        std::fs::canonicalize(&folder).with_context(|| format!("the folder {} cannot be opened", folder.display()))?;
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !plain {
        return Err(remote::Usage(format!("{name:?} is no name: letters, digits, '-' and '_'")).into());
    }
    let found = starter::starter(&OnDisk(folder.clone()));
    if dry_run {
        output::line(found.text.trim_end());
        return Ok(End::Success);
    }
    let file = folder.join(".signalbox/workflows").join(format!("{name}.yaml"));
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    }
    // Never over what somebody wrote.
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(&file)
        .and_then(|mut open| std::io::Write::write_all(&mut open, found.text.as_bytes()));
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            output::note!("{} exists already; nothing was written. Name another one with --name", file.display());
            return Ok(End::Failed);
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be written", file.display())),
    }
    if found.found.is_empty() {
        output::line("Nothing was recognised in this folder: the workflow shows the first steps.");
    } else {
        output::line(&format!("Recognised {}.", found.found.join(", ")));
    }
    output::line(&format!(
        "Wrote {}. Run it: signalbox run {name}",
        file.strip_prefix(&folder).unwrap_or(&file).display()
    ));
    Ok(End::Success)
}

pub(crate) fn validate(file: &Path, json: bool) -> anyhow::Result<End> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let found: Diagnostics = match load(&text, &Capabilities::basic()) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    };
    if json {
        let list: Vec<_> = found.iter().collect();
        output::line(&serde_json::to_string(&list)?);
    } else if found.is_empty() {
        output::line(&format!("{}: fine", file.display()));
    } else {
        output::line(found.render(&text, &file.display().to_string()).trim_end());
    }
    Ok(if found.has_errors() { End::Failed } else { End::Success })
}

pub(crate) fn schema(name: Option<&str>) -> anyhow::Result<End> {
    let Some(name) = name else {
        for name in ["workflow", "openapi", "asyncapi"].map(str::to_owned).into_iter().chain(document::schema_names()) {
            output::line(&name);
        }
        return Ok(End::Success);
    };
    let schema = match name {
        "workflow" => Some(json_schema()),
        "openapi" => Some(document::openapi()),
        "asyncapi" => Some(document::asyncapi()),
        name => document::schema(name),
    };
    let Some(schema) = schema else {
        return Err(remote::Usage(format!("there is no schema {name:?}; `signalbox schema` lists them")).into());
    };
    output::line(&serde_json::to_string_pretty(&schema)?);
    Ok(End::Success)
}

/// The progress sequence of terminals (OSC 9;4), which the host reads out of a step's output.
pub(crate) fn progress(value: f64, text: Option<&str>) -> End {
    if !(0.0..=1.0).contains(&value) {
        output::note!("signalbox: progress is 0 to 1, not {value}");
        return End::Usage;
    }
    let clean: String = text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(120).collect();
    let percent = (value * 1000.0).round() / 10.0;
    let separator = if clean.is_empty() { "" } else { ";" };
    print!("\u{1b}]9;4;1;{percent}{separator}{clean}\u{7}");
    std::io::Write::flush(&mut std::io::stdout()).ok();
    End::Success
}
