//! What a session used up, from the four places in which agents say it.

use serde_json::{Map, Value};
use signalbox_model::Usage;

use super::fields::{count, list, object, text};
use crate::{
    limits::word,
    update::{Update, UsageState},
};

/// Adds up what was used.
#[derive(Debug, Default)]
pub(super) struct Meter {
    state: UsageState,
    /// All turns that ended.
    done: Usage,
    /// Steps of the present turn, where the agent counts them.
    steps: Usage,
    /// What a session that was resumed had cost before.
    before: f64,
}

impl Meter {
    pub(super) fn begin_turn(&mut self) {
        self.done.add(&self.steps);
        self.steps = Usage::default();
    }

    /// One call of the model within the turn.
    pub(super) fn add_step(&mut self, usage: Usage, out: &mut Vec<Update>) {
        self.steps.add(&usage);
        self.tell(None, out);
    }

    /// `usage_update`: the context, and what the session cost in all. The agent's sum of money is of the whole session.
    pub(super) fn context(&mut self, update: &Map<String, Value>, prompted: bool, out: &mut Vec<Update>) {
        let cost = object(update.get("cost"));
        let dollars = text(cost.get("currency")).is_none_or(|currency| currency.eq_ignore_ascii_case("usd"));
        let amount = cost.get("amount").and_then(Value::as_f64).filter(|amount| dollars && amount.is_finite());
        let mut state = self.state.clone();
        state.context_used = count(update.get("used")).or(state.context_used);
        state.context_size = count(update.get("size")).or(state.context_size);
        if let Some(model) = text(object(update.get("_meta")).get("_claude/model")) {
            state.model = Some(word(model));
        }
        match amount {
            Some(amount) if prompted => state.usage.usd = Some((amount - self.before).max(0.0)),
            Some(amount) => self.before = amount,
            None => {}
        }
        self.tell(Some(state), out);
    }

    /// The prompt was answered. Returns what the turn used.
    pub(super) fn end_turn(&mut self, result: &Map<String, Value>, out: &mut Vec<Update>) -> Usage {
        let quota = object(object(result.get("_meta")).get("quota"));
        let said = result.get("usage").and_then(tokens).or_else(|| quota.get("token_count").and_then(tokens));
        let mut turn = said.unwrap_or(self.steps);
        self.steps = Usage::default();
        self.done.add(&Usage { usd: None, ..turn });
        let mut state = self.state.clone();
        if let Some(model) = list(quota.get("model_usage")).iter().find_map(|entry| text(entry.get("model"))) {
            state.model = state.model.or_else(|| Some(word(model)));
        }
        self.tell(Some(state), out);
        turn.usd = None;
        turn
    }

    fn tell(&mut self, state: Option<UsageState>, out: &mut Vec<Update>) {
        let mut state = state.unwrap_or_else(|| self.state.clone());
        let mut usage = self.done;
        usage.add(&self.steps);
        usage.usd = state.usage.usd;
        state.usage = usage;
        if state != self.state {
            self.state = state.clone();
            out.push(Update::Usage(Box::new(state)));
        }
    }
}

/// Counts of tokens by any of their usual names; none if there are none.
///
/// With some agents what came from a cache is part of the input, with others it is beside it: their total tells.
pub(super) fn tokens(value: &Value) -> Option<Usage> {
    let members = value.as_object()?;
    let get = |keys: &[&str]| keys.iter().find_map(|key| count(members.get(*key)));
    let input = get(&["inputTokens", "input_tokens"]);
    let output = get(&["outputTokens", "output_tokens"]);
    if input.is_none() && output.is_none() {
        return None;
    }
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let read =
        get(&["cachedReadTokens", "cachedInputTokens", "cached_input_tokens", "cache_read_input_tokens"]).unwrap_or(0);
    let write = get(&["cachedWriteTokens", "cacheWriteInputTokens", "cache_creation_input_tokens"]).unwrap_or(0);
    let thought = get(&["thoughtTokens", "reasoningOutputTokens", "reasoning_output_tokens"]).unwrap_or(0);
    let total = get(&["totalTokens", "total_tokens"]).unwrap_or(0);
    let sum = |parts: &[u64]| parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
    let cache = sum(&[read, write]);
    let beside = cache > 0 && [sum(&[input, output, cache]), sum(&[input, output, cache, thought])].contains(&total);
    let input_tokens = if beside { sum(&[input, cache]) } else { input };
    let thoughts_beside = thought > 0 && total == sum(&[input_tokens, output, thought]);
    let output_tokens = if thoughts_beside { sum(&[output, thought]) } else { output };
    Some(Usage { input_tokens, output_tokens, cached_tokens: read, usd: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn counts(value: &Value) -> (u64, u64, u64) {
        let usage = tokens(value).unwrap();
        (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    }

    #[test]
    fn the_total_tells_what_the_input_includes() {
        let beside = json!({"inputTokens": 10, "outputTokens": 5, "cachedReadTokens": 100, "cachedWriteTokens": 20, "totalTokens": 135});
        assert_eq!(counts(&beside), (130, 5, 100));
        let within = json!({"inputTokens": 130, "outputTokens": 9, "cachedReadTokens": 100, "thoughtTokens": 4, "totalTokens": 139});
        assert_eq!(counts(&within), (130, 9, 100));
        let thoughts = json!({"inputTokens": 10, "outputTokens": 5, "thoughtTokens": 4, "totalTokens": 19});
        assert_eq!(counts(&thoughts), (10, 9, 0));
        assert_eq!(counts(&json!({"input_tokens": 1.0, "output_tokens": -3})), (1, 0, 0));
    }

    #[test]
    fn what_is_no_count_is_none() {
        for value in [json!("??"), json!(null), json!({"x": 1}), json!({"inputTokens": "a"})] {
            assert_eq!(tokens(&value), None, "{value}");
        }
    }
}
