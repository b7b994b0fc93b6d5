//! Events in a compact form for people: what the agent said in full, what it
//! did in a line each.

use convoke_api::events::EventView;
use serde_json::Value;

use crate::output::{
    style::{BAD, DIM, GOOD, NOTICE, STRONG, styled},
    text::{clean, one_line},
};

/// Characters of a command or of a thought that are shown.
const LINE: usize = 160;
/// Lines of a failed command's output that are shown.
const OUTPUT_LINES: usize = 5;

/// The event as text with styles; none if people need not see it.
pub fn render(event: &EventView) -> Option<String> {
    let content = &event.content;
    let text = match event.kind.as_str() {
        "message" => message(content)?,
        "tool_call" => styled(DIM, &format!("→ {}", action(content))),
        "tool_result" => tool_result(content),
        "progress" => progress(content)?,
        "queued" => styled(DIM, "queued"),
        "spawned" => styled(DIM, &spawned(content)),
        // The end says the same.
        "error" if string(content, "kind") == "turn_failed" => return None,
        "error" => trouble(content),
        "stopping" => styled(NOTICE, &format!("stopping: {}", string(content, "reason"))),
        "requeued" => requeued(content),
        "question" => format!("{} {}", styled(NOTICE, "?"), clean(words(content))),
        "conflict" | "violation" => {
            let words = one_line(words(content), LINE);
            format!("{} {words}", styled(NOTICE, &format!("{}:", event.kind)))
        }
        "final" => the_end(content),
        other => styled(
            DIM,
            &format!("{} {}", clean(other), one_line(&content.to_string(), LINE)),
        ),
    };
    Some(text)
}

fn message(content: &Value) -> Option<String> {
    let text = clean(string(content, "text"));
    let text = text.trim_end();
    // An empty line of a program is a line; an agent's empty message is nothing.
    let is_line = content.get("stream").is_some();
    (is_line || !text.is_empty()).then(|| text.to_owned())
}

fn tool_result(content: &Value) -> String {
    let action = action(content);
    if is_good(content) {
        return format!("{} {action}", styled(GOOD, "✓"));
    }
    let mut told = format!("{} {action}", styled(BAD, "✗"));
    match exit_code(content) {
        Some(code) => told.push_str(&styled(DIM, &format!(" (exit code {code})"))),
        None => told.push_str(&failure(content)),
    }
    if let Some(output) = content.get("output").and_then(Value::as_str) {
        let output = clean(output);
        let lines: Vec<&str> = output.trim_end().lines().collect();
        for line in &lines[lines.len().saturating_sub(OUTPUT_LINES)..] {
            told.push_str(&styled(DIM, &format!("\n  {}", one_line(line, LINE))));
        }
    }
    told
}

fn failure(content: &Value) -> String {
    let error = content.get("error");
    let message = error.and_then(|error| match error {
        Value::String(text) => Some(text.as_str()),
        other => other.get("message").and_then(Value::as_str),
    });
    message.map_or_else(String::new, |text| {
        styled(DIM, &format!(" ({})", one_line(text, LINE)))
    })
}

fn is_good(content: &Value) -> bool {
    let failed = matches!(string(content, "status"), "failed" | "declined" | "error");
    let exited_badly = exit_code(content).is_some_and(|code| code != 0);
    let error = content.get("error").is_some_and(|error| !error.is_null());
    !(failed || exited_badly || error)
}

fn exit_code(content: &Value) -> Option<i64> {
    content.get("exitCode")?.as_i64()
}

/// What was done, in a line.
fn action(content: &Value) -> String {
    let kind = string(content, "kind");
    match kind {
        "command_execution" => one_line(&command(content), LINE),
        "file_change" => changes(content),
        "mcp_tool_call" => one_line(
            &format!("{}.{}", string(content, "server"), string(content, "tool")),
            LINE,
        ),
        "web_search" => one_line(&format!("search: {}", string(content, "query")), LINE),
        "" => one_line(&content.to_string(), LINE),
        other => one_line(other, LINE),
    }
}

fn command(content: &Value) -> String {
    match content.get("command") {
        Some(Value::String(line)) => without_shell(line).to_owned(),
        Some(Value::Array(words)) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            words.join(" ")
        }
        _ => String::new(),
    }
}

