//! What the rehearsal agent does without a script: something sensible about any prompt.

use regex_lite::Regex;
use signalbox_model::{PlanStatus, ToolKind};
use std::sync::LazyLock;

use super::{
    instance::{instance, schema_in},
    script::{Action, Ask, Change, PlanEntry, PlanLine, Scene, Used},
};
use crate::limits::head;

/// Milliseconds between words: slow enough to be seen.
pub(super) const CHUNK_MS: u64 = 12;

/// The scene for a prompt. `earlier` counts the prompts before it; with `changes` it may write.
pub(super) fn scene(prompt: &str, earlier: u32, changes: bool) -> Scene {
    let goal = goal(prompt);
    let schema = schema_in(prompt);
    let file = named_file(prompt).or_else(|| schema.is_none().then(|| format!("notes/{}.md", slug(&goal))));
    let file = file.filter(|_| changes);
    let mut actions = vec![Action::Think(format!(
        "This is a rehearsal: no model is behind it. {}",
        if earlier == 0 { "It shows what an agent would do." } else { "It is told something once more." }
    ))];
    let (pending, done) = (plan(PlanStatus::InProgress, PlanStatus::Pending, file.as_deref()), PlanStatus::Completed);
    actions.push(Action::Plan(pending));
    actions.push(Action::Say(match (earlier, &file) {
        (0, Some(file)) => format!("I would now work on: {goal}. For the rehearsal I write `{file}`."),
        (0, None) => format!("I would now work on: {goal}."),
        (_, Some(file)) => format!("I was told again: {goal}. I write `{file}` anew."),
        (_, None) => format!("I was told again: {goal}."),
    }));
    if let Some(path) = &file {
        let text = notes(&goal, prompt, earlier);
        let write = Action::Write(Change { path: path.clone(), text, outside: false });
        actions.push(Action::Ask(Ask {
            title: format!("Write {path}"),
            kind: ToolKind::Edit,
            then: vec![write],
            otherwise: vec![Action::Say("I was not allowed to write it.".into())],
        }));
    }
    actions.push(Action::Plan(plan(done, done, file.as_deref())));
    let words = prompt.split_whitespace().count() as u64;
    let used = Used { input: 50 + words * 2, output: 120, context_used: Some(170 + words * 2), ..Used::default() };
    actions.push(Action::Usage(Used { context_size: Some(200_000), ..used }));
    actions.push(Action::Say(match &schema {
        Some(schema) => {
            let answer = serde_json::to_string_pretty(&instance(schema)).unwrap_or_default();
            format!("```json\n{answer}\n```\n")
        }
        None => "That was the rehearsal.".to_owned(),
    }));
    Scene { when: None, times: None, chunk_ms: Some(CHUNK_MS), actions }
}

fn plan(first: PlanStatus, rest: PlanStatus, file: Option<&str>) -> Vec<PlanLine> {
    let write = file.map_or_else(|| "Think about it".to_owned(), |file| format!("Write {file}"));
    [("Read the prompt".to_owned(), PlanStatus::Completed), (write, first), ("Report".to_owned(), rest)]
        .map(|(text, status)| PlanLine::Entry(PlanEntry { text, status }))
        .to_vec()
}

/// The prompt's first sentence.
fn goal(prompt: &str) -> String {
    let line =
        prompt.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("```")).unwrap_or("nothing");
    let end = line.find(". ").unwrap_or(line.len());
    head(line[..end].trim_end_matches('.'), 160).to_owned()
}

/// A file that the prompt wants written.
fn named_file(prompt: &str) -> Option<String> {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\b(?:write|create)\s+(?:to\s+)?(?:an?\s+|the\s+)?(?:file\s+)?[`']?([\w][\w./-]*\.[a-z]\w{0,5})\b",
        )
        .expect("a constant pattern")
    });
    let name = NAMED.captures(prompt)?.get(1)?.as_str();
    let plain = !name.split('/').any(|part| part == "..") && name.len() < 200;
    plain.then(|| name.to_owned())
}

fn slug(goal: &str) -> String {
    let letters =
        goal.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let words: String = letters.collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).take(6).collect();
    let slug = head(&words.join("-"), 60).to_owned();
    if slug.is_empty() { "rehearsal".to_owned() } else { slug }
}

fn notes(goal: &str, prompt: &str, earlier: u32) -> String {
    let told: String = head(prompt.trim(), 2000).lines().map(|line| format!("> {line}\n")).collect();
    let again = if earlier == 0 { String::new() } else { format!("\nThis is attempt {}.\n", earlier + 1) };
    format!("# {goal}\n\nWritten by a rehearsal: no model was asked.\n{again}\nWhat was wanted:\n\n{told}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prompt: &str) -> Option<String> {
        scene(prompt, 0, true).actions.into_iter().find_map(|action| match action {
            Action::Ask(ask) => match ask.then.into_iter().next() {
                Some(Action::Write(change)) => Some(change.path),
                _ => None,
            },
            _ => None,
        })
    }

    #[test]
    fn the_prompt_names_the_file() {
        assert_eq!(written("Goal: x. Write plan.md and return JSON").as_deref(), Some("plan.md"));
        assert_eq!(written("create a file `docs/a-b.txt`, please").as_deref(), Some("docs/a-b.txt"));
        assert_eq!(written("write ../../etc/x.conf").as_deref(), Some("notes/write-etc-x-conf.md"));
        assert_eq!(written("Make it faster. Then stop.").as_deref(), Some("notes/make-it-faster.md"));
        assert_eq!(written("").as_deref(), Some("notes/nothing.md"));
        assert_eq!(written("Judge it.\n```json\n{\"type\": \"object\"}\n```"), None);
    }

    #[test]
    fn a_schema_is_answered_with_an_instance() {
        let prompt = "Judge.\n```json\n{\"required\": [\"verdict\"], \"properties\": {\"verdict\": {\"enum\": [\"pass\"]}}}\n```";
        let Some(Action::Say(last)) = scene(prompt, 0, true).actions.pop() else { panic!("it says nothing") };
        assert_eq!(last, "```json\n{\n  \"verdict\": \"pass\"\n}\n```\n");
    }
}
