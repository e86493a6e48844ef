//! Commands that need no host.

use std::path::{Path, PathBuf};

use anyhow::Context;
use signalbox_host::{Settings, settings};
use signalbox_wire::document;
use signalbox_workflow::{Diagnostics, json_schema, load, starter, templates};

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

/// Writes a workflow into the project: one that fits it, or a template.
pub(crate) fn init(
    path: Option<PathBuf>,
    name: Option<&str>,
    template: Option<&str>,
    dry_run: bool,
) -> anyhow::Result<End> {
    let folder = path.unwrap_or_else(|| PathBuf::from("."));
    let folder =
        std::fs::canonicalize(&folder).with_context(|| format!("the folder {} cannot be opened", folder.display()))?;
    let template = template.map(known_template).transpose()?;
    let name = name.or(template.map(|template| template.name)).unwrap_or("check");
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !plain {
        return Err(remote::Usage(format!("{name:?} is no name: letters, digits, '-' and '_'")).into());
    }
    let found = match template {
        None => starter::starter(&OnDisk(folder.clone())),
        // A workflow is called by the name of its file; the two say the same.
        Some(template) => starter::Starter {
            text: template.text.replacen(&format!("name: {}", template.name), &format!("name: {name}"), 1),
            found: Vec::new(),
        },
    };
    if dry_run {
        output::line(found.text.trim_end());
        return Ok(End::Success);
    }
    let file = folder.join(".signalbox/workflows").join(format!("{name}.yaml"));
    for (path, text) in template.iter().flat_map(|template| template.files) {
        let path = folder.join(path);
        if !path.exists() {
            write_new(&path, text)?;
        }
    }
    if !write_new(&file, &found.text)? {
        output::note!("{} exists already; nothing was written. Name another one with --name", file.display());
        return Ok(End::Failed);
    }
    match (template, found.found.is_empty()) {
        (Some(template), _) => output::line(&format!("{}: {}.", template.name, template.about)),
        (None, true) => output::line("Nothing was recognised in this folder: the workflow shows the first steps."),
        (None, false) => output::line(&format!("Recognised {}.", found.found.join(", "))),
    }
    let inputs = if template.is_some() { required_inputs(&found.text) } else { String::new() };
    output::line(&format!(
        "Wrote {}. Run it: signalbox run {name}{inputs}",
        file.strip_prefix(&folder).unwrap_or(&file).display()
    ));
    Ok(End::Success)
}

fn known_template(name: &str) -> anyhow::Result<&'static templates::WorkflowTemplate> {
    templates::find(name).ok_or_else(|| {
        let known: Vec<String> =
            templates::TEMPLATES.iter().map(|known| format!("  {:<22} {}", known.name, known.about)).collect();
        remote::Usage(format!("there is no template {name:?}; there are\n{}", known.join("\n"))).into()
    })
}

/// What has to be given on the command line.
fn required_inputs(text: &str) -> String {
    let Ok(definition) = signalbox_workflow::parse(text) else { return String::new() };
    let required = definition.inputs.iter().filter(|(_, input)| input.required);
    required.map(|(name, _)| format!(" --input {}='...'", **name)).collect()
}

/// Writes a file that is not there yet: never over what somebody wrote. Whether it was written.
fn write_new(file: &Path, text: &str) -> anyhow::Result<bool> {
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut open| std::io::Write::write_all(&mut open, text.as_bytes()));
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{} cannot be written", file.display())),
    }
}

pub(crate) async fn validate(file: &Path, json: bool) -> anyhow::Result<End> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    // As a host with this machine's settings would.
    let settings = Settings::load(&settings::config_dir())?;
    let found: Diagnostics = match load(&text, &signalbox_host::capabilities(&settings).await) {
        Ok(loaded) => {
            let mut found = loaded.warnings;
            found.extend(signalbox_host::broken_schemas(&loaded.definition));
            found
        }
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
