//! The file from which this very process was started.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub use linux::own_image;
#[cfg(not(target_os = "linux"))]
pub use other::own_image;
