//! What the daemon and its runners say to each other, on the socket and in
//! the files of a runner's folder.

use std::fmt::Debug;

use convoke_core::{
    event::JobEvent,
    runner_protocol::{
        Control, DaemonMessage, EnvFile, ExitRecord, JournalGap, RunnerIdentity, RunnerMessage,
        RunnerSpec, decode_line, encode_line,
    },
};
use proptest::sample::select;
use serde::{Serialize, de::DeserializeOwned};

use crate::{corpus, harness, json};

/// Keys and words of all messages.
const WORDS: &[&str] = &[
    "type",
    "hello",
    "go",
    "stdin",
    "signal",
    "stop",
    "id",
    "data",
    "close",
    "force",
    "reason",
    "grace_ms",
    "len",
    "done",
    "refused",
    "exited",
    "message",
    "journal_len",
    "agent_pid",
    "containment",
    "rung",
    "pid_namespace",
    "limit",
    "cause",
    "exit_code",
    "wall_ms",
    "version",
    "interrupt",
    "limits",
    "argv",
    "command",
    "held",
    "processes",
    "contained",
    "lost",
];

fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(message) = decode_line::<T>(bytes) else {
        return;
    };
    let line = encode_line(&message);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(line.last(), Some(&b'\n'), "a message is one line");
    let again: T = decode_line(&line).expect("what was written is read");
    assert_eq!(again, message);
}

fn check_all(bytes: &[u8]) {
    check::<DaemonMessage>(bytes);
    check::<RunnerMessage>(bytes);
    check::<Control>(bytes);
    check::<ExitRecord>(bytes);
    check::<RunnerIdentity>(bytes);
    check::<RunnerSpec>(bytes);
    check::<EnvFile>(bytes);
    check::<JournalGap>(bytes);
    // An event's content may hold fractions, whose last digit may change.
    let _ = decode_line::<JobEvent>(bytes);
}

#[test]
fn runner_messages() {
    let kept = corpus::kept("runner_messages", &[]);
    corpus::run("runner_messages", 500, kept, WORDS, check_all);
}

#[test]
fn runner_message_fields() {
    let fields = json::object(WORDS, WORDS);
    let changed = (select(corpus::kept_json("runner_messages")), fields);
    harness::run(
        "runner_message_fields",
        400,
        &changed,
        |(mut json, fields)| {
            for (key, value) in fields {
                json[key] = value;
            }
            check_all(json.to_string().as_bytes());
        },
    );
}
