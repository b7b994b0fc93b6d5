//! Systems without overlayfs.

use std::{
    io,
    path::{Path, PathBuf},
};

/// What keeps a layer from being laid over `tree`: the system.
#[must_use]
pub fn of_tree(_tree: &Path, _state_home: &Path) -> Option<String> {
    Some("overlays need Linux".to_owned())
}

/// Something in the tree that could not be written through a layer: not asked here.
///
/// # Errors
/// None.
pub fn foreign(_tree: &Path) -> io::Result<Option<PathBuf>> {
    Ok(None)
}
