//! Who the agent is and how its session is set.

use serde_json::{Map, Value};
use signalbox_model::AgentChoice;

use super::fields::{list, object, text};
use crate::{
    limits::{self, word},
    update::{Info, Setting},
};

/// An answer to a request of ours changes what is known.
pub(super) fn answered(
    info: &mut Info,
    method: &str,
    about: Option<String>,
    value: Option<String>,
    result: &Map<String, Value>,
) {
    match method {
        "initialize" => initialized(info, result),
        "session/new" | "session/load" | "session/resume" => {
            if let Some(session) = text(result.get("sessionId")).map(str::to_owned).or(about) {
                info.session = Some(session);
            }
            info.resumed = method != "session/new";
            modes(info, object(result.get("modes")));
            models(info, object(result.get("models")));
            settings(info, result);
        }
        "session/set_mode" => info.mode = about.or(info.mode.take()),
        "session/set_model" => info.model = about.or(info.model.take()),
        "session/set_config_option" => {
            if result.contains_key("configOptions") {
                settings(info, result);
            } else if let (Some(id), Some(value)) = (about, value) {
                set(info, &id, value);
            }
        }
        _ => {}
    }
}

fn initialized(info: &mut Info, result: &Map<String, Value>) {
    let agent = object(result.get("agentInfo"));
    let name = text(agent.get("title")).filter(|title| !title.is_empty()).or_else(|| text(agent.get("name")));
    info.name = name.map(word);
    info.version = text(agent.get("version")).map(word);
    info.rehearsal = text(agent.get("name")) == Some(crate::rehearsal::NAME);
    let capabilities = object(result.get("agentCapabilities"));
    let resume = object(capabilities.get("sessionCapabilities")).get("resume").is_some_and(Value::is_object);
    info.mcp_over_http = object(capabilities.get("mcpCapabilities")).get("http") == Some(&Value::Bool(true));
    info.resumable = resume || capabilities.get("loadSession") == Some(&Value::Bool(true));
}

fn modes(info: &mut Info, modes: &Map<String, Value>) {
    if let Some(current) = text(modes.get("currentModeId")) {
        info.mode = Some(word(current));
    }
    let offered = choices(modes.get("availableModes"), &["id"]);
    if !offered.is_empty() {
        info.modes = offered;
    }
}

fn models(info: &mut Info, models: &Map<String, Value>) {
    if let Some(current) = text(models.get("currentModelId")) {
        info.model = Some(word(current));
    }
    let offered = choices(models.get("availableModels"), &["modelId", "id"]);
    if !offered.is_empty() {
        info.models = offered;
    }
}

/// The settings of a session. Some agents offer their modes and models only here.
pub(super) fn settings(info: &mut Info, holder: &Map<String, Value>) {
    let Some(options) = holder.get("configOptions").and_then(Value::as_array) else { return };
    info.settings.clear();
    for option in options.iter().take(limits::LIST) {
        let option = object(Some(option));
        let (Some(id), Some(value)) = (text(option.get("id")), current(option)) else { continue };
        let mut choices = choices(option.get("options"), &["value"]);
        for group in list(option.get("options")) {
            choices.extend(self::choices(object(Some(group)).get("options"), &["value"]));
        }
        choices.truncate(limits::LIST);
        let setting = Setting {
            id: word(id),
            name: word(text(option.get("name")).unwrap_or(id)),
            category: word(text(option.get("category")).unwrap_or(id)),
            value: word(&value),
            choices,
        };
        match setting.category.as_str() {
            "mode" => {
                info.mode = Some(setting.value.clone());
                info.modes.clone_from(&setting.choices);
            }
            "model" => {
                info.model = Some(setting.value.clone());
                info.models.clone_from(&setting.choices);
            }
            _ => {}
        }
        info.settings.push(setting);
    }
}

fn current(option: &Map<String, Value>) -> Option<String> {
    match option.get("currentValue")? {
        Value::String(value) => Some(value.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        _ => None,
    }
}

fn set(info: &mut Info, id: &str, value: String) {
    let Some(setting) = info.settings.iter_mut().find(|setting| setting.id == id) else { return };
    match setting.category.as_str() {
        "mode" => info.mode = Some(value.clone()),
        "model" => info.model = Some(value.clone()),
        _ => {}
    }
    setting.value = value;
}

fn choices(value: Option<&Value>, ids: &[&str]) -> Vec<AgentChoice> {
    let entries = list(value).iter().take(limits::LIST).map(|entry| object(Some(entry)));
    entries
        .filter_map(|entry| {
            let id = ids.iter().find_map(|key| text(entry.get(*key)))?;
            Some(AgentChoice { id: word(id), name: word(text(entry.get("name")).unwrap_or(id)) })
        })
        .collect()
}
