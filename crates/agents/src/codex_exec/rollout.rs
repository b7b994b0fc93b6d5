//! The record Codex itself keeps of a conversation, for the one thing its
//! stream does not tell: a command that the sandbox denies at once leaves no
//! item there.
//!
//! The record lies in `$CODEX_HOME/sessions/YYYY/MM/DD/` by the local date of
//! the conversation's beginning, under a name that ends with the thread's id.
//! It is Codex's own format, so whatever is not understood is passed over.

use std::collections::HashMap;

use convoke_core::{event::NewEvent, sandbox::Sandbox, time::UnixMillis};
use serde_json::{Value, json};

use super::denials;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The folders, relative to Codex's home, in which the record of a thread may
/// lie. A thread's id begins with its time of birth; the local date is at most
/// a day away. None for an id of another kind.
#[must_use]
pub fn folders(thread: &str) -> Vec<String> {
    let digits: String = thread.chars().filter(|c| *c != '-').take(12).collect();
    let Ok(born) = u64::from_str_radix(&digits, 16) else {
        return Vec::new();
    };
    [
        born,
        born.saturating_sub(DAY_MS),
        born.saturating_add(DAY_MS),
    ]
    .into_iter()
    .filter_map(|day| {
        let date = UnixMillis(day).to_rfc3339();
        Some(format!("sessions/{}", date.get(..10)?.replace('-', "/")))
    })
    .collect()
}

/// Whether a file of that name is the record of a thread.
#[must_use]
pub fn is_record_of(thread: &str, file_name: &str) -> bool {
    file_name
        .strip_suffix(".jsonl")
        .is_some_and(|name| name.starts_with("rollout-") && name.ends_with(thread))
}

/// The commands of a record that the sandbox denied since an instant.
#[must_use]
pub fn denied(record: &str, since: UnixMillis, sandbox: Sandbox) -> Vec<NewEvent> {
    let mut commands: HashMap<String, String> = HashMap::new();
    let mut denied = Vec::new();
    for line in record.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let at = line["timestamp"].as_str().and_then(UnixMillis::parse);
        if at.is_none_or(|at| at < since) {
            continue;
        }
        let payload = &line["payload"];
        let call = payload["call_id"].as_str().unwrap_or_default();
        match payload["type"].as_str() {
            Some("function_call") => {
                if let Some(command) = command(payload) {
                    commands.insert(call.to_owned(), command);
                }
            }
            Some("function_call_output") => {
                let item = commands
                    .get(call)
                    .and_then(|command| ended(command, payload["output"].as_str()?));
                denied.extend(item.and_then(|item| denials::in_command(&item, sandbox)));
            }
            _ => {}
        }
    }
    denied
}

fn command(call: &Value) -> Option<String> {
    let arguments: Value = serde_json::from_str(call["arguments"].as_str()?).ok()?;
    arguments["cmd"].as_str().map(str::to_owned)
}

/// The answer to a command, in the form of an item of the stream.
fn ended(command: &str, answer: &str) -> Option<Value> {
    let (head, output) = answer.split_once("\nOutput:\n")?;
    let code = head
        .lines()
        .find_map(|line| line.strip_prefix("Process exited with code "))?
        .parse::<i64>()
        .ok()?;
    Some(json!({"command": command, "aggregated_output": output, "exit_code": code}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREAD: &str = "01a1f906-b4ab-79e0-8902-9c4a24827bca";

    #[test]
    fn a_record_is_found_by_its_thread() {
        assert_eq!(
            folders(THREAD),
            [
                "sessions/2026/11/20",
                "sessions/2026/11/19",
                "sessions/2026/11/21"
            ]
        );
        assert!(folders("no thread").is_empty());
        let name = format!("rollout-2026-11-20T12-55-28-{THREAD}.jsonl");
        assert!(is_record_of(THREAD, &name));
        assert!(!is_record_of(
            THREAD,
            "rollout-2026-11-20T12-55-28-other.jsonl"
        ));
    }

    #[test]
    fn denied_commands_since_an_instant() {
        let call = |id: &str, at: &str, code: i32, output: &str| {
            let arguments = json!({"cmd": format!("command {id}")}).to_string();
            let answer = format!(
                "Chunk ID: 1\nWall time: 0.0 seconds\nProcess exited with code {code}\nOutput:\n{output}\n"
            );
            let call = json!({"timestamp": at, "payload": {"type": "function_call", "name": "exec_command", "arguments": arguments, "call_id": id}});
            let answer = json!({"timestamp": at, "payload": {"type": "function_call_output", "call_id": id, "output": answer}});
            format!("{call}\n{answer}\n")
        };
        let (early, late) = ("2026-11-20T12:55:28.000Z", "2026-11-20T12:55:29.000Z");
        let record = [
            call("a", early, 1, "bash: f: Read-only file system"),
            call("b", late, 1, "bash: g: Read-only file system"),
            call("c", late, 0, "fine"),
            "no json\n".to_owned(),
        ]
        .concat();
        let since = UnixMillis::parse(late).unwrap();
        let found = denied(&record, since, Sandbox::ReadOnly);
        let messages: Vec<&Value> = found.iter().map(|e| &e.content["message"]).collect();
        assert_eq!(messages, ["bash: g: Read-only file system"]);
        assert_eq!(found[0].content["command"], "command b");
        assert!(denied(&record, since, Sandbox::DangerFullAccess).is_empty());
    }
}
