//! Memory of this process, as the system counts it.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub use linux::resident_bytes;
#[cfg(not(target_os = "linux"))]
pub use other::resident_bytes;
