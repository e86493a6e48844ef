//! The format of scripts.

use regex_lite::Regex;
use serde::Deserialize;
use signalbox_model::{PlanStatus, ToolKind};

/// Longest script in bytes.
const LONGEST: usize = 1 << 20;

/// What the rehearsal agent does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Milliseconds between the words of what it says and thinks.
    #[serde(default)]
    pub chunk_ms: u64,
    /// Tried in order.
    pub scenes: Vec<Scene>,
}

/// What it does about a prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// The prompts it is for: those that contain this text, or match this `/regular expression/`. None: all.
    #[serde(default)]
    pub when: Option<String>,
    /// For how many prompts of a session it plays. None: for any number.
    #[serde(default)]
    pub times: Option<u32>,
    /// As in [`Script`], for this scene.
    #[serde(default)]
    pub chunk_ms: Option<u64>,
    /// One after the other.
    #[serde(rename = "do")]
    pub actions: Vec<Action>,
}

/// Something that it does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Says something.
    Say(String),
    /// Thinks something.
    Think(String),
    /// Shows a plan. Replaces the one before.
    Plan(Vec<PlanLine>),
    /// Reads a file.
    Read(Place),
    /// Writes a file.
    Write(Change),
    /// Replaces a text in a file, once.
    Edit(Edit),
    /// Runs a command in a shell, in the session's folder.
    Run(Run),
    /// Asks for a permission. In the mode `auto` it does not ask and goes on.
    Ask(Ask),
    /// Says what it used.
    Usage(Used),
    /// Waits for so many milliseconds.
    WaitMs(u64),
    /// Answers the prompt with an error.
    Fail(Fail),
    /// Ends the turn for this reason, e.g. `end_turn`, `refusal`, `max_tokens`.
    Stop(String),
}

/// A line of a plan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PlanLine {
    /// Not begun.
    Text(String),
    /// With where it is.
    Entry(PlanEntry),
}

/// A line of a plan with where it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// What.
    pub text: String,
    /// Where it is.
    pub status: PlanStatus,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its path, relative to the session's folder.
    pub path: String,
    /// It may lie outside of the session's folder.
    #[serde(default)]
    pub outside: bool,
}

/// A file and what to write.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its path, relative to the session's folder.
    pub path: String,
    /// Its new content.
    pub text: String,
    /// It may lie outside of the session's folder.
    #[serde(default)]
    pub outside: bool,
}

/// A file and what to replace in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Its path, relative to the session's folder.
    pub path: String,
    /// What to find.
    pub find: String,
    /// What to put there.
    pub replace: String,
    /// It may lie outside of the session's folder.
    #[serde(default)]
    pub outside: bool,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// For `sh -c`.
    pub command: String,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What it wants to do.
    pub title: String,
    /// What kind of tool that is.
    #[serde(default)]
    pub kind: ToolKind,
    /// What it does if it may.
    #[serde(default)]
    pub then: Vec<Action>,
    /// What it does if it may not.
    #[serde(default)]
    pub otherwise: Vec<Action>,
}

/// What was used, beside what was used before.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Tokens that went in.
    #[serde(default)]
    pub input: u64,
    /// Tokens that came out.
    #[serde(default)]
    pub output: u64,
    /// Of those that went in: from a cache.
    #[serde(default)]
    pub cached: u64,
    /// US dollars.
    #[serde(default)]
    pub usd: f64,
    /// Tokens in the context now.
    #[serde(default)]
    pub context_used: Option<u64>,
    /// Tokens that the context holds.
    #[serde(default)]
    pub context_size: Option<u64>,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// Its code, e.g. -32000 for a missing sign-in, 429 for a limit.
    pub code: i32,
    /// Its words.
    pub message: String,
}