/// The command within `/bin/bash -lc '…'`, which is how agents run everything.
fn without_shell(line: &str) -> &str {
    let Some((shell, rest)) = line.split_once(' ') else {
        return line;
    };
    let shell = shell.rsplit('/').next().unwrap_or(shell);
    let inner = rest.strip_prefix("-lc ").or(rest.strip_prefix("-c "));
    let (Some(inner), "bash" | "sh" | "zsh") = (inner, shell) else {
        return line;
    };
    let bare = ['\'', '"'].iter().find_map(|quote| {
        let bare = inner.strip_prefix(*quote)?.strip_suffix(*quote)?;
        (!bare.contains(*quote) && !bare.contains('\\')).then_some(bare)
    });
    let is_word = !inner.contains(['\'', '"', '\\', ' ']);
    bare.unwrap_or(if is_word { inner } else { line })
}

/// `+` new, `-` gone, `~` changed.
fn changes(content: &Value) -> String {
    let changes = content.get("changes").and_then(Value::as_array);
    let named = changes.into_iter().flatten().map(|change| {
        let sign = match string(change, "kind") {
            "add" => '+',
            "delete" => '-',
            _ => '~',
        };
        format!("{sign}{}", string(change, "path"))
    });
    let named: Vec<String> = named.collect();
    one_line(&format!("edit {}", named.join(" ")), LINE)
}

fn progress(content: &Value) -> Option<String> {
    match string(content, "kind") {
        "reasoning" => {
            let thought = one_line(&string(content, "text").replace("**", ""), LINE);
            (!thought.is_empty()).then(|| styled(DIM, &format!("· {thought}")))
        }
        "todo_list" => Some(styled(DIM, &plan(content))),
        "stderr" | "output" => Some(styled(DIM, &clean(string(content, "text")))),
        "reconnecting" | "warning" | "notice" => {
            Some(format!("{} {}", styled(NOTICE, "!"), clean(words(content))))
        }
        _ => None,
    }
}

fn trouble(content: &Value) -> String {
    let mut told = format!("{} {}", styled(BAD, "!"), clean(words(content)));
    let remedy = string(content, "remedy");
    if !remedy.is_empty() {
        told.push_str(&styled(DIM, &format!("\n  {}", clean(remedy))));
    }
    told
}

fn plan(content: &Value) -> String {
    let items = content.get("items").and_then(Value::as_array);
    let items: Vec<&Value> = items.into_iter().flatten().collect();
    let is_done = |item: &&&Value| item.get("completed") == Some(&Value::Bool(true));
    let done = items.iter().filter(is_done).count();
    let next = items
        .iter()
        .find(|item| !is_done(item))
        .map(|item| string(item, "text"));
    let next = next.map_or_else(String::new, |next| format!(": {}", one_line(next, LINE)));
    format!("· plan {done}/{}{next}", items.len())
}

fn spawned(content: &Value) -> String {
    let pid = content.get("pid").and_then(Value::as_u64);
    let attempt = content.get("attempt").and_then(Value::as_u64).unwrap_or(1);
    let mut text = "started".to_owned();
    if attempt > 1 {
        text.push_str(&format!(", attempt {attempt}"));
    }
    if let Some(pid) = pid {
        text.push_str(&format!(", process {pid}"));
    }
    text
}

fn requeued(content: &Value) -> String {
    let attempt = content.get("attempt").and_then(Value::as_u64).unwrap_or(0);
    let until = string(content, "notBefore");
    let until = if until.is_empty() {
        String::new()
    } else {
        format!("; again at {until}")
    };
    let why = clean(string(content, "message"));
    styled(NOTICE, &format!("attempt {attempt} ended: {why}{until}"))
}

fn the_end(content: &Value) -> String {
    let status = string(content, "status");
    let (style, mark) = match status {
        "done" => (GOOD, "✓"),
        "failed" => (BAD, "✗"),
        _ => (STRONG, "■"),
    };
    let mut told = styled(style, &format!("{mark} {}", clean(status)));
    let code = string(content, "code");
    if !code.is_empty() {
        told.push_str(&format!(" ({})", clean(code)));
    }
    let message = string(content, "message");
    if !message.is_empty() {
        told.push_str(&format!(": {}", clean(message)));
    }
    told
}

/// The words of an event that has no fixed shape.
fn words(content: &Value) -> &str {
    let keys = ["text", "message", "prompt"];
    let found = keys.iter().find_map(|key| content.get(key)?.as_str());
    found.unwrap_or_else(|| string(content, "kind"))
}

