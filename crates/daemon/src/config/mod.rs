//! Settings: the user's file, the environment, and the ceiling a repository
//! sets.

mod ceiling;
mod file;
mod settings;
mod tables;
mod units;

pub use ceiling::{Ceiling, ceiling_of};
pub use file::{Config, ConfigError, OnViolation, load};
pub use settings::Setting;
pub use units::{parse_bytes, parse_duration_ms};
