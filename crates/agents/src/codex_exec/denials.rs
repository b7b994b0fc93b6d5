//! What the sandbox refused.
//!
//! A denied command only shows in its output, and often the command as a
//! whole succeeds. A denied patch shows nowhere on stdout: Codex logs it to
//! stderr and tells the model.

use convoke_core::{
    event::{EventKind, NewEvent},
    sandbox::Sandbox,
};
use serde_json::{Value, json};

/// Errors that only a sandbox gives, wherever they stand.
const READ_ONLY: &[&str] = &["Read-only file system", "EROFS"];
/// Errors that may come from the sandbox, when the command failed by them.
const NOT_PERMITTED: &[&str] = &["Operation not permitted", "Permission denied"];

/// The denial a completed command shows, if any.
#[must_use]
pub fn in_command(item: &Value, sandbox: Sandbox) -> Option<NewEvent> {
    if sandbox == Sandbox::DangerFullAccess {
        return None;
    }
    let output = item["aggregated_output"].as_str()?;
    let failed = item["exit_code"].as_i64().is_none_or(|code| code != 0);
    let line = output.lines().map(str::trim_end).find(|line| {
        if failed {
            READ_ONLY.iter().any(|word| line.contains(word))
                || NOT_PERMITTED.iter().any(|word| line.ends_with(word))
        } else {
            // Only the form of a system error: the text may be quoted from a
            // file by a command that did nothing wrong.
            line.ends_with(": Read-only file system")
        }
    })?;
    let command = item["command"].as_str().unwrap_or_default();
    Some(event(
        line,
        sandbox,
        json!({"itemId": item["id"], "command": command}),
    ))
}

/// The denial a line of stderr shows, if any: `… error=patch rejected: …`.
#[must_use]
pub fn in_stderr(line: &str, sandbox: Sandbox) -> Option<NewEvent> {
    let (_, reason) = line.split_once("error=patch rejected: ")?;
    let reason = reason.split("; rejected by").next().unwrap_or(reason);
    Some(event(
        &format!("patch rejected: {reason}"),
        sandbox,
        json!({}),
    ))
}

fn event(message: &str, sandbox: Sandbox, more: Value) -> NewEvent {
    let remedy = match sandbox {
        Sandbox::ReadOnly => {
            "the job runs read-only: give it the sandbox `workspace-write` if it is meant to write"
        }
        Sandbox::WorkspaceWrite | Sandbox::DangerFullAccess => {
            "the job may write below its working folder only, without `.git`: add the folder with `addDirs` or start the job in a wider folder"
        }
    };
    let mut content = json!({
        "kind": "sandbox_denied",
        "message": message,
        "sandbox": sandbox,
        "remedy": remedy,
    });
    if let (Some(content), Value::Object(more)) = (content.as_object_mut(), more) {
        content.extend(more);
    }
    NewEvent::new(EventKind::Error, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(output: &str, exit_code: i32) -> Value {
        json!({"id": "item_1", "command": "c", "aggregated_output": output, "exit_code": exit_code})
    }

    #[test]
    fn denied_commands() {
        let table = [
            (
                "touch: cannot touch 'x': Read-only file system\n/repo\n",
                0,
                true,
            ),
            ("/bin/bash: line 1: /x: Read-only file system\r\n", 1, true),
            ("OSError: [Errno 30] Read-only file system: '/x'\n", 1, true),
            ("rm: cannot remove 'x': Operation not permitted\n", 1, true),
            ("bash: /etc/x: Permission denied\n", 1, true),
            ("bash: /etc/x: Permission denied\n", 0, false),
            ("the manual says Read-only file system means\n", 0, false),
            ("", 1, false),
        ];
        for (output, exit_code, denied) in table {
            let item = command(output, exit_code);
            let found = in_command(&item, Sandbox::ReadOnly);
            assert_eq!(found.is_some(), denied, "{output}");
            assert_eq!(in_command(&item, Sandbox::DangerFullAccess), None);
        }
    }

    #[test]
    fn denied_patches() {
        let line = "2026-11-20T11:50:08.215753Z ERROR codex_core::tools::router: error=patch rejected: writing outside of the project; rejected by user approval settings";
        let event = in_stderr(line, Sandbox::WorkspaceWrite).unwrap();
        assert_eq!(event.kind, EventKind::Error);
        assert_eq!(event.content["kind"], "sandbox_denied");
        assert_eq!(
            event.content["message"],
            "patch rejected: writing outside of the project"
        );
        assert_eq!(in_stderr("anything else", Sandbox::ReadOnly), None);
    }
}
