//! The file format as JSON Schema (2020-12), for editors.

use serde_json::Value;

use crate::definition::Definition;

/// The schema of a workflow file.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Definition);
    schema.insert("title".to_owned(), "Signalbox workflow".into());
    schema.to_value()
}
