//! Systems without overlayfs.

use convoke_core::runner_protocol::Overlay;

/// Why there is none.
pub(crate) const NOT_POSSIBLE: &str = "overlays need Linux";

/// Whether an overlay can be laid and written through: never.
///
/// # Errors
/// Always, with the reason in words.
pub(super) fn try_out(_overlay: &Overlay) -> Result<(), String> {
    Err(NOT_POSSIBLE.to_owned())
}
