//! Event files: appending once, tearing, pages.

use std::{io::Write as _, path::PathBuf};

use convoke_core::{
    event::{EventKind, NewEvent, Source},
    time::UnixMillis,
};
use convoke_store::{EventFile, EventFileError, JournalMark, read_page};
use serde_json::json;

struct TestFile {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn test_file() -> TestFile {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    TestFile {
        _folder: folder,
        path,
    }
}

fn journal(attempt: u32, offset: u64, index: u32) -> Source {
    Source::Journal {
        attempt,
        offset,
        index,
    }
}

fn append(file: &mut EventFile, src: Source, text: &str) -> bool {
    let event = NewEvent::new(EventKind::Message, json!({ "text": text }));
    file.append(src, UnixMillis(7), event).expect("appended")
}

fn texts(path: &std::path::Path, cursor: u64, events: usize, bytes: usize) -> (String, u64, bool) {
    let page = read_page(path, cursor, events, bytes).expect("a page");
    let texts = page.events.iter().map(|event| {
        let text = event.content["text"].as_str().expect("a text");
        format!("{}{text} ", event.seq)
    });
    (texts.collect(), page.next, page.at_end)
}

#[test]
fn each_event_is_kept_once_in_any_interleaving() {
    let test = test_file();
    let sources = [
        Source::Lifecycle(4),
        journal(1, 100, 0),
        journal(1, 100, 1),
        Source::Lifecycle(9),
        journal(1, 250, 0),
        journal(2, 10, 0),
        Source::Lifecycle(12),
    ];
    // However far it came before, going through all again adds the rest.
    for reached in 0..=sources.len() {
        let (mut file, _) = EventFile::open(&test.path).expect("a file");
        for source in &sources[..reached] {
            append(&mut file, *source, "x");
        }
        file.flush().expect("written");
        drop(file);
        let (mut file, tail) = EventFile::open(&test.path).expect("a file");
        assert_eq!(tail.last.map(|last| last.0).unwrap_or(0), reached as u64);
        let added = sources
            .iter()
            .filter(|s| append(&mut file, **s, "x"))
            .count();
        assert_eq!(added, sources.len() - reached);
        let tail = file.truncate_to(0).expect("emptied");
        assert_eq!((tail.len, tail.last), (0, None));
    }
}

#[test]
fn the_last_line_tells_both_sources() {
    let test = test_file();
    let (mut file, _) = EventFile::open(&test.path).expect("a file");
    append(&mut file, Source::Lifecycle(3), "a");
    for offset in 0..5_000 {
        append(&mut file, journal(1, offset, 2), "some text of the agent");
    }
    let len = file.flush().expect("written");
    let (file, tail) = EventFile::open(&test.path).expect("a file");
    assert_eq!((tail.len, file.last_seq()), (len, 5_001));
    assert_eq!(tail.sources.lifecycle, Some(3));
    let mark = JournalMark {
        attempt: 1,
        offset: 4_999,
        index: 2,
    };
    assert_eq!(tail.sources.journal, Some(mark));
}

#[test]
fn what_is_torn_or_no_event_is_cut_off() {
    for damage in [
        &b"{\"v\":1,\"seq\":3"[..],
        b"\0\0\0\0\n\0\0\0\0",
        b"{}\nnonsense\n",
        "\u{fc}".as_bytes(),
    ] {
        let test = test_file();
        let (mut file, _) = EventFile::open(&test.path).expect("a file");
        append(&mut file, Source::Lifecycle(1), "a");
        append(&mut file, Source::Lifecycle(2), "b");
        let len = file.flush().expect("written");
        drop(file);
        let mut raw = fs_err::OpenOptions::new()
            .append(true)
            .open(&test.path)
            .expect("a file");
        raw.write_all(damage).expect("damaged");
        if !damage.contains(&b'\n') {
            assert_eq!(
                texts(&test.path, 0, 9, 9_999),
                ("1a 2b ".to_owned(), len, true)
            );
        }
        let (mut file, tail) = EventFile::open(&test.path).expect("a file");
        assert_eq!((tail.len, file.last_seq()), (len, 2));
        assert!(append(&mut file, Source::Lifecycle(3), "c"));
        file.flush().expect("written");
        assert_eq!(texts(&test.path, 0, 9, 9_999).0, "1a 2b 3c ");
    }
}

#[test]
fn pages_hold_all_events_once() {
    let test = test_file();
    let (mut file, _) = EventFile::open(&test.path).expect("a file");
    let long = "größe ".repeat(30_000);
    let all = ["a", "ü€𝄞", &long, "b", "c"];
    for (number, text) in all.iter().enumerate() {
        append(&mut file, Source::Lifecycle(number as u64 + 1), text);
    }
    file.flush().expect("written");
    for (max_events, max_bytes) in [(1, 1), (2, 1 << 30), (200, 300), (200, 1 << 30)] {
        let (mut cursor, mut read) = (0, String::new());
        loop {
            let (part, next, at_end) = texts(&test.path, cursor, max_events, max_bytes);
            assert!(next > cursor, "a page is never empty before the end");
            read.push_str(&part);
            cursor = next;
            if at_end {
                break;
            }
        }
        let expected: String = all
            .iter()
            .enumerate()
            .map(|(at, text)| format!("{}{text} ", at + 1))
            .collect();
        assert!(
            read == expected,
            "with {max_events} events and {max_bytes} bytes"
        );
        assert_eq!(
            texts(&test.path, cursor, 9, 9),
            (String::new(), cursor, true)
        );
    }
}

#[test]
fn only_starts_of_lines_are_cursors() {
    let test = test_file();
    let missing = read_page(&test.path, 0, 1, 1).expect("a page");
    assert!(missing.at_end && missing.events.is_empty());
    assert!(matches!(
        read_page(&test.path, 5, 1, 1),
        Err(EventFileError::BadCursor { .. })
    ));
    let (mut file, _) = EventFile::open(&test.path).expect("a file");
    append(&mut file, Source::Lifecycle(1), "äöü");
    append(&mut file, Source::Lifecycle(2), "b");
    let len = file.flush().expect("written");
    let good: Vec<u64> = (0..=len + 5)
        .filter(|cursor| read_page(&test.path, *cursor, 1, 1).is_ok())
        .collect();
    assert_eq!(good.len(), 3);
    assert_eq!((good[0], good[2]), (0, len));
    for beyond in [1 << 63, u64::MAX] {
        let refused = read_page(&test.path, beyond, 1, 1);
        assert!(
            matches!(refused, Err(EventFileError::BadCursor { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn fields_of_newer_versions_are_tolerated() {
    let test = test_file();
    let line = r#"{"v":2,"seq":1,"src":{"lifecycle":5},"at":7,"type":"message","content":{"text":"a"},"later":{}}"#;
    fs_err::write(&test.path, format!("{line}\n")).expect("a file");
    assert_eq!(texts(&test.path, 0, 9, 999).0, "1a ");
    let (file, tail) = EventFile::open(&test.path).expect("a file");
    assert_eq!((file.last_seq(), tail.sources.lifecycle), (1, Some(5)));
}

#[test]
fn a_damaged_number_does_not_end_the_file() {
    let test = test_file();
    let line = format!(r#"{{"seq":{},"src":{{"lifecycle":5}}}}"#, u64::MAX);
    fs_err::write(&test.path, format!("{line}\n")).expect("a file");
    let (mut file, _) = EventFile::open(&test.path).expect("a file");
    assert!(append(&mut file, Source::Lifecycle(6), "a"));
}

#[test]
fn damage_in_the_middle_is_named() {
    let test = test_file();
    fs_err::write(&test.path, "nonsense\n").expect("a file");
    let refused = read_page(&test.path, 0, 9, 999);
    assert!(matches!(
        refused,
        Err(EventFileError::Damaged { offset: 0, .. })
    ));
}
