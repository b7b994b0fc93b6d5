//! What keeps a layer from being laid over a tree, as far as it can be told without
//! trying; the file per platform offers the same functions.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub use linux::{foreign, of_tree};
#[cfg(not(target_os = "linux"))]
pub use other::{foreign, of_tree};
