//! Journal records and lines survive any split of the bytes that carry them.

use super::*;

fn record(stream: Stream, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    RecordHeader {
        wall_ms: 1_700_000_000_000,
        mono_ms: 42,
        stream,
        len: data.len(),
        partial: !data.ends_with(b"\n"),
    }
    .encode(&mut out);
    out.extend_from_slice(data);
    out.push(b'\n');
    out
}

fn journal() -> Vec<u8> {
    [
        record(Stream::Ctl, br#"{"type":"command_done","id":3}"#),
        record(Stream::Out, "héllo\nwor".as_bytes()),
        record(Stream::Err, b"\n\nx"),
        record(Stream::Out, b"ld\n"),
        record(Stream::Out, b"tail"),
    ]
    .concat()
}

fn lines_of(chunks: &[&[u8]]) -> Vec<Line> {
    let mut reader = JournalReader::new(0);
    let mut lines = LineAssembler::new();
    let mut found = Vec::new();
    for chunk in chunks {
        reader.feed(chunk);
        while let Some(record) = reader.next_record().unwrap() {
            found.extend(lines.push(&record));
        }
    }
    found.extend(lines.finish());
    found
}

#[test]
fn every_split_gives_the_same_lines() {
    let bytes = journal();
    let whole = lines_of(&[&bytes]);
    let texts: Vec<_> = whole
        .iter()
        .map(|l| String::from_utf8_lossy(&l.bytes).into_owned())
        .collect();
    assert_eq!(texts, ["héllo", "", "", "world", "tail", "x"]);
    assert!(!whole[4].terminated && whole[3].terminated);
    for at in 0..bytes.len() {
        assert_eq!(
            lines_of(&[&bytes[..at], &bytes[at..]]),
            whole,
            "split at {at}"
        );
    }
}

#[test]
fn a_restart_names_lines_the_same() {
    let bytes = journal();
    let whole = lines_of(&[&bytes]);
    let mut reader = JournalReader::new(0);
    let mut lines = LineAssembler::new();
    reader.feed(&bytes);
    reader.next_record().unwrap();
    let out = reader.next_record().unwrap().unwrap();
    lines.push(&out);
    assert_eq!(lines.pending_from(), Some(out.offset));
    let from = usize::try_from(out.offset).unwrap();
    let mut reader = JournalReader::new(out.offset);
    let mut lines = LineAssembler::new();
    reader.feed(&bytes[from..]);
    let mut again = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        again.extend(lines.push(&record));
    }
    again.extend(lines.finish());
    assert_eq!(again, whole);
}

#[test]
fn zeros_are_an_error_and_a_gap_is_jumped() {
    let first = record(Stream::Out, b"a\n");
    let lost = record(Stream::Out, &[b'b'; 500]);
    let last = record(Stream::Out, b"c\n");
    let from = first.len() as u64;
    let to = from + lost.len() as u64;
    let bytes = [first, vec![0; lost.len()], last.clone()].concat();
    let mut reader = JournalReader::new(0);
    reader.feed(&bytes);
    assert_eq!(reader.next_record().unwrap().unwrap().data, b"a\n");
    assert_eq!(reader.next_record(), Err(JournalError { offset: from }));
    assert!(reader.set_gap(Some(JournalGap {
        version: 1,
        from,
        to
    })));
    assert_eq!(reader.read_from(), to);
    reader.feed(&last);
    assert_eq!(reader.next_record().unwrap().unwrap().offset, to);
}

#[test]
fn a_damaged_gap_is_an_error_and_no_panic() {
    let mut reader = JournalReader::new(0);
    assert!(reader.set_gap(Some(JournalGap {
        version: 1,
        from: 0,
        to: u64::MAX
    })));
    reader.feed(&record(Stream::Out, b"a\n"));
    assert_eq!(reader.read_from(), u64::MAX);
    assert_eq!(reader.next_record(), Err(JournalError { offset: u64::MAX }));
}

#[test]
fn long_lines_are_cut_and_flagged() {
    let bytes = [record(Stream::Out, b"12345678\nab\n")].concat();
    let mut reader = JournalReader::new(0);
    reader.feed(&bytes);
    let mut lines = LineAssembler::with_max(4);
    let found = lines.push(&reader.next_record().unwrap().unwrap());
    assert_eq!(found[0].bytes, b"1234");
    assert!(found[0].truncated && !found[1].truncated);
}

#[test]
fn unknown_fields_and_kinds_are_tolerated() {
    let spec: RunnerSpec = serde_json::from_str(
        r#"{"version":1,"runner_id":"r","job_id":"j","attempt":1,"argv":["true"],"cwd":"/",
            "env_file":"/e","socket":"/s","newer":{"x":1}}"#,
    )
    .unwrap();
    assert_eq!(spec.journal_cap_bytes, DEFAULT_JOURNAL_CAP);
    assert_eq!(spec.interrupt, FirstRung::Sigint);
    let control: Control = serde_json::from_str(r#"{"type":"future","a":1}"#).unwrap();
    assert_eq!(control, Control::Unknown);
    let report: ContainmentReport = serde_json::from_str(r#"{"rung":"cgroup"}"#).unwrap();
    assert_eq!(report.rung, Rung::None);
    let message: DaemonMessage =
        decode_line(b"{\"type\":\"stop\",\"id\":4,\"force\":true,\"more\":0}\n").unwrap();
    assert_eq!(message.id(), Some(4));
    let line = encode_line(&RunnerMessage::Exited {});
    assert_eq!(line, b"{\"type\":\"exited\"}\n");
}
