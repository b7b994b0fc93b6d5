//! What agents print: the drivers, their checkpoints, the claims of a last
//! message, Codex's own records and its answers to our questions.

use convoke_agents::{
    any::AnyDriver,
    claims,
    codex_exec::{CodexExec, overrides, probe, rollout},
    command::Command,
    driver::{Account, AgentExit, Derived, Driver, Stream},
};
use convoke_core::{event::EventKind, sandbox::Sandbox, time::UnixMillis};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{corpus, harness, json};

const RECORDED: &str = "../agents/tests/fixtures/codex-0.169";

/// Words of Codex's stream.
const WORDS: &[&str] = &[
    "agent_message",
    "collab_tool_call",
    "command_execution",
    "error",
    "file_change",
    "item.completed",
    "item.started",
    "item.updated",
    "mcp_tool_call",
    "reasoning",
    "thread.started",
    "todo_list",
    "turn.completed",
    "turn.failed",
    "turn.started",
    "touch: cannot touch 'x': Read-only file system\n",
    "Reconnecting... 1/5",
    "{\"error\":{\"message\":\"usage limit\"}}",
    "null",
];
/// Keys of Codex's stream.
const KEYS: &[&str] = &[
    "type",
    "item",
    "id",
    "text",
    "message",
    "error",
    "usage",
    "thread_id",
    "command",
    "aggregated_output",
    "exit_code",
    "kind",
    "changes_of_it",
];

const EXITS: [AgentExit; 3] = [AgentExit::Code(0), AgentExit::Code(3), AgentExit::Signal(9)];

/// Lines of stdout; those that begin with `!` are stderr's.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (Stream, &[u8])> {
    bytes.split(|byte| *byte == b'\n').map(|line| match line {
        [b'!', rest @ ..] => (Stream::Stderr, rest),
        line => (Stream::Stdout, line),
    })
}

/// Reads all lines, with the driver stored and restored after each if asked.
fn read(driver: &AnyDriver, bytes: &[u8], restore: bool) -> (Vec<Derived>, Vec<Account>) {
    let mut driver = driver.clone();
    let mut all = Vec::new();
    for (stream, line) in lines(bytes) {
        let derived = driver.on_line(stream, line);
        let is_blank = String::from_utf8_lossy(line).trim().is_empty();
        assert!(is_blank || !derived.is_empty(), "a line is lost");
        all.extend(derived);
        if restore {
            let stored = serde_json::to_string(&driver).expect("a checkpoint");
            driver = serde_json::from_str(&stored).expect("the checkpoint is read back");
        }
    }
    (all, EXITS.map(|exit| driver.account(exit)).to_vec())
}

/// Storing a number with a fraction may change its last digit.
fn rounded(accounts: &mut [Account]) {
    fn round(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                *value = format!("{:.9e}", number.as_f64().unwrap_or_default()).into();
            }
            Value::Array(items) => items.iter_mut().for_each(round),
            Value::Object(fields) => fields.values_mut().for_each(round),
            _ => {}
        }
    }
    for account in accounts {
        account.usage.iter_mut().for_each(round);
    }
}

fn check_stream(bytes: &[u8]) {
    let argv = ["/bin/x".to_owned()];
    let codex = AnyDriver::CodexExec(CodexExec::new(Sandbox::ReadOnly));
    for driver in [codex, AnyDriver::Command(Command::new(&argv))] {
        let (derived, mut accounts) = read(&driver, bytes, false);
        let (again, mut accounts_again) = read(&driver, bytes, true);
        assert_eq!(derived, again, "a restart changes what is derived");
        rounded(&mut accounts);
        rounded(&mut accounts_again);
        assert_eq!(accounts, accounts_again, "a restart changes the account");
        for event in derived.iter().filter_map(|derived| match derived {
            Derived::Event(event) => Some(event),
            _ => None,
        }) {
            assert!(event.content.is_object(), "{event:?}");
        }
        for account in &accounts {
            check_account(account, driver.takes_blocks());
        }
    }
}

fn check_account(account: &Account, is_command: bool) {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    assert!(length(&account.trouble) <= 2_000, "unbounded trouble");
    if is_command {
        assert!(
            length(&account.final_message) <= 64 * 1024,
            "unbounded message"
        );
    }
    if let Some(failure) = &account.failure {
        assert!(!failure.message.is_empty());
        assert!(failure.message.len() < 16 * 1024, "unbounded failure");
    }
    if let Some(message) = &account.final_message {
        check_claims(message);
    }
}

fn check_claims(message: &str) {
    let files = claims::modified_files(message).unwrap_or_default();
    for (at, file) in files.iter().enumerate() {
        assert!(!files[..at].contains(file), "{file:?} is claimed twice");
        assert!(!file.is_empty(), "an empty path is claimed");
    }
}

#[test]
fn codex_stream() {
    let kept = corpus::kept("codex_stream", &[RECORDED]);
    corpus::run("codex_stream", 300, kept, WORDS, check_stream);
}

#[test]
fn codex_events() {
    let line = prop_oneof![
        6 => json::object(KEYS, WORDS).prop_map(|object| Value::Object(object).to_string()),
        1 => json::text(),
    ];
    // Most events are known ones, with anything in them.
    let known = (select(WORDS), json::object(KEYS, WORDS), select(WORDS)).prop_map(
        |(kind, item, item_kind)| {
            let mut event =
                json!({"type": kind, "item": item, "error": item, "message": item.get("text")});
            event["item"]["type"] = item_kind.into();
            event.to_string()
        },
    );
    let stream = vec(prop_oneof![3 => known, 2 => line], 0..8).prop_map(|lines| lines.join("\n"));
    harness::run("codex_events", 250, &stream, |text| {
        check_stream(text.as_bytes())
    });
}

