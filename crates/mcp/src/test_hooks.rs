//! Named points at which a test can end the server, as a crash would.
//!
//! `CONVOKE_TEST_MCP_DIES_AT=<point>:<tool>` makes the process kill itself at the
//! point of a call of the tool. Compiled only with the feature `test-hooks`.

#[cfg(not(feature = "test-hooks"))]
pub use disabled::reach;
#[cfg(feature = "test-hooks")]
pub use enabled::reach;

#[cfg(not(feature = "test-hooks"))]
mod disabled {
    /// Does nothing.
    pub fn reach(_point: &str, _tool: &str) {}
}

#[cfg(feature = "test-hooks")]
mod enabled {
    /// Ends the process with SIGKILL if this is the point and the tool a test
    /// chose.
    pub fn reach(point: &str, tool: &str) {
        let chosen = std::env::var("CONVOKE_TEST_MCP_DIES_AT").ok();
        let parts = chosen.as_deref().and_then(|chosen| chosen.split_once(':'));
        if parts == Some((point, tool)) {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }
}
