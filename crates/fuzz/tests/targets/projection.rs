//! From the agent's bytes to events: secrets never come through, and what
//! comes out does not depend on how the bytes were cut or on restarts.

use std::{collections::BTreeMap, sync::Arc};

use convoke_agents::{any::AnyDriver, codex_exec::CodexExec, command::Command, driver::AgentExit};
use convoke_core::{
    event::Source,
    mask::Masker,
    runner_protocol::{Record, RecordHeader, Stream},
    sandbox::Sandbox,
};
use convoke_daemon::inputs::{Fact, Projection, State};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{harness, json};

const ATTEMPT: u32 = 2;

/// A part of a line of output.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// One of the secrets.
    Secret(usize),
    /// One of the secrets within JSON within so many texts.
    Quoted(usize, usize),
}

/// A line as an agent prints it.
#[derive(Clone, Debug)]
struct Printed {
    stream: Stream,
    form: usize,
    parts: Vec<Part>,
}

impl Printed {
    fn line(&self, secrets: &[String]) -> String {
        let text: String = self.parts.iter().map(|part| part.shown(secrets)).collect();
        let line = match self.form {
            0 => text,
            1 => json!({"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": text}}).to_string(),
            2 => json!({"type": "item.completed", "item": {"id": "1", "type": "command_execution", "command": text, "exit_code": 1, "aggregated_output": format!("{text}: Read-only file system\n")}}).to_string(),
            3 => json!({"type": "error", "message": text}).to_string(),
            4 => json!({"type": "thread.started", "thread_id": text}).to_string(),
            _ => json!({"type": "turn.failed", "error": {"message": text}}).to_string(),
        };
        line.replace('\n', " ")
    }
}

impl Part {
    fn shown(&self, secrets: &[String]) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Secret(index) => secrets[index % secrets.len()].clone(),
            Self::Quoted(index, times) => {
                let mut text = secrets[index % secrets.len()].clone();
                for _ in 0..*times {
                    text = Value::from(text).to_string();
                }
                text
            }
        }
    }
}

fn printed() -> impl Strategy<Value = Printed> {
    let part = prop_oneof![
        2 => json::text().prop_map(Part::Text),
        2 => (0..4usize).prop_map(Part::Secret),
        1 => (0..4usize, 1..3usize).prop_map(|(index, times)| Part::Quoted(index, times)),
    ];
    let stream = select(&[Stream::Out, Stream::Out, Stream::Err][..]);
    (stream, 0..6usize, vec(part, 0..4)).prop_map(|(stream, form, parts)| Printed {
        stream,
        form,
        parts,
    })
}

/// Secrets that do not consist of what stands in their place.
fn secret() -> impl Strategy<Value = String> {
    "[a-c\"\\\\/é-]{8,14}"
}

fn masker(secrets: &[String]) -> Arc<Masker> {
    let environment: BTreeMap<String, String> = secrets
        .iter()
        .enumerate()
        .map(|(index, secret)| (format!("N{index}_TOKEN"), secret.clone()))
        .collect();
    Arc::new(Masker::of_environment(&environment))
}

/// The records of a runner that reads the output in pieces.
fn records(lines: &[(Stream, String)], pieces: &[usize]) -> Vec<Record> {
    let mut pieces = pieces.iter().copied().cycle();
    let mut records: Vec<Record> = Vec::new();
    for same in lines.chunk_by(|a, b| a.0 == b.0) {
        let bytes: Vec<u8> = same
            .iter()
            .flat_map(|(_, line)| line.bytes().chain([b'\n']))
            .collect();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let len = pieces.next().unwrap_or(1).min(rest.len());
            let offset = records.last().map_or(0, |record| record.end);
            records.push(Record {
                offset,
                end: offset + 20 + len as u64,
                header: RecordHeader {
                    wall_ms: 1_000,
                    mono_ms: 1,
                    stream: same[0].0,
                    len,
                    partial: rest[len - 1] != b'\n',
                },
                data: rest[..len].to_vec(),
            });
            rest = &rest[len..];
        }
    }
    records
}

/// Reads all records; from a stored checkpoint after each, if asked to.
fn project(
    driver: &AnyDriver,
    masker: &Arc<Masker>,
    records: &[Record],
    restart: bool,
) -> (Vec<Fact>, Projection) {
    let mut projection = Projection::new(ATTEMPT, driver.clone(), Arc::clone(masker));
    let mut facts = Vec::new();
    for (index, record) in records.iter().enumerate() {
        facts.extend(projection.on_record(record));
        if restart {
            let stored = serde_json::to_string(&projection.checkpoint()).expect("a checkpoint");
            let state: State = serde_json::from_str(&stored).expect("read back");
            let from = state.reads_from(record.end);
            projection = Projection::resume(ATTEMPT, state, record.end, Arc::clone(masker));
            for again in &records[..=index] {
                if again.offset >= from {
                    facts.extend(projection.on_record(again));
                }
            }
        }
    }
    let end = records.last().map_or(0, |record| record.end);
    facts.extend(projection.finish(end));
    (facts, projection)
}

