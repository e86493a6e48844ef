//! From axes to combinations of values.

use indexmap::IndexMap;
use serde_json::Value;

/// Every combination of the axes' values: the last axis turns fastest. `None` if there are more than `limit`.
pub(super) fn combinations(axes: &[(String, Vec<Value>)], limit: usize) -> Option<Vec<IndexMap<String, Value>>> {
    let total = axes.iter().try_fold(1_usize, |n, (_, values)| n.checked_mul(values.len()))?;
    if total > limit {
        return None;
    }
    let mut out = vec![IndexMap::new()];
    for (name, values) in axes {
        out = out
            .into_iter()
            .flat_map(|before| {
                values.iter().map(move |value| {
                    let mut combination = before.clone();
                    combination.insert(name.clone(), value.clone());
                    combination
                })
            })
            .collect();
    }
    Some(out)
}
