//! Decides what the model answers next: a pure function of the steps, the thread so far and the faults already served.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::conversation::{Entry, entries};
use crate::script::{Script, steps_in_prompt};
use crate::steps::{RepeatUntil, Step, Usage};
use crate::template::{self, Outputs};

/// What the model says when a script has no step left.
const NOTHING_LEFT: &str = "The script has no further step.";

/// One answer of the model.
#[derive(Debug, PartialEq)]
#[must_use]
pub(crate) struct Reply {
    /// To wait before anything is sent.
    pub delay: Duration,
    /// The output items, in order.
    pub items: Vec<Item>,
    /// The token numbers.
    pub usage: Usage,
    /// The fault that takes the place of a proper end, and its step number (from 0).
    pub fault: Option<(usize, Step)>,
}

/// One output item.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    /// An assistant message.
    Message(String),
    /// A reasoning summary.
    Reasoning(String),
    /// A function call.
    Call {
        name: String,
        namespace: Option<String>,
        arguments: Map<String, Value>,
    },
}

/// The script that governs a thread, and the entries that belong to it.
#[derive(Debug)]
pub(crate) struct Governing {
    /// The steps.
    pub steps: Vec<Step>,
    /// The messages and calls since the prompt that brought the script.
    pub played: Vec<Entry>,
    /// How many messages and calls the whole thread holds; makes ids unique in it.
    pub items_before: usize,
}

/// Finds the script for a request: the latest prompt with a `SCRIPT:` line, else the first conversation that matches the first prompt.
///
/// # Errors
/// A message for the person who wrote the script: no script for this prompt, or one that cannot be read.
pub(crate) fn governing(script: &Script, body: &Value) -> Result<Governing, String> {
    let mut entries = entries(body);
    let items_before = entries
        .iter()
        .filter(|entry| !matches!(entry, Entry::Prompt(_)))
        .count();
    let in_prompt = entries
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, entry)| match entry {
            Entry::Prompt(text) => Some((at, steps_in_prompt(text)?)),
            _ => None,
        });
    let (from, steps) = match in_prompt {
        Some((at, steps)) => (at, steps.map_err(|error| with_source(&error))?),
        None => (0, keyed(script, &entries)?),
    };
    let mut played = entries.split_off(from);
    played.retain(|entry| !matches!(entry, Entry::Prompt(_)));
    Ok(Governing {
        steps,
        played,
        items_before,
    })
}

fn keyed(script: &Script, entries: &[Entry]) -> Result<Vec<Step>, String> {
    let first = entries.iter().find_map(|entry| match entry {
        Entry::Prompt(text) => Some(text.as_str()),
        _ => None,
    });
    let first = first.unwrap_or_default();
    let found = script
        .conversations
        .iter()
        .find(|conversation| first.contains(&conversation.matches));
    let start: String = first.chars().take(200).collect();
    found
        .map(|found| found.steps.clone())
        .ok_or_else(|| format!("no script matches the prompt: {start}"))
}

/// Decides the next answer. `is_served` tells whether the fault at a step number was served before.
///
/// # Errors
/// A message for the person who wrote the script: a reference that cannot be filled in, a repetition that gave up, or a thread
/// that does not fit the steps.
pub(crate) fn next_reply(
    governing: &Governing,
    is_served: impl Fn(usize) -> bool,
) -> Result<Reply, String> {
    let position = replay(&governing.steps, &governing.played)?;
    let mut reply = Reply {
        delay: Duration::ZERO,
        items: Vec::new(),
        usage: Usage::default(),
        fault: None,
    };
    for (at, step) in governing.steps.iter().enumerate().skip(position.step) {
        match step {
            Step::DelayMs(ms) => reply.delay += Duration::from_millis(*ms),
            Step::Usage(usage) => reply.usage = *usage,
            // What stood before a served fault was part of that answer; calls cannot be, they would be in the thread.
            step if step.fault_scope().is_some() && is_served(at) => {
                reply = Reply {
                    delay: Duration::ZERO,
                    items: Vec::new(),
                    usage: Usage::default(),
                    fault: None,
                };
            }
            step if step.fault_scope().is_some() => {
                reply.fault = Some((at, step.clone()));
                return Ok(reply);
            }
            Step::RepeatUntil(repeat) => {
                if position.repeats > 0 {
                    reply.delay += Duration::from_millis(repeat.every_ms);
                }
                reply.items.push(item(&repeat.call, &position.outputs, at)?);
            }
            step => reply.items.push(item(step, &position.outputs, at)?),
        }
        if !step.goes_on() {
            return Ok(reply);
        }
    }
    let said_something = reply
        .items
        .iter()
        .any(|item| !matches!(item, Item::Reasoning(_)));
    if !said_something {
        reply.items.push(Item::Message(NOTHING_LEFT.to_owned()));
    }
    Ok(reply)
}

