//! Files of the state home: nobody but their owner may read them.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Makes the file, or empties the one there is.
///
/// # Errors
/// It cannot be opened.
pub fn create(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

/// Writes a whole file, not synced, and makes the folders that lead to it.
///
/// # Errors
/// A folder or the file cannot be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    create(path)?.write_all(content)
}
