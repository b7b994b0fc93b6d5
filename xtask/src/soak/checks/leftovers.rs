//! What is left of the environment when its daemon was stopped.

use std::time::{Duration, Instant};

use convoke_test_support::census;
use serde_json::Value;

use crate::soak::stage::{Stage, rest};

/// How long the last processes may take to end.
const END_WITHIN: Duration = Duration::from_secs(20);

/// No process. Those that are left are killed, after they were noted.
pub fn processes(stage: &Stage, _jobs: &[Value]) -> usize {
    let deadline = Instant::now() + END_WITHIN;
    let mut left = stage.environment().processes();
    while !left.is_empty() && Instant::now() < deadline {
        rest(100);
        left = stage.environment().processes();
    }
    for process in &left {
        let what = format!("process {} is left: {}", process.pid, process.command);
        stage.ledger.fail_at_large(what);
        census::kill(process.pid);
    }
    1
}

/// No mount.
pub fn mounts(stage: &Stage, _jobs: &[Value]) -> usize {
    let table = match fs_err::read_to_string("/proc/self/mountinfo") {
        Ok(table) => table,
        Err(error) => {
            stage.ledger.fail_at_large(error.to_string());
            return 0;
        }
    };
    let folder = stage.environment().root().display().to_string();
    for mount in table.lines().filter(|line| line.contains(&folder)) {
        stage
            .ledger
            .fail_at_large(format!("a mount is left: {mount}"));
    }
    table.lines().count()
}