/// Where a thread stands in its script.
#[derive(Debug, Default)]
struct Position {
    /// The first step that is not played yet.
    step: usize,
    /// How often that step was played, when it is a repetition.
    repeats: u32,
    /// The tool outputs so far.
    outputs: Outputs,
}

/// Plays the thread against the steps: each message and call takes the next step that makes one.
fn replay(steps: &[Step], played: &[Entry]) -> Result<Position, String> {
    let mut position = Position::default();
    for entry in played {
        let is_item = |step: &Step| {
            matches!(step, Step::Say(_) | Step::Note(_) | Step::RepeatUntil(_)) || step.is_call()
        };
        let Some(ahead) = steps[position.step..].iter().position(is_item) else {
            // Only the closing message of an exhausted script can follow.
            position.step = steps.len();
            continue;
        };
        position.step += ahead;
        let step = &steps[position.step];
        match (step, entry) {
            (Step::Say(_) | Step::Note(_), Entry::Message) => position.step += 1,
            (Step::RepeatUntil(repeat), Entry::Call { output }) => {
                position.outputs.push(
                    repeat.call.output_name(),
                    output.clone().unwrap_or_default(),
                );
                position.repeats += 1;
                if is_met(repeat, output.as_ref(), &position.outputs)? {
                    position.step += 1;
                    position.repeats = 0;
                }
            }
            (step, Entry::Call { output }) if step.is_call() => {
                position
                    .outputs
                    .push(step.output_name(), output.clone().unwrap_or_default());
                position.step += 1;
            }
            (step, entry) => {
                let (at, kind) = (position.step + 1, step.kind());
                return Err(format!(
                    "step {at} is `{kind}`, but the thread holds {entry:?} in its place"
                ));
            }
        }
    }
    if let Some(Step::RepeatUntil(repeat)) = steps.get(position.step)
        && position.repeats >= repeat.max
    {
        return Err(format!(
            "step {}: repeat_until gave up after {} calls",
            position.step + 1,
            position.repeats
        ));
    }
    Ok(position)
}

fn is_met(repeat: &RepeatUntil, output: Option<&Value>, outputs: &Outputs) -> Result<bool, String> {
    let found = output
        .and_then(|output| template::at_path(output, &repeat.until.path))
        .unwrap_or(&Value::Null);
    match (&repeat.until.equals, repeat.until.not_null) {
        (Some(expected), _) => Ok(*found == template::fill_value(expected, outputs)?),
        (None, wanted) => Ok(found.is_null() != wanted.unwrap_or(true)),
    }
}

fn item(step: &Step, outputs: &Outputs, at: usize) -> Result<Item, String> {
    unplaced_item(step, outputs).map_err(|problem| format!("step {}: {problem}", at + 1))
}

