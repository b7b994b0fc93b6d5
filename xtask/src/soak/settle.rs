//! After the kills: waits, with a bound, until every job is over and tidied up.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::stage::{Stage, rest};

/// How long all jobs may take to end.
const END_WITHIN: Duration = Duration::from_secs(180);
/// How long what follows the ends may take.
const TIDY_WITHIN: Duration = Duration::from_secs(60);
/// Between two lines.
const TELL: Duration = Duration::from_secs(5);
/// States of jobs that are over.
const OVER: [&str; 3] = ["completed", "failed", "cancelled"];

/// Waits for the ends; all jobs the daemon lists.
pub fn settle(stage: &Stage) -> Vec<Value> {
    let ended = until(END_WITHIN, "jobs live", || {
        // This starts a daemon, if the last one was killed.
        let live = stage.json(&["ps", "--all", "--state", "live"])?;
        Ok(live["jobs"].as_array().map_or(0, Vec::len))
    });
    if let Err(how) = ended {
        // Which ones they are is told by the census.
        let seconds = END_WITHIN.as_secs();
        let what = format!("not all jobs are over after {seconds} s: {how}");
        stage.ledger.fail_at_large(what);
    }
    let tidy = until(TIDY_WITHIN, "jobs with their environment", || {
        Ok(environments(stage).len())
    });
    if let Err(how) = tidy {
        let files = environments(stage);
        stage.ledger.fail_at_large(format!(
            "environments of jobs are not deleted ({how}): {files:?}"
        ));
    }
    list(stage).unwrap_or_else(|error| {
        stage.ledger.fail_at_large(error);
        Vec::new()
    })
}

/// Whether a job is over.
pub fn is_over(job: &Value) -> bool {
    OVER.iter().any(|state| job["state"] == *state)
}

fn list(stage: &Stage) -> Result<Vec<Value>, String> {
    let listed = stage.json(&["ps", "--all"])?;
    Ok(listed["jobs"].as_array().cloned().unwrap_or_default())
}

fn environments(stage: &Stage) -> Vec<PathBuf> {
    let jobs = stage.environment().state_home().join("jobs");
    let Ok(entries) = fs_err::read_dir(&jobs) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("env.json"))
        .filter(|path| path.exists())
        .collect()
}

/// Waits until a count is 0, and says meanwhile what it is.
///
/// # Errors
/// It is not within the time; the text says how things stand.
fn until(
    within: Duration,
    what: &str,
    mut count: impl FnMut() -> Result<usize, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + within;
    let mut tell = Instant::now() + TELL;
    loop {
        let how = match count() {
            Ok(0) => return Ok(()),
            Ok(count) => format!("{count} {what}"),
            Err(error) => error,
        };
        if Instant::now() >= deadline {
            return Err(how);
        }
        if Instant::now() >= tell {
            eprintln!("soak: settling: {how}");
            tell = Instant::now() + TELL;
        }
        rest(250);
    }
}
