//! Events by pages, and text that arrives in pieces.

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient};
use serde_json::{Value, json};

use crate::{
    checks::{messages, whole_events},
    world::{spawn_scripted, world},
};

/// All pages of a job's events from a cursor on. `done` must stand on the
/// last, and only there.
fn pages(client: &mut McpClient, job: &str, size: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let page = client.call_ok(
            "codex_events",
            json!({"jobId": job, "cursor": cursor, "maxEvents": size}),
        );
        let events = page["events"].as_array().expect("a list").clone();
        assert!(events.len() <= size);
        all.extend(events);
        cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
        if page["done"] == true {
            assert_eq!(all.last().expect("events")["type"], "final");
            return all;
        }
        assert_ne!(
            all.last().map(|event| &event["type"]),
            Some(&json!("final")),
            "done on the last page"
        );
    }
}

#[test]
fn of_an_ended_job_hold_everything_once() {
    let world = world();
    let lines: Vec<Value> = (0..13)
        .map(|i| json!({"do": "out", "text": format!("line {i}")}))
        .collect();
    let job = spawn_scripted(&world, &[], &Value::from(lines));
    assert_eq!(world.wait_end(&job), "completed");
    let whole = whole_events(&world, &job);
    let mut client = McpClient::start(&world, &[], "reader");
    let once = pages(&mut client, &job, 2_000);
    assert_eq!(once.len(), whole.len());
    for size in [1, 2, 7, whole.len(), whole.len() + 1] {
        assert_eq!(pages(&mut client, &job, size), once, "pages of {size}");
    }
}

#[test]
fn of_a_running_job_hold_everything_once() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "out", "text": "before", "repeat": 20},
        {"do": "wait_file", "path": gate},
        {"do": "out", "text": "after", "repeat": 20},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    let mut clients: Vec<McpClient> = (0..3)
        .map(|i| McpClient::start(&world, &[], &format!("reader{i}")))
        .collect();
    let readers: Vec<_> = clients
        .drain(..)
        .zip([1, 2, 7])
        .map(|(mut client, size)| {
            let job = job.clone();
            std::thread::spawn(move || pages(&mut client, &job, size))
        })
        .collect();
    world.wait_state(&job, &["running"]);
    fs_err::write(&gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    let whole = whole_events(&world, &job);
    for reader in readers {
        let read = reader.join().expect("the reader ends");
        assert_eq!(read.len(), whole.len());
    }
}

#[test]
fn the_first_page_is_never_empty() {
    let world = world();
    let mut client = McpClient::start(&world, &[], "reader");
    for _ in 0..10 {
        let job = world.spawn_command(&[], &["true"]);
        let page = client.call_ok("codex_events", json!({"jobId": job}));
        assert!(
            page["events"]
                .as_array()
                .is_some_and(|events| !events.is_empty()),
            "{page}"
        );
    }
}

#[test]
fn a_cursor_goes_on_over_a_restart() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "out", "text": "before"},
        {"do": "wait_file", "path": gate},
        {"do": "out", "text": "after"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    world.wait_state(&job, &["running"]);
    let mut client = McpClient::start(&world, &[], "reader");
    let first = client.call_ok("codex_events", json!({"jobId": job, "maxEvents": 1}));
    world.kill_daemon();
    fs_err::write(&gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    let rest = client.call_ok(
        "codex_events",
        json!({"jobId": job, "cursor": first["nextCursor"]}),
    );
    assert_eq!(rest["done"], true);
    let count = |page: &Value| page["events"].as_array().expect("a list").len();
    assert_eq!(
        count(&first) + count(&rest),
        whole_events(&world, &job).len()
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TEXT: &str = "aé漢🎉z";

/// One line per place at which the text can be split, in two writes.
fn split_everywhere() -> Value {
    let bytes = TEXT.as_bytes();
    let steps = (0..=bytes.len()).flat_map(|at| {
        [
            json!({"do": "out", "hex": hex(&bytes[..at]), "newline": false}),
            json!({"do": "sleep", "ms": 3}),
            json!({"do": "out", "hex": hex(&bytes[at..])}),
        ]
    });
    steps.collect()
}

fn check_split(world: &TestEnvironment, job: &str) {
    assert_eq!(world.wait_end(job), "completed");
    let events = whole_events(world, job);
    assert_eq!(messages(&events), vec![TEXT; TEXT.len() + 1]);
    assert_eq!(
        world.ok(&["result", job]),
        vec![TEXT; TEXT.len() + 1].join("\n")
    );
}

#[test]
fn text_split_at_every_byte_arrives_whole() {
    let world = world();
    let job = spawn_scripted(&world, &[], &split_everywhere());
    check_split(&world, &job);
}

#[test]
fn text_split_byte_by_byte_arrives_whole() {
    let world = world();
    let mut steps = Vec::new();
    for byte in TEXT.as_bytes() {
        steps.push(json!({"do": "out", "hex": hex(&[*byte]), "newline": false}));
        steps.push(json!({"do": "sleep", "ms": 2}));
    }
    steps.push(json!({"do": "out", "text": ""}));
    let job = spawn_scripted(&world, &[], &Value::from(steps));
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(messages(&whole_events(&world, &job)), [TEXT]);
}

#[test]
fn text_split_by_a_crash_arrives_whole() {
    let world = world();
    let gates: Vec<_> = (0..=TEXT.len())
        .map(|at| world.root().join(format!("gate{at}")))
        .collect();
    let steps: Value = gates
        .iter()
        .enumerate()
        .flat_map(|(at, gate)| {
            let bytes = TEXT.as_bytes();
            [
                json!({"do": "out", "text": "next"}),
                json!({"do": "out", "hex": hex(&bytes[..at]), "newline": false}),
                json!({"do": "wait_file", "path": gate}),
                json!({"do": "out", "hex": hex(&bytes[at..])}),
            ]
        })
        .collect();
    let job = spawn_scripted(&world, &[], &steps);
    for gate in &gates {
        world.wait_state(&job, &["running"]);
        world.kill_daemon();
        fs_err::write(gate, "").expect("the gate opens");
    }
    assert_eq!(world.wait_end(&job), "completed");
    let expected: Vec<&str> = (0..=TEXT.len()).flat_map(|_| ["next", TEXT]).collect();
    assert_eq!(messages(&whole_events(&world, &job)), expected);
}

#[test]
fn text_across_the_borders_of_records_arrives_whole() {
    let world = world();
    let steps: Vec<Value> = (0..5_usize)
        .map(|back| json!({"do": "out", "text": "", "hex": hex("🎉".as_bytes()), "size": 65_536 - back}))
        .collect();
    let job = spawn_scripted(&world, &[], &Value::from(steps));
    assert_eq!(world.wait_end(&job), "completed");
    let events = whole_events(&world, &job);
    let said = messages(&events);
    assert_eq!(said.len(), 5);
    for (back, line) in said.iter().enumerate() {
        assert!(line.starts_with('🎉') && !line.contains('\u{fffd}'));
        assert_eq!(line.len(), 4 + 65_536 - back);
    }
}

#[test]
fn what_is_no_text_is_replaced_and_nothing_else() {
    let world = world();
    let script = json!([
        {"do": "out", "text": "a", "hex": "ff62"},
        {"do": "out", "hex": "e6bc"},
        {"do": "out", "text": "last", "newline": false},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(
        messages(&whole_events(&world, &job)),
        ["a\u{fffd}b", "\u{fffd}", "last"]
    );
}