/// Why a text is no script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is not YAML, or not of the format.
    #[error("{0}")]
    Format(String),
    /// It has no scene.
    #[error("the script has no scenes: give it at least one")]
    Empty,
    /// It is too long.
    #[error("the script has more than {LONGEST} bytes")]
    TooLong,
    /// A scene's `when` is no regular expression.
    #[error("scene {scene}: {pattern} is no regular expression: {why}")]
    Pattern {
        /// Counts from 1.
        scene: usize,
        /// What stands there.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// What is wrong with it, with line and column if it is the format.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        if text.len() > LONGEST {
            return Err(ScriptError::TooLong);
        }
        let script: Self = serde_saphyr::from_str(text).map_err(|error| ScriptError::Format(error.to_string()))?;
        if script.scenes.is_empty() {
            return Err(ScriptError::Empty);
        }
        for (number, scene) in script.scenes.iter().enumerate() {
            if let Some(pattern) = scene.pattern()
                && let Err(error) = Regex::new(pattern)
            {
                let (scene, pattern, why) = (number + 1, pattern.to_owned(), error.to_string());
                return Err(ScriptError::Pattern { scene, pattern, why });
            }
        }
        Ok(script)
    }

    /// The scene for a prompt. `plays` counts for each scene how often it played, and is counted on.
    pub(super) fn scene(&self, prompt: &str, plays: &mut Vec<u32>) -> Option<&Scene> {
        plays.resize(self.scenes.len(), 0);
        let fits = |scene: &Scene| scene.fits(prompt);
        let left = |number: usize| self.scenes[number].times.is_none_or(|times| plays[number] < times);
        let fitting: Vec<usize> = (0..self.scenes.len()).filter(|number| fits(&self.scenes[*number])).collect();
        let chosen = fitting.iter().copied().find(|number| left(*number)).or(fitting.last().copied())?;
        plays[chosen] = plays[chosen].saturating_add(1);
        self.scenes.get(chosen)
    }
}

impl Scene {
    fn pattern(&self) -> Option<&str> {
        let inside = self.when.as_deref()?.strip_prefix('/')?.strip_suffix('/')?;
        (!inside.is_empty()).then_some(inside)
    }

    fn fits(&self, prompt: &str) -> bool {
        match (&self.when, self.pattern()) {
            (None, _) => true,
            (Some(_), Some(pattern)) => Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(prompt)),
            (Some(text), None) => prompt.contains(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = r"
chunk_ms: 5
scenes:
  - when: tests
    times: 1
    do:
      - think: A first attempt.
      - plan: [Write the file, { text: Check it, status: pending }]
      - read: { path: a.txt }
      - write: { path: a.txt, text: one }
      - edit: { path: a.txt, find: one, replace: two }
      - ask: { title: Run the tests, kind: execute, then: [{ run: { command: make test } }], otherwise: [{ say: 'no' }] }
      - usage: { input: 1200, output: 300, usd: 0.01 }
      - wait_ms: 3
      - fail: { code: 429, message: slow down }
  - when: /(?i)\bTESTS\b/
    do: [{ stop: refusal }]
";

    #[test]
    fn every_action_can_be_written() {
        let script = Script::parse(SCRIPT).unwrap();
        assert_eq!(script.scenes[0].actions.len(), 9);
        let Action::Ask(ask) = &script.scenes[0].actions[5] else { panic!("no question") };
        assert_eq!((ask.kind, ask.then.len(), ask.otherwise.len()), (ToolKind::Execute, 1, 1));
        assert_eq!(script.scenes[1].actions, [Action::Stop("refusal".into())]);
    }

    #[test]
    fn the_nth_prompt_that_fits_plays_the_nth_scene() {
        let script = Script::parse(SCRIPT).unwrap();
        let mut plays = Vec::new();
        let mut scene = |prompt: &str| script.scene(prompt, &mut plays).map(|scene| scene.actions.len());
        assert_eq!(
            [scene("tests!"), scene("tests!"), scene("the Tests"), scene("nothing")],
            [Some(9), Some(1), Some(1), None]
        );
        let once = Script::parse("scenes: [{ times: 1, do: [{ say: a }] }]").unwrap();
        let mut plays = Vec::new();
        assert!(once.scene("a", &mut plays).is_some() && once.scene("b", &mut plays).is_some());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("scenes: []", "no scenes"),
            ("scenes: [{ do: [{ shout: a }] }]", "shout"),
            ("scenes: [{ do: [], wen: x }]", "wen"),
            ("scenes: [{ do: [{ write: { path: a, text: b, mode: c } }] }]", "mode"),
            ("scenes: [{ when: '/(/', do: [] }]", "scene 1: ( is no regular expression"),
            ("- a", "expected"),
        ] {
            let error = Script::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
