//! The database's file: newer, damaged, private.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::Path};

use crate::support::{TestHome, accept, new_job, runtime};
use convoke_store::{Store, StoreError};

/// Every file of a folder with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs_err::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs_err::read(&path).expect("a file"))
        })
        .collect()
}

fn set_version(home: &TestHome, version: u32) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(home.home.database()).expect("a database");
    connection
        .pragma_update(None, "user_version", version)
        .expect("a version");
    connection
}

#[test]
fn a_newer_database_is_refused_untouched() {
    let home = TestHome::new();
    home.store().close();
    drop(set_version(&home, 99));
    let before = contents(home.path());
    let refused = Store::open(&home.home).expect_err("an error");
    assert!(
        matches!(
            refused,
            StoreError::NewerSchema {
                found: 99,
                known: 3,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(refused.hint().is_some());
    assert_eq!(contents(home.path()), before);
}

#[test]
fn a_newer_database_is_refused_even_if_only_its_log_says_so() {
    let home = TestHome::new();
    home.store().close();
    let other = set_version(&home, 99);
    let before = fs_err::read(home.home.database()).expect("a file");
    let refused = Store::open(&home.home).expect_err("an error");
    assert!(
        matches!(refused, StoreError::NewerSchema { .. }),
        "{refused:?}"
    );
    assert_eq!(fs_err::read(home.home.database()).expect("a file"), before);
    drop(other);
}

#[test]
fn a_damaged_database_is_named() {
    let home = TestHome::new();
    let garbage = vec![b'x'; 10_000];
    fs_err::write(home.home.database(), &garbage).expect("a file");
    let refused = Store::open(&home.home).expect_err("an error");
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    let hint = refused.hint().expect("a hint");
    assert!(hint.contains("convoke.db"), "{hint}");
    assert_eq!(fs_err::read(home.home.database()).expect("a file"), garbage);
}

#[test]
fn its_files_are_private() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(accept(&store, new_job(1)));
    for name in contents(home.path()).keys() {
        let metadata = fs_err::metadata(home.path().join(name)).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}
