//! The runner's journal: records and lines, whatever the bytes and however
//! they are cut.

use convoke_core::runner_protocol::{
    JournalError, JournalGap, JournalReader, Line, LineAssembler, Record, RecordHeader, Stream,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{corpus, harness};

/// A record as it is made: its clocks, stream and payload.
#[derive(Clone, Debug)]
struct Made {
    wall_ms: u64,
    mono_ms: u64,
    stream: Stream,
    data: Vec<u8>,
}

impl Made {
    fn header(&self) -> RecordHeader {
        RecordHeader {
            wall_ms: self.wall_ms,
            mono_ms: self.mono_ms,
            stream: self.stream,
            len: self.data.len(),
            partial: !self.data.ends_with(b"\n"),
        }
    }
}

fn journal(records: &[Made]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        record.header().encode(&mut bytes);
        bytes.extend_from_slice(&record.data);
        bytes.push(b'\n');
    }
    bytes
}

fn made() -> impl Strategy<Value = Made> {
    let stream = select(&[Stream::Out, Stream::Err, Stream::In, Stream::Ctl][..]);
    let byte = prop_oneof![
        3 => select(&b"ab\n\n 1+"[..]),
        1 => any::<u8>(),
    ];
    let clock = || prop_oneof![0..100u64, any::<u64>()];
    (clock(), clock(), stream, vec(byte, 0..40)).prop_map(|(wall_ms, mono_ms, stream, data)| Made {
        wall_ms,
        mono_ms,
        stream,
        data,
    })
}

/// What a reader brings that is fed `bytes` in pieces of the given lengths.
fn read(
    from: u64,
    bytes: &[u8],
    pieces: &[usize],
    gap: Option<JournalGap>,
) -> (Vec<Record>, Option<JournalError>) {
    let mut reader = JournalReader::new(from);
    let mut records: Vec<Record> = Vec::new();
    let mut pieces = pieces.iter().copied().cycle();
    let mut rest = bytes;
    if reader.set_gap(gap) {
        rest = &[];
    }
    loop {
        let len = pieces
            .next()
            .unwrap_or(usize::MAX)
            .clamp(1, rest.len().max(1));
        let (piece, later) = rest.split_at(len.min(rest.len()));
        rest = later;
        reader.feed(piece);
        loop {
            let (offset, read_from) = (reader.offset(), reader.read_from());
            match reader.next_record() {
                Ok(Some(record)) => {
                    assert_eq!(record.offset, offset);
                    assert!(record.end > record.offset, "offsets rise");
                    assert_eq!(reader.offset(), record.end);
                    assert_eq!(reader.read_from(), read_from, "taking reads nothing");
                    records.push(record);
                }
                Ok(None) => break,
                Err(error) => return (records, Some(error)),
            }
        }
        if rest.is_empty() {
            return (records, None);
        }
    }
}

fn lines(records: &[Record]) -> Vec<Line> {
    let mut assembler = LineAssembler::new();
    let mut lines: Vec<Line> = records
        .iter()
        .flat_map(|record| assembler.push(record))
        .collect();
    lines.extend(assembler.finish());
    lines
}

#[test]
fn journal_is_read_back() {
    let input = (vec(made(), 0..12), vec(1..30usize, 1..6));
    harness::run("journal_is_read_back", 300, &input, |(made, pieces)| {
        let bytes = journal(&made);
        let (records, error) = read(0, &bytes, &pieces, None);
        assert_eq!(error, None);
        assert_eq!(records.len(), made.len());
        for (record, made) in records.iter().zip(&made) {
            assert_eq!((record.header, &record.data), (made.header(), &made.data));
        }
        let end = records.last().map_or(0, |record| record.end);
        assert_eq!(end, bytes.len() as u64);
        check_lines(&made, &records);
        check_restarts(&records);
    });
}

