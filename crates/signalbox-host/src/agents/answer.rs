//! An agent's answer as values: JSON, checked against the step's schema.

use indexmap::IndexMap;
use serde_json::Value;

/// Most mistakes that are told at once.
const MISTAKES: usize = 5;

/// Braces of a text that are tried as the beginning of JSON.
const TRIES: usize = 1000;

/// What is added to a prompt whose step declares a schema.
pub(crate) fn instruction(schema: &Value) -> String {
    let text = serde_json::to_string_pretty(schema).unwrap_or_default();
    format!(
        "\n\nEnd with your answer as JSON in a fenced block marked json, and nothing after it. It must be valid for this JSON \
         Schema:\n\n```json\n{text}\n```\n"
    )
}

/// The values that a step hands on, from what its agent said: the newest message first.
///
/// # Errors
/// What is wrong, in words that help the agent to mend it.
pub(crate) fn outputs(messages: &[String], schema: &Value) -> Result<IndexMap<String, Value>, String> {
    let found = messages.iter().rev().find_map(|text| json_in(text));
    let found = found.or_else(|| json_in(&messages.concat()));
    checked(found.ok_or("your answer holds no JSON: end with a fenced block marked json")?, schema)
}

/// The values of an answer that was handed in as JSON.
///
/// # Errors
/// What does not fit the schema.
pub(crate) fn checked(value: Value, schema: &Value) -> Result<IndexMap<String, Value>, String> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| format!("the step's own schema is no JSON Schema: {error}"))?;
    let mistakes: Vec<String> = validator
        .iter_errors(&value)
        .take(MISTAKES)
        .map(|error| match error.instance_path().to_string() {
            path if path.is_empty() => error.to_string(),
            path => format!("at {path}: {error}"),
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(format!("the JSON of your answer does not fit its schema: {}", mistakes.join("; ")));
    }
    Ok(match value {
        Value::Object(fields) => fields.into_iter().collect(),
        other => IndexMap::from([("value".to_owned(), other)]),
    })
}

/// The JSON in a text: the last fenced block that is JSON, the text as a whole, or the last object or list in it.
fn json_in(text: &str) -> Option<Value> {
    let mut fenced: Vec<&str> = text.split("```").skip(1).step_by(2).collect();
    fenced.reverse();
    let blocks = fenced.into_iter().map(|block| block.strip_prefix("json").unwrap_or(block));
    if let Some(value) = blocks.filter_map(|block| serde_json::from_str(block.trim()).ok()).find(is_structure) {
        return Some(value);
    }
    if let Some(value) = serde_json::from_str(text.trim()).ok().filter(is_structure) {
        return Some(value);
    }
    // Agents like to add sentences around it: the last one in the text.
    let (mut found, mut from, mut tries) = (None, 0, 0);
    while let Some(at) = text[from..].find(['{', '[']).map(|at| from + at).filter(|_| tries < TRIES) {
        tries += 1;
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) if is_structure(&value) => {
                from = at + values.byte_offset();
                found = Some(value);
            }
            _ => from = at + 1,
        }
    }
    found
}

fn is_structure(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<IndexMap<String, Value>, String> {
        outputs(&[text.to_owned()], &json!({"type": "object", "required": ["verdict"]}))
    }

    #[test]
    fn json_is_found_where_agents_put_it() {
        let wanted = IndexMap::from([("verdict".to_owned(), json!("pass"))]);
        for text in [
            r#"{"verdict":"pass"}"#,
            "Here it is:\n```json\n{\"verdict\":\"pass\"}\n```\n",
            "```\nlet x = 1;\n```\nand\n```json\n{\"verdict\": \"pass\"}\n```",
            "The verdict is {\"verdict\":\"pass\"}, as I said.",
            "```rust\nfn f() {}\n```\n{\"verdict\":\"pass\"}",
        ] {
            assert_eq!(read(text).as_ref(), Ok(&wanted), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_so_that_it_can_be_mended() {
        assert!(read("no JSON at all {").unwrap_err().contains("holds no JSON"));
        assert!(read(r#"{"other": 1}"#).unwrap_err().contains("verdict"));
    }

    #[test]
    fn an_answer_over_several_messages_is_one() {
        let parts = ["I looked at it.".to_owned(), "{\"verdict\":".to_owned(), "\"pass\"}".to_owned()];
        assert!(outputs(&parts, &json!({"required": ["verdict"]})).is_ok());
    }

    #[test]
    fn many_braces_take_no_time() {
        let text = " {".repeat(200_000);
        let before = std::time::Instant::now();
        assert!(json_in(&text).is_none());
        assert!(before.elapsed() < std::time::Duration::from_secs(5));
    }
}
