//! A script as a whole: keyed conversations and scripts in prompts, read strictly and checked before anything is played.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::steps::{RepeatUntil, Step};
use crate::template;

/// What starts a script in a prompt; it must stand at the start of a line.
const PROMPT_MARK: &str = "SCRIPT:";

/// Everything a server plays. The default has no conversations and plays scripts in prompts only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Scripts chosen by the first prompt of a thread; the first that matches is played.
    #[serde(default)]
    pub conversations: Vec<Conversation>,
}

/// One keyed script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Text that must occur in the first prompt; the empty text matches every prompt.
    #[serde(rename = "match")]
    pub matches: String,
    /// What to play, over all turns of the thread.
    pub steps: Vec<Step>,
}

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Not JSON, or not the shape of a script: the source names line, column, and the unknown or missing key.
    #[error("the script cannot be read")]
    Parse(#[source] serde_json::Error),
    /// The shape is right but a step makes no sense.
    #[error("{place}: {problem}")]
    Step {
        /// Which step, counted from 1.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Script {
    /// A script with one conversation that plays `steps` whatever the prompt is.
    pub fn always(steps: Vec<Step>) -> Self {
        Self::default().with("", steps)
    }

    /// This script and one more conversation, tried after the ones before it.
    #[must_use]
    pub fn with(mut self, matches: impl Into<String>, steps: Vec<Step>) -> Self {
        self.conversations.push(Conversation {
            matches: matches.into(),
            steps,
        });
        self
    }

    /// Reads `{"conversations": [{"match": "…", "steps": […]}]}` and checks it.
    ///
    /// # Errors
    /// [`ScriptError`] when the text is not such a script.
    pub fn from_json(text: &str) -> Result<Self, ScriptError> {
        let script: Self = serde_json::from_str(text).map_err(ScriptError::Parse)?;
        script.check()?;
        Ok(script)
    }

    /// Checks every step of every conversation.
    ///
    /// # Errors
    /// [`ScriptError::Step`] for the first step that cannot be played.
    pub fn check(&self) -> Result<(), ScriptError> {
        for (at, conversation) in self.conversations.iter().enumerate() {
            check_steps(&conversation.steps).map_err(|(step, problem)| ScriptError::Step {
                place: format!("conversation {}, step {step}", at + 1),
                problem,
            })?;
        }
        Ok(())
    }

    /// The line that carries `steps` in a prompt: `SCRIPT: [...]`, with no line break in it.
    pub fn prompt_line(steps: &[Step]) -> String {
        let steps =
            serde_json::to_string(steps).expect("steps hold no map with keys that are not strings");
        format!("{PROMPT_MARK} {steps}")
    }
}

/// The script in a prompt, when it has one: the first line that starts with `SCRIPT:`.
pub(crate) fn steps_in_prompt(prompt: &str) -> Option<Result<Vec<Step>, ScriptError>> {
    let line = prompt
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(PROMPT_MARK))?;
    Some(read_steps(line))
}

fn read_steps(text: &str) -> Result<Vec<Step>, ScriptError> {
    let steps: Vec<Step> = serde_json::from_str(text).map_err(ScriptError::Parse)?;
    check_steps(&steps).map_err(|(step, problem)| ScriptError::Step {
        place: format!("step {step}"),
        problem,
    })?;
    Ok(steps)
}

/// The first step that cannot be played (counted from 1) and why.
fn check_steps(steps: &[Step]) -> Result<(), (usize, String)> {
    let mut names = BTreeSet::new();
    let mut calls = 0;
    for (at, step) in steps.iter().enumerate() {
        check_step(step, &names, calls).map_err(|problem| (at + 1, problem))?;
        if let Some(name) = step.output_name() {
            names.insert(name.to_owned());
        }
        match step {
            // How often it runs is not known beforehand, so every later number is possible.
            Step::RepeatUntil(_) => calls = usize::MAX,
            step if step.is_call() => calls = calls.saturating_add(1),
            _ => {}
        }
    }
    Ok(())
}

fn check_step(step: &Step, names: &BTreeSet<String>, calls: usize) -> Result<(), String> {
    if let Some(name) = step.output_name() {
        template::check_name(name)?;
    }
    match step {
        Step::Say(text) | Step::Note(text) | Step::Think(text) => {
            template::check(text, names, calls)
        }
        Step::Shell(shell) => template::check(&shell.cmd, names, calls),
        Step::Patch(patch) if patch.text.lines().any(|line| line == "EOF") => {
            Err("a patch cannot hold a line that is just EOF: it ends the here-document".to_owned())
        }
        Step::Patch(patch) => template::check(&patch.text, names, calls),
        Step::Mcp(mcp) => check_values(mcp.arguments.values(), names, calls),
        Step::Call(call) => check_values(call.arguments.values(), names, calls),
        Step::RepeatUntil(repeat) => check_repeat(repeat, names, calls),
        Step::HttpError(error) if !(400..=599).contains(&error.status) => Err(format!(
            "http_error needs a status from 400 to 599, not {}",
            error.status
        )),
        _ => Ok(()),
    }
}

