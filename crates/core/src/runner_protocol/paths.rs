//! File names inside a runner's folder `runners/<id>/`.

/// What to run; written by the daemon before the runner starts.
pub const SPEC: &str = "spec.json";
/// Locked by the daemon, handed to the runner as its stdin, held until it ends.
pub const LOCK: &str = "runner.lock";
/// Who the runner is; written and synced before it contains or starts anything.
pub const IDENTITY: &str = "runner.json";
/// [`IDENTITY`] before it gets its name.
pub const IDENTITY_UNNAMED: &str = "runner.json.tmp";
/// Every byte the agent wrote, and what was done to it.
pub const JOURNAL: &str = "journal";
/// Which part of the journal was given up to keep it under its cap.
pub const JOURNAL_GAP: &str = "journal.gap";
/// How it ended; the last thing a runner writes.
pub const EXIT: &str = "exit.json";
/// Space kept for [`EXIT`], so that it can be written on a full disk.
pub const EXIT_RESERVE: &str = "exit.json.reserve";
/// Size of [`EXIT_RESERVE`], bytes.
pub const EXIT_RESERVE_BYTES: usize = 16 * 1024;
