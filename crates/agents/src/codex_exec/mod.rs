//! Driver of `codex exec --json`. The reference is Codex 0.169; everything
//! that is assumed of it stands in this folder.
//!
//! - [`probe`]: what to ask an installed Codex, and how to read its answers
//! - [`native_binary`]: where the real program lies behind the npm launcher
//! - [`command_line`]: how a turn is started
//! - [`prompt`]: what it reads on stdin
//! - [`overrides`]: which `-c` pairs of a caller are refused
//! - [`recursion_guard`]: what keeps a worker from starting workers
//! - [`stream`]: what it prints, as events, and what came of the turn
//! - [`items`]: one item of a turn as the content of an event
//! - [`denials`]: what the sandbox refused
//! - [`git_writes`]: commands that no worker has business with
//! - [`rollout`]: its own record of a conversation, for what its stream hides
//! - [`reset_time`]: how long a rate limit lasts, as its message says
//! - [`failure_codes`]: its error messages as failure codes

pub mod command_line;
pub mod denials;
pub mod failure_codes;
pub mod git_writes;
pub mod items;
pub mod native_binary;
pub mod overrides;
pub mod probe;
pub mod prompt;
pub mod recursion_guard;
pub mod reset_time;
pub mod rollout;
mod stderr;
pub mod stream;

pub use self::stream::CodexExec;
