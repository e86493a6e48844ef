//! Members of a frame, whatever their types turn out to be.

use serde_json::{Map, Value};
use signalbox_model::PlanEntry;

use crate::limits::{self, word};

/// An object, or an empty one.
pub(super) fn object(value: Option<&Value>) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.and_then(Value::as_object).unwrap_or(&EMPTY)
}

/// A list, or an empty one.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// A whole number that is not negative, also one with a fraction or in quotes.
pub(super) fn count(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
}

/// What a content block says, in words.
pub(super) fn content(value: Option<&Value>) -> String {
    let block = object(value);
    match text(block.get("type")).unwrap_or_default() {
        "text" => text(block.get("text")).unwrap_or_default().to_owned(),
        "resource_link" => {
            let uri = word(text(block.get("uri")).unwrap_or_default());
            let name = text(block.get("title")).or_else(|| text(block.get("name"))).map_or_else(|| uri.clone(), word);
            format!("[{name}]({uri})")
        }
        "resource" => {
            let resource = object(block.get("resource"));
            match text(resource.get("text")) {
                Some(text) => text.to_owned(),
                None => format!("[{}]", word(text(resource.get("uri")).unwrap_or("resource"))),
            }
        }
        "" => String::new(),
        kind => format!("[{}]", word(kind)),
    }
}

/// An entry of a plan, by whatever name agents give its text.
pub(super) fn plan_entry(entry: &Map<String, Value>) -> Option<PlanEntry> {
    let said = ["content", "text", "step", "title", "description", "subject"];
    let text_of = said.iter().find_map(|key| text(entry.get(*key)))?;
    let status = super::plan_status(text(entry.get("status")).unwrap_or_default());
    Some(PlanEntry { text: word(text_of), status })
}

/// A plan that is the input of a tool for plans: `todos`, or `plan` with steps.
pub(super) fn todos(input: &Map<String, Value>) -> Option<Vec<PlanEntry>> {
    let entries = input.get("todos").or_else(|| {
        input.get("plan").filter(|plan| list(Some(plan)).iter().any(|entry| object(Some(entry)).contains_key("step")))
    })?;
    let plan: Vec<PlanEntry> =
        entries.as_array()?.iter().take(limits::LIST).filter_map(|entry| plan_entry(object(Some(entry)))).collect();
    (!plan.is_empty()).then_some(plan)
}
