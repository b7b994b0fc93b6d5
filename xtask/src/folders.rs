//! Folders of the workspace.

use std::path::{Path, PathBuf};

/// The folder that holds the workspace's `Cargo.toml`.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in a folder of the workspace")
        .to_owned()
}

/// Where tools are installed; ignored by git.
pub fn tools() -> PathBuf {
    workspace().join(".tools")
}

/// Where cargo puts what it builds for development.
pub fn built() -> PathBuf {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    };
    target.join("debug")
}
