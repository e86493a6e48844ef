//! A small instance of a JSON Schema: enough to stand in for an answer.

use serde_json::{Map, Value, json};

/// How deep schemas are followed: one that contains itself ends here.
const DEEPEST: u32 = 24;
/// Longest list or text that is made because a schema asks for it.
const LONGEST: u64 = 1000;

/// The last JSON Schema in a fenced block of the text.
pub(super) fn schema_in(text: &str) -> Option<Value> {
    let mut found = None;
    let mut rest = text;
    while let Some(start) = rest.find("```") {
        let Some((_, body)) = rest[start + 3..].split_once('\n') else { break };
        let end = body.find("```").unwrap_or(body.len());
        if let Ok(value) = serde_json::from_str::<Value>(&body[..end])
            && is_schema(&value)
        {
            found = Some(value);
        }
        rest = body[end..].strip_prefix("```").unwrap_or_default();
    }
    found
}

fn is_schema(value: &Value) -> bool {
    let words = ["$schema", "type", "properties", "$ref", "enum", "const", "anyOf", "oneOf", "allOf"];
    value.as_object().is_some_and(|members| words.iter().any(|word| members.contains_key(*word)))
}

/// An instance with no more than what is required.
pub(super) fn instance(schema: &Value) -> Value {
    make(schema, schema, DEEPEST)
}

fn make(schema: &Value, root: &Value, depth: u32) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    let Some(members) = schema.as_object() else { return Value::Null };
    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |schema| make(schema, root, depth));
    }
    if let Some(parts) = members.get("allOf").and_then(Value::as_array) {
        return make(&all_of(members, parts, root), root, depth);
    }
    let first = |key: &str| members.get(key).and_then(Value::as_array).and_then(|values| values.first());
    if let Some(value) = members.get("const").or_else(|| first("enum")).or_else(|| members.get("default")) {
        return value.clone();
    }
    if let Some(choice) = first("anyOf").or_else(|| first("oneOf")) {
        return match choice.as_object() {
            // What is beside the choice holds too.
            Some(choice) if choice.contains_key("properties") || choice.contains_key("required") => {
                let mut whole = members.clone();
                whole.remove("anyOf");
                whole.remove("oneOf");
                make(&all_of(&whole, &[Value::Object(choice.clone())], root), root, depth)
            }
            _ => make(choice, root, depth),
        };
    }
    match type_of(members) {
        "object" => object(members, root, depth),
        "array" => array(members, root, depth),
        "string" => text(members).into(),
        "integer" => number(members, true),
        "number" => number(members, false),
        "boolean" => true.into(),
        _ => Value::Null,
    }
}

fn type_of(members: &Map<String, Value>) -> &str {
    match members.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
        }
        _ if members.contains_key("properties") || members.contains_key("required") => "object",
        _ if members.contains_key("items") || members.contains_key("prefixItems") => "array",
        _ if members.contains_key("pattern") || members.contains_key("minLength") => "string",
        _ if members.contains_key("minimum") || members.contains_key("maximum") => "number",
        _ => "null",
    }
}

/// Several schemas as one: their members and what they require together, of all else the last.
fn all_of(members: &Map<String, Value>, parts: &[Value], root: &Value) -> Value {
    let mut whole = members.clone();
    whole.remove("allOf");
    for part in parts {
        let mut part = part;
        // A few names in a row, as generators write them.
        for _ in 0..8 {
            let target = part.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
            let Some(next) = target.and_then(|pointer| root.pointer(pointer)) else { break };
            part = next;
        }
        for (key, value) in part.as_object().into_iter().flatten() {
            match (whole.get_mut(key), value) {
                (Some(Value::Object(mine)), Value::Object(theirs)) if key == "properties" => {
                    mine.extend(theirs.clone());
                }
                (Some(Value::Array(mine)), Value::Array(theirs)) if key == "required" => mine.extend(theirs.clone()),
                _ => {
                    whole.insert(key.clone(), value.clone());
                }
            }
        }
    }
    Value::Object(whole)
}

fn object(members: &Map<String, Value>, root: &Value, depth: u32) -> Value {
    let mut made = Map::new();
    let properties = members.get("properties").and_then(Value::as_object);
    for name in members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let schema = properties.and_then(|properties| properties.get(name));
        made.insert(name.to_owned(), schema.map_or_else(|| "rehearsal".into(), |schema| make(schema, root, depth)));
    }
    let least = members.get("minProperties").and_then(Value::as_u64).unwrap_or(0).min(LONGEST);
    for (name, schema) in properties.into_iter().flatten() {
        if (made.len() as u64) < least && !made.contains_key(name) {
            made.insert(name.clone(), make(schema, root, depth));
        }
    }
    Value::Object(made)
}

