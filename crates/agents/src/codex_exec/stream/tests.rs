//! Tests of single lines. Whole streams of the real program are read in
//! `tests/recorded_streams.rs`.

use super::*;

fn driver() -> CodexExec {
    CodexExec::new(Sandbox::ReadOnly)
}

fn out(driver: &mut CodexExec, line: &str) -> Vec<Derived> {
    driver.on_line(Stream::Stdout, line.as_bytes())
}

/// Kind and content of the events among what was derived.
fn events(derived: Vec<Derived>) -> Vec<(EventKind, Value)> {
    derived
        .into_iter()
        .filter_map(|derived| match derived {
            Derived::Event(event) => Some((event.kind, event.content)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_key_that_occurs_twice_is_tolerated() {
    let line = r#"{"type":"item.completed","item":{"id":"item_3","type":"web_search","id":"ws_1","query":"rust","action":{"type":"search"}}}"#;
    let found = events(out(&mut driver(), line));
    assert_eq!(
        found,
        [(
            EventKind::ToolResult,
            json!({"kind": "web_search", "id": "ws_1", "query": "rust", "action": {"type": "search"}})
        )]
    );
}

#[test]
fn plans_and_thoughts_are_progress() {
    let mut driver = driver();
    for (line, content) in [
        (
            r#"{"type":"item.updated","item":{"id":"i","type":"todo_list","items":[{"text":"a","completed":true}]}}"#,
            json!({"kind": "todo_list", "id": "i", "items": [{"text": "a", "completed": true}]}),
        ),
        (
            r#"{"type":"item.completed","item":{"id":"i","type":"reasoning","text":"häh"}}"#,
            json!({"kind": "reasoning", "id": "i", "text": "häh"}),
        ),
    ] {
        assert_eq!(
            events(out(&mut driver, line)),
            [(EventKind::Progress, content)]
        );
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    let mut driver = driver();
    let line = r#"{"type":"comet.seen","tail":3}"#;
    assert_eq!(
        events(out(&mut driver, line)),
        [(
            EventKind::Progress,
            json!({"kind": "unknown", "type": "comet.seen", "raw": {"type": "comet.seen", "tail": 3}})
        )]
    );
    for line in [
        "plain text",
        "{\"no\":\"type\"}",
        "[1]",
        "{\"type\":\"item.comp",
    ] {
        assert_eq!(
            events(out(&mut driver, line)),
            [(EventKind::Progress, json!({"kind": "output", "text": line}))]
        );
    }
    assert!(out(&mut driver, " \r").is_empty());
    let derived = driver.on_line(Stream::Stdout, b"{\"type\":\"error\",\"message\":\"\xff\"}");
    assert_eq!(
        events(derived),
        [(EventKind::Error, json!({"message": "\u{fffd}"}))]
    );
}

#[test]
fn sub_agents_are_a_violation() {
    let line = r#"{"type":"item.started","item":{"id":"i","type":"collab_tool_call","tool":"spawn_agent"}}"#;
    let kinds: Vec<EventKind> = events(out(&mut driver(), line))
        .into_iter()
        .map(|e| e.0)
        .collect();
    assert_eq!(kinds, [EventKind::ToolCall, EventKind::Violation]);
}

#[test]
fn a_denied_command_is_told_with_its_remedy() {
    let mut driver = driver();
    let line = r#"{"type":"item.completed","item":{"id":"i","type":"command_execution","command":"touch x","aggregated_output":"touch: cannot touch 'x': Read-only file system\n","exit_code":1,"status":"failed"}}"#;
    let found = events(out(&mut driver, line));
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].1["kind"], "sandbox_denied");
    assert_eq!(driver.denials(), 1);
}

#[test]
fn the_stream_decides_and_the_exit_code_only_without_it() {
    let mut driver = driver();
    out(&mut driver, r#"{"type":"turn.started"}"#);
    let item = r#"{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"ls"}}"#;
    out(&mut driver, item);
    assert_eq!(
        driver.open_items().collect::<Vec<_>>(),
        [("item_1", "command_execution")]
    );
    let failure = driver.account(AgentExit::Signal(9)).failure.unwrap();
    assert_eq!(failure.code, FailureCode::AgentFailed);
    assert_eq!(
        failure.message,
        "codex ended with signal 9 in the middle of its turn"
    );

    let notice = r#"{"type":"error","message":"Reconnecting... waiting for network (Connection failed: error sending request)"}"#;
    let found = events(out(&mut driver, notice));
    assert_eq!(found[0].1["kind"], "reconnecting");
    let failure = driver.account(AgentExit::Code(1)).failure.unwrap();
    assert_eq!(failure.code, FailureCode::Network);

    out(
        &mut driver,
        r#"{"type":"turn.failed","error":{"message":"{\"detail\":\"no such model\"}"}}"#,
    );
    let failure = driver.account(AgentExit::Code(0)).failure.unwrap();
    assert_eq!(failure.message, "the turn of codex failed: no such model");

    // A later turn of the same process replaces the outcome.
    out(&mut driver, r#"{"type":"turn.started"}"#);
    out(&mut driver, r#"{"type":"turn.completed","usage":null}"#);
    assert_eq!(driver.account(AgentExit::Code(1)).failure, None);
    assert_eq!(driver.account(AgentExit::Signal(15)).usage, None);
}

#[test]
fn an_empty_message_does_not_hide_the_last_one() {
    let mut driver = driver();
    let say = |text: &str| {
        json!({"type": "item.completed", "item": {"type": "agent_message", "text": text}})
            .to_string()
    };
    out(&mut driver, &say("größe"));
    out(&mut driver, &say(""));
    let account = driver.account(AgentExit::Code(0));
    assert_eq!(account.final_message.as_deref(), Some("größe"));
}
