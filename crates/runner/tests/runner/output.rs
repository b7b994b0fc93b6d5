//! Every byte arrives, however it was written.

use convoke_core::runner_protocol::{Control, Stream, paths};
use serde_json::json;

use crate::kit::{Plan, allocated, settings};

#[test]
fn huge_lines_arrive_whole() {
    let script = json!([{"do":"out","size":3_000_000}, {"do":"err","size":200_000},
        {"do":"out","text":"last"}]);
    let mut run = Plan::new(script).start();
    let record = run.finish();
    assert_eq!(record.output_bytes, 3_000_001 + 200_001 + 5);
    let lines = run.lines();
    let sizes = |stream| -> Vec<usize> {
        lines
            .iter()
            .filter(|line| line.stream == stream)
            .map(|line| line.bytes.len())
            .collect()
    };
    assert_eq!(sizes(Stream::Out), [3_000_000, 4]);
    assert_eq!(sizes(Stream::Err), [200_000]);
    let length = std::fs::metadata(run.folder.join(paths::JOURNAL))
        .unwrap()
        .len();
    assert_eq!(record.journal_len, length);
}

#[test]
fn half_characters_and_unterminated_lines_arrive() {
    let script = json!([
        {"do":"out","text":"h","hex":"c3","newline":false},
        {"do":"wait_file","path":"gate"},
        {"do":"out","hex":"a9","text":"","newline":true},
        {"do":"out","text":"no newline","newline":false},
    ]);
    let mut run = Plan::new(script).start();
    crate::kit::wait_for("the first half", || {
        let found = run.records().iter().any(|r| r.data == b"h\xc3");
        found.then_some(())
    });
    run.open_gate("gate");
    run.finish();
    assert_eq!(run.stdout(), ["hé", "no newline"]);
    assert!(!run.lines().last().unwrap().terminated);
}

#[test]
fn a_grandchild_that_holds_stdout_does_not_hold_the_end() {
    for setting in settings() {
        let script = json!([
            {"do":"fork","mode":"double_fork","hold_stdout":true,"steps":[
                {"do":"out","text":"from below"},
                {"do":"write","path":"below"},
                {"do":"stall"}]},
            {"do":"wait_file","path":"below"},
            {"do":"exit","code":0},
        ]);
        let mut run = Plan::new(script).setting(setting).start();
        assert_eq!(run.finish().exit_code, Some(0));
        assert_eq!(run.stdout(), ["from below"]);
    }
}

#[test]
fn stdin_text_is_given_and_closed() {
    let text = "x".repeat(300_000);
    let mut run = Plan::new(json!([{"do":"read_stdin"}]))
        .with(|spec| spec.stdin.text = text)
        .start();
    run.finish();
    assert_eq!(run.stdout(), ["stdin 300000"]);
    assert!(run.records().iter().all(|r| r.header.stream != Stream::In));
}

#[test]
fn an_agent_that_does_not_read_stdin_ends_all_the_same() {
    let mut run = Plan::new(json!([{"do":"exit","code":0}]))
        .with(|spec| spec.stdin.text = "x".repeat(1_000_000))
        .start();
    assert_eq!(run.finish().exit_code, Some(0));
}

#[test]
fn the_cap_keeps_head_and_tail() {
    let cap = 4 * 1024 * 1024;
    let script = json!([{"do":"out","text":"first"}, {"do":"flood","bytes":40_000_000},
        {"do":"out","text":"last"}]);
    let mut run = Plan::new(script)
        .with(|spec| spec.journal_cap_bytes = cap)
        .start();
    let record = run.finish();
    let gap = run.gap().expect("a gap");
    assert!(gap.from >= cap / 4 && gap.to > gap.from);
    assert!(record.journal_len > 40_000_000);
    let kept = allocated(&run.folder.join(paths::JOURNAL));
    assert!(kept <= cap + 1024 * 1024, "{kept}");
    let lines = run.stdout();
    assert_eq!(lines.first().map(String::as_str), Some("first"));
    assert_eq!(lines.last().map(String::as_str), Some("last"));
    let controls = run.controls();
    assert!(matches!(controls.first(), Some(Control::Contained { .. })));
    assert!(matches!(controls.last(), Some(Control::AgentExited { .. })));
}