fn array(members: &Map<String, Value>, root: &Value, depth: u32) -> Value {
    let least = members.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(LONGEST);
    let first = members.get("prefixItems").and_then(Value::as_array);
    let items = members.get("items");
    let mut made = Vec::new();
    for number in 0..usize::try_from(least).unwrap_or_default() {
        let schema = first.and_then(|first| first.get(number)).or(items);
        made.push(schema.map_or(Value::Null, |schema| make(schema, root, depth)));
    }
    made.into()
}

fn text(members: &Map<String, Value>) -> String {
    let count = |key: &str| members.get(key).and_then(Value::as_u64);
    let mut text = match members.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-01".to_owned(),
        Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
        Some("time") => "00:00:00Z".to_owned(),
        Some("email") => "rehearsal@example.org".to_owned(),
        Some("uri" | "uri-reference" | "iri") => "https://example.org/".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
        Some("hostname") => "example.org".to_owned(),
        Some("ipv4") => "127.0.0.1".to_owned(),
        _ => "rehearsal".to_owned(),
    };
    for _ in text.chars().count() as u64..count("minLength").unwrap_or(0).min(LONGEST) {
        text.push('.');
    }
    if let Some(most) = count("maxLength") {
        text = text.chars().take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
    }
    text
}

fn number(members: &Map<String, Value>, whole: bool) -> Value {
    let limit = |key: &str| members.get(key).and_then(Value::as_f64);
    let step = limit("multipleOf").filter(|step| *step > 0.0).unwrap_or(if whole { 1.0 } else { 0.0 });
    let least = limit("minimum").or_else(|| Some(limit("exclusiveMinimum")? + if step > 0.0 { step } else { 0.5 }));
    let most = limit("maximum").or_else(|| Some(limit("exclusiveMaximum")? - if step > 0.0 { step } else { 0.5 }));
    let mut number = least.unwrap_or(0.0);
    if let Some(most) = most
        && (number > most || (least.is_none() && most < 0.0))
    {
        number = most;
    }
    if step > 0.0 {
        let up = (number / step).ceil() * step;
        number = if most.is_some_and(|most| up > most) { (number / step).floor() * step } else { up };
    }
    if whole || number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_have_what_is_required_and_no_more() {
        for (schema, expected) in [
            (
                json!({"type": "object", "required": ["summary"], "properties": {"summary": {"type": "string"}, "x": {}}}),
                json!({"summary": "rehearsal"}),
            ),
            (
                json!({"properties": {"verdict": {"enum": ["pass", "fail"]}}, "required": ["verdict", "free"]}),
                json!({"verdict": "pass", "free": "rehearsal"}),
            ),
            (json!({"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 3}}), json!([3, 3])),
            (json!({"type": ["null", "number"], "exclusiveMinimum": 1, "maximum": 2}), json!(1.5)),
            (json!({"type": "integer", "minimum": 1, "multipleOf": 5}), json!(5)),
            (json!({"type": "integer", "maximum": -2}), json!(-2)),
            (json!({"type": "string", "minLength": 12, "maxLength": 20}), json!("rehearsal...")),
            (json!({"type": "string", "format": "date-time"}), json!("2026-01-01T00:00:00Z")),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}}), json!(true)),
            (
                json!({"allOf": [{"required": ["a"]}, {"$ref": "#/$defs/b"}], "$defs": {"b": {"required": ["b"], "properties": {"b": {"const": 1}}}}}),
                json!({"a": "rehearsal", "b": 1}),
            ),
            (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!("rehearsal")),
            (
                json!({"type": "object", "oneOf": [{"required": ["a"]}], "properties": {"a": {"default": 7}}}),
                json!({"a": 7}),
            ),
            (json!({"type": "object", "properties": {"a": {"type": "null"}}, "minProperties": 1}), json!({"a": null})),
            (json!(true), Value::Null),
        ] {
            assert_eq!(instance(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"$ref": "#/$defs/a", "$defs": {"a": {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/a"}}}}});
        assert!(instance(&schema).is_object());
        assert_eq!(instance(&json!({"$ref": "#"})), Value::Null);
    }

    #[test]
    fn the_last_schema_in_the_text_counts() {
        let text = "Do it.\n```sh\nls\n```\nlike\n```json\n{\"type\": \"object\"}\n```\nor\n```jsonschema\n{\"enum\": [1]}\n```\nnot ```json\n{\"a\": 1}\n```";
        assert_eq!(schema_in(text), Some(json!({"enum": [1]})));
        assert_eq!(schema_in("```json\n{\"type\": \"string\"}"), Some(json!({"type": "string"})));
        assert_eq!(schema_in("no ``` at all"), None);
    }
}
