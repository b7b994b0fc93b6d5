//! Settings: the user's file, the environment, and the ceiling a repository
//! sets.

mod ceiling;
mod file;
mod settings;
mod tables;
mod units;
mod workspace;

pub use ceiling::{Ceiling, ceiling_of};
pub use file::{Config, ConfigError, load};
pub use settings::Setting;
pub use units::{parse_bytes, parse_duration_ms};
pub use workspace::{Fallback, OnViolation};