/// The lines of each stream are its bytes, cut at newlines.
fn check_lines(made: &[Made], records: &[Record]) {
    let lines = lines(records);
    for stream in [Stream::Out, Stream::Err] {
        let written: Vec<u8> = made
            .iter()
            .filter(|made| made.stream == stream)
            .flat_map(|made| made.data.clone())
            .collect();
        let mut again = Vec::new();
        for line in lines.iter().filter(|line| line.stream == stream) {
            assert!(!line.bytes.contains(&b'\n') && !line.truncated);
            again.extend_from_slice(&line.bytes);
            if line.terminated {
                again.push(b'\n');
            }
        }
        assert_eq!(again, written);
    }
    let names: Vec<_> = lines
        .iter()
        .filter(|line| line.terminated)
        .map(|line| (line.record_offset, line.index))
        .collect();
    assert!(names.is_sorted_by(|a, b| a < b), "names of lines rise");
}

/// A reader that starts over where a line was in progress sees it whole.
fn check_restarts(records: &[Record]) {
    let all = lines(records);
    let mut assembler = LineAssembler::new();
    let mut seen = 0;
    for (at, record) in records.iter().enumerate() {
        seen += assembler.push(record).len();
        let from = assembler.pending_from().unwrap_or(record.end);
        let start = records[..=at].partition_point(|record| record.offset < from);
        let known: Vec<_> = all[..seen]
            .iter()
            .map(|l| (l.record_offset, l.index))
            .collect();
        let again: Vec<Line> = lines(&records[start..])
            .into_iter()
            .filter(|line| !line.terminated || !known.contains(&(line.record_offset, line.index)))
            .collect();
        assert_eq!(again, all[seen..], "after record {at}");
    }
}

#[test]
fn journal_bytes() {
    const WORDS: &[&str] = &[
        "out", "err", "ctl", "in", " ", "\n", "+", "0", "65536", "65537",
    ];
    let kept = corpus::kept("journal", &[]);
    corpus::run("journal_bytes", 400, kept, WORDS, |bytes| {
        let whole = read(0, bytes, &[usize::MAX], None);
        for pieces in [&[1][..], &[7, 1, 64], &[63]] {
            assert_eq!(
                read(0, bytes, pieces, None),
                whole,
                "in pieces of {pieces:?}"
            );
        }
        let mut read = 0;
        for record in &whole.0 {
            assert_eq!(record.offset, read);
            read = record.end;
        }
        assert!(read <= bytes.len() as u64);
        lines(&whole.0);
        RecordHeader::parse(bytes);
    });
}

/// Any offset and any gap: the reader stands outside of the gap afterwards.
#[test]
fn journal_gaps() {
    let number = || prop_oneof![0..200u64, any::<u64>(), Just(u64::MAX)];
    let input = (number(), number(), number(), vec(made(), 0..4));
    harness::run("journal_gaps", 300, &input, |(from, to, start, made)| {
        let gap = JournalGap {
            version: 1,
            from,
            to,
        };
        let mut reader = JournalReader::new(start);
        let jumped = reader.set_gap(Some(gap));
        assert_eq!(jumped, (from..to).contains(&start));
        assert!(!(from..to).contains(&reader.offset()));
        assert!(reader.offset() >= start, "only forward");
        reader.feed(&journal(&made));
        let before = reader.offset();
        while let Ok(Some(_)) = reader.next_record() {}
        assert!(reader.offset() >= before);
        reader.read_from();
    });
}

/// A bound on lines keeps their beginning and says so.
#[test]
fn journal_long_lines() {
    let input = (vec(made(), 0..12), 0..20usize);
    harness::run("journal_long_lines", 200, &input, |(made, max)| {
        let (records, _) = read(0, &journal(&made), &[usize::MAX], None);
        let mut assembler = LineAssembler::with_max(max);
        let mut bounded: Vec<Line> = records
            .iter()
            .flat_map(|record| assembler.push(record))
            .collect();
        bounded.extend(assembler.finish());
        let whole = lines(&records);
        assert_eq!(bounded.len(), whole.len());
        for (line, whole) in bounded.iter().zip(&whole) {
            assert_eq!(line.bytes, whole.bytes[..whole.bytes.len().min(max)]);
            assert_eq!(line.truncated, whole.bytes.len() > max);
        }
    });
}