fn check_repeat(
    repeat: &RepeatUntil,
    names: &BTreeSet<String>,
    calls: usize,
) -> Result<(), String> {
    if !repeat.call.is_call() || repeat.call.goes_on() {
        return Err(format!(
            "repeat_until can repeat shell, patch, mcp or call (without more), not {}",
            repeat.call.kind()
        ));
    }
    if repeat.max == 0 {
        return Err("repeat_until needs max of at least 1".to_owned());
    }
    if repeat.until.not_null.is_some() == repeat.until.equals.is_some() {
        return Err("until needs exactly one of not_null and equals".to_owned());
    }
    check_values(repeat.until.equals.iter(), names, calls)?;
    check_step(&repeat.call, names, calls)
}

fn check_values<'a>(
    values: impl IntoIterator<Item = &'a Value>,
    names: &BTreeSet<String>,
    calls: usize,
) -> Result<(), String> {
    for value in values {
        match value {
            Value::String(text) => template::check(text, names, calls)?,
            Value::Array(items) => check_values(items, names, calls)?,
            Value::Object(map) => check_values(map.values(), names, calls)?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(steps: &str) -> String {
        let error = read_steps(steps).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn every_step_reads_and_writes_back() {
        let text = r#"[{"think":"t"},{"note":"n"},{"shell":{"cmd":"ls","as":"list"}},{"patch":{"text":"*** Begin Patch"}},
            {"mcp":{"server":"a-b","tool":"t","arguments":{"x":["${list}"]}}},{"call":{"function":"view_image"}},
            {"repeat_until":{"call":{"mcp":{"server":"s","tool":"w"}},"until":{"path":"a.b","equals":null},"max":3,"every_ms":5}},
            {"delay_ms":5},{"usage":{"input_tokens":7}},{"http_error":{"status":429,"retry_after":3,"body":"no","once_per":"server"}},
            {"response_failed":{"code":"c","message":"m"}},{"broken_stream":{}},{"hang":{}},{"say":"${out.9}"}]"#;
        let steps = read_steps(&text.replace('\n', " ")).unwrap();
        let line = Script::prompt_line(&steps);
        assert_eq!(
            steps_in_prompt(&format!("Do it\n  {line}\nthanks"))
                .unwrap()
                .unwrap(),
            steps
        );
    }

    #[test]
    fn bad_scripts_say_what_is_wrong() {
        assert!(problem(r#"[{"sey":"x"}]"#).contains("unknown variant `sey`"));
        assert!(problem(r#"[{"shell":{"cmd":"ls","cwd":"/"}}]"#).contains("unknown field `cwd`"));
        assert!(problem(r#"[{"shell":{}}]"#).contains("missing field `cmd`"));
        assert!(
            problem(r#"[{"say":"${out.1.jobId}"}]"#)
                .contains("step 1: ${out.1.jobId} refers to tool output 1")
        );
        assert!(problem(r#"[{"shell":{"cmd":"echo ${HOME}"}}]"#).contains("$${HOME}"));
        assert!(problem(r#"[{"shell":{"cmd":"ls","as":"out"}}]"#).contains("reserved"));
        assert!(problem(r#"[{"http_error":{"status":200}}]"#).contains("400 to 599"));
        let repeat = r#"[{"repeat_until":{"call":{"say":"x"},"until":{"not_null":true}}}]"#;
        assert!(problem(repeat).contains("not say"));
        let until = r#"[{"repeat_until":{"call":{"shell":{"cmd":"x"}},"until":{}}}]"#;
        assert!(problem(until).contains("exactly one of"));
    }

    #[test]
    fn a_script_within_a_script_is_not_taken_for_the_outer_one() {
        let inner = Script::prompt_line(&[Step::say("worker")]);
        let outer = [Step::mcp(
            "convoke",
            "codex_spawn",
            serde_json::json!({"prompt": format!("work\n{inner}")}),
        )];
        let prompt = format!("coordinate\n{}", Script::prompt_line(&outer));
        assert_eq!(steps_in_prompt(&prompt).unwrap().unwrap(), outer);
        assert!(steps_in_prompt("no script, though SCRIPT: is named").is_none());
    }
}
