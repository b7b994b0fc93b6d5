//! Reads small files that may be an agent's.

use std::{
    io::{self, Read as _},
    path::Path,
};

use fs_err::{OpenOptions, os::unix::fs::OpenOptionsExt as _};

/// The content of a file, which must be a plain one of at most `most` bytes: the
/// tree may be an agent's, and hold pipes and devices in place of files.
pub(crate) fn plain_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::other("it is too large"));
    }
    Ok(content)
}
