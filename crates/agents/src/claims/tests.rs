//! How models write the list, and what is read from it.

use super::*;

fn check(table: &[(&str, Option<&[&str]>)]) {
    for (message, wanted) in table {
        let found = modified_files(message);
        let found = found
            .as_ref()
            .map(|files| files.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), *wanted, "in:\n{message}");
    }
}

#[test]
fn without_a_list_nothing_is_claimed() {
    check(&[
        ("", None),
        ("I changed src/a.rs.", None),
        ("The modified files were checked.", None),
        ("modifiedFilesX:\n- a", None),
        ("Edited files and tests are fine: see above", None),
        ("{\"summary\":\"x\"}", None),
    ]);
}

#[test]
fn an_empty_list_is_a_claim() {
    check(&[
        ("modifiedFiles: (none)", Some(&[])),
        ("modifiedFiles:\n(none)", Some(&[])),
        ("modifiedFiles:\n- (none)", Some(&[])),
        ("modifiedFiles:\n- `none`\n- more", Some(&[])),
        ("## modifiedFiles\n\nNone.\n", Some(&[])),
        ("- **modifiedFiles**: none", Some(&[])),
        ("modifiedFiles: []", Some(&[])),
        ("modifiedFiles:", Some(&[])),
        ("modifiedFiles:\n\nstatus: ok", Some(&[])),
        ("Edited files: No files were changed.", Some(&[])),
        ("modifiedFiles\n\n## Tests\nran", Some(&[])),
        ("{\"modifiedFiles\": []}", Some(&[])),
    ]);
}

#[test]
fn titles_in_every_dress() {
    for title in [
        "modifiedFiles:",
        "modifiedFiles",
        "## modifiedFiles",
        "### Modified Files:",
        "**modifiedFiles**:",
        "**modifiedFiles:**",
        "- modifiedFiles:",
        "* **Modified files**",
        "1. Edited files:",
        "`modifiedFiles`:",
        "modified_files:",
        "MODIFIEDFILES:",
        "Edited files",
        "__Edited Files__",
        "Files modified:",
        "Modified files (2):",
        "**Modified files (2)**",
    ] {
        let message = format!("Done.\n\n{title}\n  - `src/a.rs`\n  - b.txt\n");
        check(&[(&message, Some(&["src/a.rs", "b.txt"]))]);
    }
}

#[test]
fn entries_in_every_dress() {
    check(&[
        (
            "modifiedFiles:\nsrc/a.rs\nMakefile\n\nThat is all.",
            Some(&["src/a.rs", "Makefile"]),
        ),
        (
            "modifiedFiles:\n- a.rs (new)\n- b.rs — parser\n- c.rs: tests",
            Some(&["a.rs", "b.rs", "c.rs"]),
        ),
        (
            "modifiedFiles:\n- `a.rs` (new)\n- **`b.rs`** was rewritten",
            Some(&["a.rs", "b.rs"]),
        ),
        ("modifiedFiles:\n- a.rs,\n- b.rs,", Some(&["a.rs", "b.rs"])),
        (
            "modifiedFiles:\n1. a.rs\n2) b.rs\n10. c.rs",
            Some(&["a.rs", "b.rs", "c.rs"]),
        ),
        (
            "modifiedFiles:\n- [a.rs](/repo/src/a.rs:12)\n- [b](/repo/b.rs#L3)",
            Some(&["/repo/src/a.rs", "/repo/b.rs"]),
        ),
        (
            "modifiedFiles:\n- my notes.txt\n- größe/ñ.md",
            Some(&["my notes.txt", "größe/ñ.md"]),
        ),
        (
            "modifiedFiles:\n```\na.rs\nb.rs\n```\n",
            Some(&["a.rs", "b.rs"]),
        ),
        ("modifiedFiles:\n- a.rs\n- a.rs\n", Some(&["a.rs"])),
        (
            "modifiedFiles:\r\n- a.rs\r\n- b.rs\r\n",
            Some(&["a.rs", "b.rs"]),
        ),
        (
            "modifiedFiles:\n- LICENSE\n- .gitignore",
            Some(&["LICENSE", ".gitignore"]),
        ),
        (
            "modifiedFiles:\n\n- a.rs\n\n- b.rs",
            Some(&["a.rs", "b.rs"]),
        ),
    ]);
}

#[test]
fn lists_on_the_same_line() {
    check(&[
        ("modifiedFiles: a.rs, b.rs", Some(&["a.rs", "b.rs"])),
        (
            "- modifiedFiles: `a.rs`, `src/b c.rs`",
            Some(&["a.rs", "src/b c.rs"]),
        ),
        (
            "modifiedFiles: [\"a.rs\", \"b.rs\"]",
            Some(&["a.rs", "b.rs"]),
        ),
        ("**modifiedFiles:** a.rs", Some(&["a.rs"])),
        ("modifiedFiles: a.rs\n- not.this", Some(&["a.rs"])),
    ]);
}

#[test]
fn the_list_ends_where_it_ends() {
    check(&[
        ("modifiedFiles:\n- a.rs\n\nAll tests pass.", Some(&["a.rs"])),
        (
            "modifiedFiles:\n- a.rs\n## Tests\n- ran them",
            Some(&["a.rs"]),
        ),
        ("modifiedFiles:\n- a.rs\ntests:\n- cargo", Some(&["a.rs"])),
        (
            "- modifiedFiles:\n  - a.rs\n- tests: passed",
            Some(&["a.rs"]),
        ),
        ("- modifiedFiles:\n- a.rs\n- tests: passed", Some(&["a.rs"])),
        (
            "- modifiedFiles:\n- `a b.rs`\n- Next step",
            Some(&["a b.rs"]),
        ),
        (
            "modifiedFiles:\n- a.rs\n- All tests in crates/x pass now.",
            Some(&["a.rs"]),
        ),
        ("modifiedFiles:\na.rs\nAll good now\n", Some(&["a.rs"])),
    ]);
}

#[test]
fn the_last_list_counts_and_json_is_read() {
    check(&[
        (
            "modifiedFiles:\n- old.rs\n\nmodifiedFiles:\n- new.rs",
            Some(&["new.rs"]),
        ),
        (
            "{\"summary\":\"x\",\"modifiedFiles\":[\"a.rs\",\"b.rs\"]}",
            Some(&["a.rs", "b.rs"]),
        ),
        ("{\"modified_files\":[\"a.rs\"]}\n", Some(&["a.rs"])),
        (
            "{\"modifiedFiles\":[\"a.rs\",\"\",\"a.rs\"]}",
            Some(&["a.rs"]),
        ),
    ]);
}

#[test]
fn marks_apart_from_the_path_they_mark() {
    check(&[("modifiedFiles:\n- ** é", Some(&["é"]))]);
}