/// Facts without their places, which depend on the cuts.
fn what(facts: &[Fact]) -> Vec<String> {
    facts
        .iter()
        .map(|fact| match fact {
            Fact::Event { event, .. } => format!("{} {}", event.kind.as_str(), event.content),
            other => format!("{other:?}"),
        })
        .collect()
}

/// All texts of a value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

fn assert_hidden(facts: &[Fact], projection: &Projection, secrets: &[String]) {
    let mut found: Vec<String> = projection.denied().to_vec();
    for fact in facts {
        match fact {
            Fact::Event { event, .. } => texts(&event.content, &mut found),
            Fact::Thread(thread) => found.push(thread.clone()),
            Fact::Running { .. } | Fact::LastWord => {}
        }
    }
    for exit in [AgentExit::Code(0), AgentExit::Code(1)] {
        let account = projection.account(exit);
        found.extend(account.final_message);
        found.extend(account.trouble);
        found.extend(account.failure.map(|failure| failure.message));
    }
    for secret in secrets {
        let escaped = Value::from(secret.as_str()).to_string();
        let escaped = &escaped[1..escaped.len() - 1];
        for text in &found {
            assert!(
                !text.contains(secret),
                "{secret:?} comes through in {text:?}"
            );
            assert!(
                !text.contains(escaped),
                "{escaped:?} comes through in {text:?}"
            );
        }
    }
}

fn assert_in_order(facts: &[Fact]) {
    let places: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Event {
                source: Source::Journal { offset, index, .. },
                ..
            } => Some((*offset, *index)),
            _ => None,
        })
        .collect();
    assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
}

#[test]
fn projected_output() {
    let input = (
        vec(secret(), 1..4),
        vec(printed(), 0..8),
        vec(1..40usize, 1..5),
    );
    harness::run(
        "projected_output",
        250,
        &input,
        |(secrets, printed, pieces)| {
            let masker = masker(&secrets);
            let lines: Vec<(Stream, String)> = printed
                .iter()
                .map(|printed| (printed.stream, printed.line(&secrets)))
                .collect();
            let (whole, cut) = (records(&lines, &[usize::MAX]), records(&lines, &pieces));
            let codex = AnyDriver::CodexExec(CodexExec::new(Sandbox::ReadOnly));
            let command = AnyDriver::Command(Command::new(&["/bin/x".to_owned()]));
            for driver in [&codex, &command] {
                for records in [&whole, &cut] {
                    let (facts, projection) = project(driver, &masker, records, false);
                    assert_hidden(&facts, &projection, &secrets);
                    assert_in_order(&facts);
                    let (again, _) = project(driver, &masker, records, true);
                    assert_eq!(again, facts, "a restart changes what is told");
                }
            }
            let (first, _) = project(&codex, &masker, &whole, false);
            let (second, _) = project(&codex, &masker, &cut, false);
            assert_eq!(what(&first), what(&second), "the cuts change what is told");
        },
    );
}

/// Nothing that is masked holds a secret, and what is blanked keeps its length.
#[test]
fn masked_text() {
    let piece = prop_oneof![
        2 => (0..4usize).prop_map(Part::Secret),
        1 => (0..4usize, 1..4usize).prop_map(|(index, times)| Part::Quoted(index, times)),
        2 => "[a-c\"\\\\/é-]{0,5}".prop_map(Part::Text),
    ];
    let input = (
        vec(secret(), 1..4),
        vec(piece, 0..6),
        any::<prop::sample::Index>(),
    );
    harness::run("masked_text", 600, &input, |(secrets, parts, cut)| {
        let masker = masker(&secrets);
        let text: String = parts.iter().map(|part| part.shown(&secrets)).collect();
        let masked = masker.mask_text(&text);
        let again = masker.mask_text(&masked);
        assert_eq!(again, masked, "masking twice changes nothing");
        let mut blank = text.clone().into_bytes();
        assert_eq!(masker.blank(&mut blank), masked != text);
        assert_eq!(blank.len(), text.len());
        let blank = String::from_utf8(blank).expect("whole characters are blanked");
        for secret in &secrets {
            assert!(!masked.contains(secret) && !blank.contains(secret));
        }
        // The end of a line that was cut anywhere tells no long part of one.
        let bytes = &text.as_bytes()[..cut.index(text.len() + 1)];
        let open = masker.mask_open(bytes).into_owned();
        for secret in &secrets {
            for len in 8..=secret.len() {
                let part = &secret.as_bytes()[..len];
                assert!(!open.ends_with(part), "a secret's beginning is left");
            }
        }
    });
}
