//! Reads whole streams recorded from the real program: what comes of each is
//! compared with one committed table, and a driver that is stored and restored
//! after every line derives the same.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use convoke_agents::{
    any::AnyDriver,
    codex_exec::CodexExec,
    driver::{Account, AgentExit, Derived, Driver, Stream},
};
use convoke_core::sandbox::Sandbox;

/// Name and lines, stderr before stdout: how they were interleaved is not
/// recorded, and must not matter.
fn recordings() -> BTreeMap<String, Vec<(Stream, Vec<u8>)>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/codex-0.169");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("the recordings are there") {
        let path = entry.expect("the folder can be listed").path();
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(name) = file.strip_suffix(".stdout.jsonl") else {
            continue;
        };
        let lines = |path: PathBuf, stream: Stream| -> Vec<(Stream, Vec<u8>)> {
            let text = std::fs::read(path).unwrap_or_default();
            let text = text.strip_suffix(b"\n").unwrap_or(&text);
            text.split(|b| *b == b'\n')
                .map(|line| (stream, line.to_vec()))
                .collect()
        };
        let mut all = lines(folder.join(format!("{name}.stderr.txt")), Stream::Stderr);
        all.extend(lines(path.clone(), Stream::Stdout));
        found.insert(name.to_owned(), all);
    }
    assert!(!found.is_empty(), "no recordings in {}", folder.display());
    found
}

fn driver() -> AnyDriver {
    AnyDriver::CodexExec(CodexExec::new(Sandbox::ReadOnly))
}

/// How the process ended, by the table beside the recordings.
fn exit_of(name: &str) -> AgentExit {
    match name {
        "connection-refused" | "unknown-host" => AgentExit::Signal(15),
        "sigkill-in-command" | "sigkill-in-hang" => AgentExit::Signal(9),
        "usage-error" => AgentExit::Code(2),
        // Of the others, those with exit code 0 completed their turn, which
        // must count whatever the exit code.
        _ => AgentExit::Code(1),
    }
}

fn read(lines: &[(Stream, Vec<u8>)], exit: AgentExit, restore: bool) -> (Vec<Derived>, Account) {
    let mut driver = driver();
    let mut derived = Vec::new();
    for (stream, line) in lines {
        derived.extend(driver.on_line(*stream, line));
        if restore {
            let stored = serde_json::to_string(&driver).expect("a driver is stored");
            driver = serde_json::from_str(&stored).expect("a driver is restored");
        }
    }
    let account = driver.account(exit);
    (derived, account)
}

/// One event in a few words: its kind and what tells it from others.
fn in_short(derived: &Derived) -> String {
    match derived {
        Derived::Thread(_) => "THREAD".to_owned(),
        Derived::LastWord => "LAST WORD".to_owned(),
        Derived::Event(event) => {
            let mut text = event.kind.as_str().to_owned();
            for key in [
                "kind", "id", "status", "exitCode", "code", "text", "message",
            ] {
                if let Some(value) = event.content.get(key) {
                    let value = match value.as_str() {
                        Some(value) => value.chars().take(60).collect(),
                        None => value.to_string(),
                    };
                    text.push_str(&format!(" {key}={}", value.escape_debug()));
                }
            }
            text
        }
    }
}

#[test]
fn every_recording_comes_to_what_is_written_down() {
    let mut report = String::new();
    for (name, lines) in recordings() {
        let (derived, account) = read(&lines, exit_of(&name), false);
        writeln!(report, "## {name}").unwrap();
        for derived in &derived {
            writeln!(report, "  {}", in_short(derived)).unwrap();
        }
        match &account.failure {
            None => writeln!(report, "= done").unwrap(),
            Some(failure) => writeln!(report, "= {}: {}", failure.code, failure.message).unwrap(),
        }
        writeln!(report, "= said {:?}\n", account.final_message).unwrap();
    }
    insta::assert_snapshot!("recorded_streams", report);
}

#[test]
fn a_driver_restored_after_every_line_goes_on_as_before() {
    for (name, lines) in recordings() {
        assert_eq!(
            read(&lines, exit_of(&name), false),
            read(&lines, exit_of(&name), true),
            "{name}"
        );
    }
}

#[test]
fn no_recording_is_misunderstood() {
    for (name, lines) in recordings() {
        let (derived, _) = read(&lines, exit_of(&name), false);
        for derived in derived {
            if let Derived::Event(event) = derived {
                let kind = event.content["kind"].as_str().unwrap_or_default();
                assert!(!["unknown", "output"].contains(&kind), "{name}: {event:?}");
            }
        }
    }
}
