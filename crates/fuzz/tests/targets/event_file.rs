//! A job's event file: pages of what was appended, and files that something
//! else wrote into.

use std::{collections::BTreeSet, path::Path};

use convoke_core::{
    event::{EventKind, JobEvent, NewEvent, Source},
    time::UnixMillis,
};
use convoke_store::{EventFile, EventFileError, read_page};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use crate::{corpus, harness, json};

/// A source, small enough to come twice and out of order.
fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        (0..6u64).prop_map(Source::Lifecycle),
        (1..3u32, 0..6u64, 0..3u32).prop_map(|(attempt, offset, index)| Source::Journal {
            attempt,
            offset,
            index
        }),
    ]
}

/// All events from `cursor` on, by pages of this size, with every cursor.
fn pages(
    path: &Path,
    mut cursor: u64,
    events: usize,
    bytes: usize,
) -> Result<(Vec<JobEvent>, BTreeSet<u64>), EventFileError> {
    let (mut all, mut cursors) = (Vec::new(), BTreeSet::from([cursor]));
    loop {
        let page = read_page(path, cursor, events, bytes)?;
        assert!(page.events.len() <= events.max(1));
        assert!(page.next > cursor || page.events.is_empty(), "cursors rise");
        assert!(
            page.at_end || !page.events.is_empty(),
            "a page brings something"
        );
        cursor = page.next;
        cursors.insert(cursor);
        all.extend(page.events);
        if page.at_end {
            return Ok((all, cursors));
        }
    }
}

#[test]
fn event_pages() {
    let event = (source(), json::text());
    let input = (vec(event, 0..20), 0..6usize, 0..400usize);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    harness::run("event_pages", 60, &input, |(appended, events, bytes)| {
        let _ = fs_err::remove_file(&path);
        let (mut file, _) = EventFile::open(&path).expect("opened");
        let mut expected = Vec::new();
        for (src, text) in appended {
            let event = NewEvent::new(EventKind::Message, json!({ "text": text }));
            if file.append(src, UnixMillis(5), event).expect("appended") {
                expected.push((expected.len() as u64 + 1, src, text));
            }
        }
        let len = file.flush().expect("flushed");
        let (all, cursors) = pages(&path, 0, events, bytes).expect("pages");
        let found: Vec<_> = all
            .iter()
            .map(|event| {
                let text = event.content["text"].as_str().expect("a text");
                (event.seq, event.src, text.to_owned())
            })
            .collect();
        assert_eq!(found, expected, "all events, once");
        check_cursors(&path, len, &all, &cursors);
    });
}

/// Every place that is no cursor is refused; every one that is gives the rest.
fn check_cursors(path: &Path, len: u64, all: &[JobEvent], cursors: &BTreeSet<u64>) {
    let starts: BTreeSet<u64> = (0..=len)
        .filter(|at| read_page(path, *at, 1, 0).is_ok())
        .collect();
    assert_eq!(
        starts.len(),
        all.len() + 1,
        "one cursor an event, and the end"
    );
    assert!(cursors.is_subset(&starts));
    for (index, start) in starts.iter().enumerate() {
        let (rest, _) = pages(path, *start, 3, usize::MAX).expect("pages");
        assert_eq!(rest, all[index..]);
    }
    for beyond in [len + 1, u64::from(u32::MAX), 1 << 62, 1 << 63, u64::MAX] {
        let refused = read_page(path, beyond, 1, 0).expect_err("beyond the end");
        assert!(
            matches!(refused, EventFileError::BadCursor { .. }),
            "{refused}"
        );
    }
}

#[test]
fn event_file_bytes() {
    const WORDS: &[&str] = &[
        "\n",
        "\0\0\0\0",
        "{}",
        "\"lifecycle\":1",
        "seq",
        "journal",
        "final",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let kept = corpus::kept("event_file", &[]);
    corpus::run("event_file_bytes", 150, kept, WORDS, |bytes| {
        fs_err::write(&path, bytes).expect("written");
        check_reading(&path, bytes.len() as u64);
        check_writing(&path, bytes);
    });
}

fn check_reading(path: &Path, len: u64) {
    for (events, size) in [(1, 0), (3, 200), (1_000, usize::MAX)] {
        match pages(path, 0, events, size) {
            Ok((_, cursors)) => assert!(cursors.last().is_some_and(|last| *last <= len)),
            Err(EventFileError::Damaged { offset, .. }) => assert!(offset < len),
            Err(other) => panic!("{other}"),
        }
    }
    for cursor in 0..=len.min(300) {
        match read_page(path, cursor, 2, 100) {
            Ok(page) => assert!(page.next >= cursor && page.next <= len),
            Err(EventFileError::BadCursor { .. } | EventFileError::Damaged { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn check_writing(path: &Path, bytes: &[u8]) {
    let (mut file, tail) = EventFile::open(path).expect("opened");
    let left = fs_err::read(path).expect("read");
    assert_eq!(left.len() as u64, tail.len);
    assert!(bytes.starts_with(&left), "only the end is cut off");
    assert!(
        left.is_empty() || left.ends_with(b"\n"),
        "whole lines are left"
    );
    let (_, again) = EventFile::open(path).expect("opened again");
    assert_eq!(again, tail, "opening again changes nothing");
    let before = file.last_seq();
    let event = NewEvent::new(EventKind::Final, json!({}));
    // Newer than any but the very last.
    let last = Source::Lifecycle(u64::MAX);
    if file.append(last, UnixMillis(5), event).expect("appended") {
        file.flush().expect("flushed");
        let page = read_page(path, tail.len, 1, 0).expect("the new event");
        assert_eq!(page.events.len(), 1);
        assert!(page.events[0].seq > before || before == u64::MAX);
        assert_eq!(page.events[0].src, last);
    }
}