/// What last messages are made of, in any order.
const MESSAGE: &[&str] = &[
    "modifiedFiles",
    "Modified files (2)",
    ":",
    ": ",
    "\n",
    "\n\n",
    "\n- ",
    "\n  * ",
    "\n1. ",
    "# ",
    "**",
    "`",
    "\"",
    "[",
    "](",
    ")",
    ", ",
    " — ",
    " (",
    "none",
    "src/a.rs",
    "b.txt",
    "ü",
    " é",
    "two words.md",
    "\u{130}",
    "\t",
    ":12",
    "#L3",
];

#[test]
fn claimed_files() {
    let kept = corpus::kept("claimed_files", &[]);
    corpus::run("claimed_files", 500, kept, MESSAGE, |bytes| {
        check_claims(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn claimed_lists() {
    let list = vec(select(MESSAGE), 0..12)
        .prop_map(|parts| format!("modifiedFiles:\n- {}", parts.concat()));
    let message = vec(select(MESSAGE), 0..16).prop_map(|parts| parts.concat());
    let message = prop_oneof![list, message];
    harness::run("claimed_lists", 1_500, &message, |text| check_claims(&text));
}

/// Keys of the drivers' checkpoints.
const CHECKPOINT_KEYS: &[&str] = &[
    "type",
    "version",
    "sandbox",
    "turn",
    "final_message",
    "usage",
    "last_error",
    "stderr",
    "error",
    "open",
    "open_items",
    "denials",
    "program",
    "tail",
];

/// A checkpoint that was written by another version, or damaged: it is
/// refused, or it goes on.
#[test]
fn driver_checkpoint() {
    let kept = corpus::kept("driver_checkpoint", &[]);
    corpus::run(
        "driver_checkpoint",
        500,
        kept,
        CHECKPOINT_KEYS,
        check_checkpoint,
    );
}

#[test]
fn driver_checkpoint_fields() {
    let fields = json::object(CHECKPOINT_KEYS, WORDS);
    let changed = (select(corpus::kept_json("driver_checkpoint")), fields);
    harness::run(
        "driver_checkpoint_fields",
        500,
        &changed,
        |(mut json, fields)| {
            for (key, value) in fields {
                json[key] = value;
            }
            check_checkpoint(json.to_string().as_bytes());
        },
    );
}

fn check_checkpoint(bytes: &[u8]) {
    const LINES: [&[u8]; 5] = [
        br#"{"type":"turn.started"}"#,
        br#"{"type":"item.started","item":{"id":"1","type":"command_execution"}}"#,
        br#"{"type":"item.completed","item":{"id":"1","type":"command_execution","exit_code":1,"aggregated_output":"x: Read-only file system"}}"#,
        "Error: größer".as_bytes(),
        b"plain",
    ];
    let Ok(mut driver) = serde_json::from_slice::<AnyDriver>(bytes) else {
        return;
    };
    for line in LINES {
        driver.on_line(Stream::Stdout, line);
        driver.on_line(Stream::Stderr, line);
    }
    for exit in EXITS {
        driver.account(exit);
    }
    serde_json::to_string(&driver).expect("can be stored");
}

#[test]
fn codex_rollout() {
    const WORDS: &[&str] = &[
        "function_call",
        "function_call_output",
        "\\nOutput:\\n",
        "Process exited with code 1",
        "Read-only file system",
        "timestamp",
        "call_id",
    ];
    let kept = corpus::kept("codex_rollout", &[]);
    corpus::run("codex_rollout", 400, kept, WORDS, |bytes| {
        let record = String::from_utf8_lossy(bytes);
        let all = rollout::denied(&record, UnixMillis(0), Sandbox::ReadOnly);
        assert!(all.iter().all(|event| event.kind == EventKind::Error));
        let later = rollout::denied(&record, UnixMillis(1_795_179_328_500), Sandbox::ReadOnly);
        assert!(later.len() <= all.len());
        let never = UnixMillis(u64::MAX);
        assert!(rollout::denied(&record, never, Sandbox::ReadOnly).is_empty());
        assert!(rollout::denied(&record, UnixMillis(0), Sandbox::DangerFullAccess).is_empty());
        for line in record.lines() {
            let _ = rollout::folders(line);
            let _ = rollout::is_record_of(line, &record);
        }
    });
}

/// What Codex answers to our questions, and settings a caller gives for it.
#[test]
fn codex_answers() {
    const WORDS: &[&str] = &[
        "codex-cli 0.169.0",
        "transport",
        "command",
        "name",
        "mcp_servers.x",
        "=",
    ];
    let kept = corpus::kept("codex_answers", &[]);
    corpus::run("codex_answers", 400, kept, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(version) = probe::Version::parse(&text) {
            let again = probe::Version::parse(&version.to_string()).expect("a version");
            assert_eq!(again, version);
        }
        let _ = probe::parse_registrations(&text);
        let _ = probe::parse_login_status(Some(0), &text, &text);
        for line in text.lines() {
            let confined = overrides::check_confined_override(line);
            if overrides::check_override(line).is_err() {
                assert!(confined.is_err(), "confined jobs may set more: {line:?}");
            }
        }
    });
}
