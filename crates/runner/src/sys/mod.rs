//! System calls whose form differs between platforms, under the same names.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;

#[cfg(target_os = "linux")]
pub use linux::{close_all_except, pipe, punch_hole, raw_fork, sync_data};
#[cfg(not(target_os = "linux"))]
pub use macos::{close_all_except, pipe, punch_hole, raw_fork, sync_data};
