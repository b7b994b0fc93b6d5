//! Named points at which a test can end the daemon, as a crash would.
//!
//! `CONVOKE_TEST_DAEMON_DIES_AT=<point>` makes the process kill itself at the
//! point. Compiled only with the feature `test-hooks`.

#[cfg(not(feature = "test-hooks"))]
pub use disabled::{reach, reach_of};
#[cfg(feature = "test-hooks")]
pub use enabled::{reach, reach_of};

#[cfg(not(feature = "test-hooks"))]
mod disabled {
    /// Does nothing.
    pub fn reach(_point: &str) {}

    /// Does nothing.
    pub fn reach_of(_point: &str, _what: &str) {}
}

#[cfg(feature = "test-hooks")]
mod enabled {
    /// Ends the process with SIGKILL if this is the point a test chose.
    pub fn reach(point: &str) {
        if chosen().is_some_and(|chosen| chosen == point) {
            die();
        }
    }

    /// The same for a point that is passed by several things; a test chooses
    /// it as `<point>:<what>`.
    pub fn reach_of(point: &str, what: &str) {
        let chosen = chosen();
        let parts = chosen.as_deref().and_then(|chosen| chosen.split_once(':'));
        if parts == Some((point, what)) {
            die();
        }
    }

    fn chosen() -> Option<String> {
        std::env::var("CONVOKE_TEST_DAEMON_DIES_AT").ok()
    }

    fn die() {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}