fn string<'a>(content: &'a Value, key: &str) -> &'a str {
    content.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use serde_json::json;

    use super::*;

    fn shown(kind: &str, content: Value) -> String {
        let event = EventView {
            seq: 1,
            attempt: Some(1),
            kind: kind.to_owned(),
            timestamp: "2026-01-01T00:00:00Z".to_owned(),
            content,
            truncated: false,
            artifact: None,
        };
        let text = render(&event).unwrap_or_else(|| "(nothing)".to_owned());
        strip_str(&text).to_string()
    }

    #[test]
    fn a_job() {
        let plan =
            json!([{"text": "look", "completed": true}, {"text": "mend", "completed": false}]);
        let events = [
            shown("queued", json!({"agent": "codex"})),
            shown(
                "spawned",
                json!({"attempt": 1, "pid": 42, "containment": "namespace"}),
            ),
            shown("progress", json!({"kind": "thread_started"})),
            shown(
                "progress",
                json!({"kind": "reasoning", "text": "**Looking**\n\naround"}),
            ),
            shown("progress", json!({"kind": "todo_list", "items": plan})),
            shown(
                "tool_call",
                json!({"kind": "command_execution", "command": "cargo test"}),
            ),
            shown(
                "tool_result",
                json!({"kind": "command_execution", "command": "cargo test",
                "exitCode": 101, "status": "failed", "output": "one\ntwo\n"}),
            ),
            shown(
                "tool_result",
                json!({"kind": "file_change", "status": "completed", "changes":
                [{"path": "a.rs", "kind": "add"}, {"path": "b.rs", "kind": "update"}]}),
            ),
            shown(
                "tool_result",
                json!({"kind": "mcp_tool_call", "server": "docs", "tool": "find",
                "error": {"message": "no such page"}}),
            ),
            shown(
                "tool_result",
                json!({"kind": "web_search", "query": "rust"}),
            ),
            shown("message", json!({"text": "All\nmended.\n"})),
            shown("final", json!({"status": "done", "exitCode": 0})),
        ];
        insta::assert_snapshot!(events.join("\n"), @r"
        queued
        started, process 42
        (nothing)
        · Looking around
        · plan 1/2: mend
        → cargo test
        ✗ cargo test (exit code 101)
          one
          two
        ✓ edit +a.rs ~b.rs
        ✗ docs.find (no such page)
        ✓ search: rust
        All
        mended.
        ✓ done
        ");
    }

    #[test]
    fn trouble() {
        let events = [
            shown(
                "progress",
                json!({"kind": "reconnecting", "message": "Reconnecting… 1/5"}),
            ),
            shown(
                "error",
                json!({"kind": "sandbox_denied", "message": "denied", "remedy": "ask for more"}),
            ),
            shown(
                "requeued",
                json!({"attempt": 1, "message": "overloaded", "notBefore": "later"}),
            ),
            shown("spawned", json!({"attempt": 2})),
            shown("stopping", json!({"reason": "user", "force": false})),
            shown(
                "violation",
                json!({"kind": "commit", "message": "the agent committed"}),
            ),
            shown("novelty", json!({"x": 1})),
            shown(
                "final",
                json!({"status": "failed", "code": "timed_out", "message": "30 s passed"}),
            ),
        ];
        insta::assert_snapshot!(events.join("\n"), @r#"
        ! Reconnecting… 1/5
        ! denied
          ask for more
        attempt 1 ended: overloaded; again at later
        started, attempt 2
        stopping: user
        violation: the agent committed
        novelty {"x":1}
        ✗ failed (timed_out): 30 s passed
        "#);
    }

    #[test]
    fn shells_are_left_out() {
        assert_eq!(
            without_shell("/bin/bash -lc 'cargo test -p x'"),
            "cargo test -p x"
        );
        assert_eq!(without_shell("bash -c ls"), "ls");
        for kept in [
            "ls -lc 'x'",
            "bash -lc 'a'\\''b'",
            "bash -lc a b",
            "make",
            "sh",
        ] {
            assert_eq!(without_shell(kept), kept);
        }
    }

    #[test]
    fn programs() {
        assert_eq!(
            shown("message", json!({"text": "", "stream": "stdout"})),
            ""
        );
        assert_eq!(shown("message", json!({"text": ""})), "(nothing)");
        assert_eq!(
            shown("progress", json!({"kind": "stderr", "text": "oops"})),
            "oops"
        );
        assert_eq!(
            shown("message", json!({"text": "a\u{1b}[2J"})),
            "a\u{fffd}[2J"
        );
    }
}