fn unplaced_item(step: &Step, outputs: &Outputs) -> Result<Item, String> {
    let exec_command = |arguments: Value| Item::Call {
        name: "exec_command".to_owned(),
        namespace: None,
        arguments: arguments.as_object().cloned().unwrap_or_default(),
    };
    match step {
        Step::Say(text) | Step::Note(text) => {
            Ok(Item::Message(template::fill_text(text, outputs)?))
        }
        Step::Think(text) => Ok(Item::Reasoning(template::fill_text(text, outputs)?)),
        Step::Shell(shell) => {
            let mut arguments = json!({"cmd": template::fill_text(&shell.cmd, outputs)?});
            if let Some(workdir) = &shell.workdir {
                arguments["workdir"] = json!(workdir);
            }
            if let Some(ms) = shell.yield_time_ms {
                arguments["yield_time_ms"] = json!(ms);
            }
            Ok(exec_command(arguments))
        }
        Step::Patch(patch) => {
            let text = template::fill_text(&patch.text, outputs)?;
            Ok(exec_command(
                json!({"cmd": format!("apply_patch <<'EOF'\n{}\nEOF", text.trim_end())}),
            ))
        }
        Step::Mcp(mcp) => Ok(Item::Call {
            name: mcp.tool.clone(),
            namespace: Some(format!("mcp__{}", mcp.server.replace('-', "_"))),
            arguments: template::fill_map(&mcp.arguments, outputs)?,
        }),
        Step::Call(call) => Ok(Item::Call {
            name: call.function.clone(),
            namespace: call.namespace.clone(),
            arguments: template::fill_map(&call.arguments, outputs)?,
        }),
        other => Err(format!("`{}` makes no item", other.kind())),
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::{BrokenStream, Hang, Patch, Shell};

    fn reply_to(steps: &[Step], played: Vec<Entry>, served: &[usize]) -> Result<Reply, String> {
        let governing = Governing {
            steps: steps.to_vec(),
            items_before: played.len(),
            played,
        };
        next_reply(&governing, |at| served.contains(&at))
    }

    fn output(value: Value) -> Entry {
        Entry::Call {
            output: Some(value),
        }
    }

    fn message(reply: &Reply) -> &str {
        match reply.items.as_slice() {
            [.., Item::Message(text)] => text,
            other => panic!("no message at the end of {other:?}"),
        }
    }

    fn arguments(reply: &Reply) -> Value {
        match reply.items.as_slice() {
            [.., Item::Call { arguments, .. }] => Value::Object(arguments.clone()),
            other => panic!("no call at the end of {other:?}"),
        }
    }

    #[test]
    fn steps_are_grouped_up_to_the_first_closing_item() {
        let more = Step::Shell(Shell {
            cmd: "one".into(),
            more: true,
            ..Shell::default()
        });
        let steps = [
            Step::Think("t".into()),
            Step::Note("n".into()),
            more,
            Step::shell("two"),
            Step::say("end"),
        ];
        let first = reply_to(&steps, vec![], &[]).unwrap();
        assert_eq!(first.items.len(), 4);
        let played = vec![Entry::Message, output(json!("1")), output(json!("2"))];
        assert_eq!(message(&reply_to(&steps, played, &[]).unwrap()), "end");
    }

    #[test]
    fn a_coordinator_spawns_waits_and_sums_up() {
        let spawn = || Step::mcp("convoke-mcp", "codex_spawn", json!({"prompt": "p"}));
        let ids = json!({"jobIds": ["${a.jobId}", "${out.2.jobId}"], "timeoutMs": 0});
        let steps = [
            spawn().named("a"),
            spawn(),
            Step::mcp("convoke-mcp", "codex_wait_any", ids)
                .named("wait")
                .until_not_null("completedJobId", 3),
            Step::mcp(
                "convoke-mcp",
                "codex_result",
                json!({"jobId": "${wait.completedJobId}"}),
            ),
            Step::say("${wait.completedJobId}: ${last.finalMessage}"),
        ];
        let jobs = || {
            vec![
                output(json!({"jobId": "j1"})),
                output(json!({"jobId": "j2"})),
            ]
        };
        let waiting = || output(json!({"completedJobId": null, "timedOut": true}));

        let mut played = jobs();
        let first_wait = reply_to(&steps, jobs(), &[]).unwrap();
        assert_eq!(
            arguments(&first_wait),
            json!({"jobIds": ["j1", "j2"], "timeoutMs": 0})
        );
        let [Item::Call { namespace, .. }] = first_wait.items.as_slice() else {
            panic!("one call")
        };
        assert_eq!(namespace.as_deref(), Some("mcp__convoke_mcp"));
        played.push(waiting());
        assert_eq!(
            reply_to(&steps, [jobs(), vec![waiting()]].concat_entries(), &[]).unwrap(),
            first_wait
        );
        played.push(output(json!({"completedJobId": "j2", "timedOut": false})));
        let played_again = [
            jobs(),
            vec![waiting(), output(json!({"completedJobId": "j2"}))],
        ]
        .concat_entries();
        assert_eq!(
            arguments(&reply_to(&steps, played_again, &[]).unwrap()),
            json!({"jobId": "j2"})
        );
        played.push(output(json!({"finalMessage": "all good"})));
        assert_eq!(
            message(&reply_to(&steps, played, &[]).unwrap()),
            "j2: all good"
        );

        let never = [jobs(), vec![waiting(), waiting(), waiting()]].concat_entries();
        assert!(
            reply_to(&steps, never, &[])
                .unwrap_err()
                .contains("step 3: repeat_until gave up after 3 calls")
        );
    }

    trait ConcatEntries {
        fn concat_entries(self) -> Vec<Entry>;
    }

    impl ConcatEntries for [Vec<Entry>; 2] {
        fn concat_entries(self) -> Vec<Entry> {
            self.into_iter().flatten().collect()
        }
    }

    #[test]
    fn faults_are_passed_once_they_were_served() {
        let broken = Step::BrokenStream(BrokenStream::default());
        let steps = [
            Step::DelayMs(50),
            Step::http_error(429, "x", "y"),
            Step::Note("n".into()),
            broken,
            Step::DelayMs(7),
            Step::say("z"),
        ];
        let first = reply_to(&steps, vec![], &[]).unwrap();
        assert_eq!(
            (first.delay.as_millis(), first.fault.map(|(at, _)| at)),
            (50, Some(1))
        );
        let second = reply_to(&steps, vec![], &[1]).unwrap();
        assert_eq!(
            (
                second.delay.as_millis(),
                second.items.len(),
                second.fault.map(|(at, _)| at)
            ),
            (0, 1, Some(3))
        );
        // The note before the break came through and is in the thread.
        let third = reply_to(&steps, vec![Entry::Message], &[1, 3]).unwrap();
        assert_eq!((third.delay.as_millis(), message(&third)), (7, "z"));
    }

    #[test]
    fn an_exhausted_script_ends_the_turn() {
        let steps = [Step::shell("ls")];
        assert_eq!(
            message(&reply_to(&steps, vec![output(json!("x"))], &[]).unwrap()),
            NOTHING_LEFT
        );
        assert_eq!(
            message(&reply_to(&steps, vec![output(json!("x")), Entry::Message], &[]).unwrap()),
            NOTHING_LEFT
        );
        assert!(
            reply_to(&[Step::Hang(Hang::default())], vec![], &[0])
                .unwrap()
                .fault
                .is_none()
        );
        let refused = reply_to(&steps, vec![Entry::Message], &[]).unwrap_err();
        assert!(
            refused.contains("step 1 is `shell`, but the thread holds Message"),
            "{refused}"
        );
    }

    #[test]
    fn calls_have_the_arguments_codex_expects() {
        let shell = Step::Shell(Shell {
            cmd: "ls".into(),
            workdir: Some("/x".into()),
            yield_time_ms: Some(5),
            ..Shell::default()
        });
        let reply = reply_to(&[shell], vec![], &[]).unwrap();
        assert_eq!(
            arguments(&reply),
            json!({"cmd": "ls", "workdir": "/x", "yield_time_ms": 5})
        );
        let Step::Patch(Patch { text, .. }) = Step::add_file("a.txt", "one\ntwo\n") else {
            panic!("a patch")
        };
        assert_eq!(
            text,
            "*** Begin Patch\n*** Add File: a.txt\n+one\n+two\n*** End Patch"
        );
        let reply = reply_to(&[Step::patch(text.clone())], vec![], &[]).unwrap();
        assert_eq!(
            arguments(&reply),
            json!({"cmd": format!("apply_patch <<'EOF'\n{text}\nEOF")})
        );
    }

    #[test]
    fn the_latest_script_in_a_prompt_governs_and_keyed_ones_look_at_the_first_prompt() {
        let user = |text: &str| json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
        let said = || json!({"type": "message", "role": "assistant", "content": []});
        let script = Script::default()
            .with("apple", vec![Step::say("a"), Step::say("b")])
            .with("", vec![Step::say("other")]);
        let reply =
            |input: Value| next_reply(&governing(&script, &json!({"input": input}))?, |_| false);

        assert_eq!(message(&reply(json!([user("an apple")])).unwrap()), "a");
        assert_eq!(
            message(&reply(json!([user("an apple"), said(), user("go on")])).unwrap()),
            "b"
        );
        assert_eq!(message(&reply(json!([user("a pear")])).unwrap()), "other");
        let line = Script::prompt_line(&[Step::say("mine")]);
        assert_eq!(
            message(&reply(json!([user("an apple"), said(), user(&line)])).unwrap()),
            "mine"
        );
        assert!(
            reply(json!([user("SCRIPT: [{]")]))
                .unwrap_err()
                .contains("cannot be read: ")
        );
        assert!(
            governing(&Script::default(), &json!({"input": [user("hi")]}))
                .unwrap_err()
                .contains("no script matches the prompt: hi")
        );
    }
}
