//! Where the real Codex of the tests is.
//!
//! `cargo xtask test` installs it below `.tools/npm` from the committed
//! lockfile and names it in [`CODEX_VARIABLE`]. Tests that need it have
//! `real_codex` in their name (or their module's), so that the test runner
//! starts one of them at a time, and begin with
//! `let Some(codex) = real_codex() else { return };`.

use std::path::{Path, PathBuf};

/// Variable with the path of the `codex` program to test with.
pub const CODEX_VARIABLE: &str = "CONVOKE_TEST_CODEX";

/// Variable that says (with `1`) that there is no Codex on this machine and
/// that tests that need one are to be skipped.
pub const WITHOUT_CODEX_VARIABLE: &str = "CONVOKE_TEST_WITHOUT_CODEX";

/// Folder of the local installation, relative to the workspace's root.
pub const INSTALL_FOLDER: &str = ".tools/npm";

/// The `codex` program below an installation folder, whether it is there or
/// not.
#[must_use]
pub fn program_in(install_folder: &Path) -> PathBuf {
    install_folder.join("node_modules/.bin/codex")
}

/// The real `codex` program: the one [`CODEX_VARIABLE`] names, else the local
/// installation.
///
/// None, after saying so on stderr, only when [`WITHOUT_CODEX_VARIABLE`] is
/// `1`: then the calling test has to return.
///
/// # Panics
/// When there is none and that was not declared, or when the variable names
/// no file: a test that cannot run must not pass silently.
#[must_use]
pub fn real_codex() -> Option<PathBuf> {
    if std::env::var_os(WITHOUT_CODEX_VARIABLE).is_some_and(|value| value == "1") {
        eprintln!("SKIPPED: needs a real Codex, and {WITHOUT_CODEX_VARIABLE}=1 says there is none");
        return None;
    }
    let program = match std::env::var_os(CODEX_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => program_in(&workspace_root().join(INSTALL_FOLDER)),
    };
    assert!(
        program.is_file(),
        "no Codex at {}: run `cargo xtask tools` (needs Node), or set {WITHOUT_CODEX_VARIABLE}=1 to skip the tests that need it",
        program.display()
    );
    Some(program)
}

/// The folder that holds the workspace's `Cargo.toml`.
fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
