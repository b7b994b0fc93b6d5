//! What commands print: stdout is data, stderr is everything else.

pub mod errors;
pub mod events;
pub mod job;
pub mod patch;
pub mod printer;
pub mod progress;
pub mod style;
pub mod table;
pub mod text;
pub mod time;
pub mod tree;

pub use errors::tell_error;
pub use printer::Printer;
