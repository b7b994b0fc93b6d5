//! Systems that do not tell it cheaply.

/// Resident memory, bytes: not known here.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    None
}
