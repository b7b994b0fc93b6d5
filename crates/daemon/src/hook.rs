//! Runs the user's command when a job ends.

use std::{process::Stdio, time::Duration};

use convoke_core::job::Job;
use tokio::io::AsyncWriteExt;

use crate::{state::Daemon, views};

/// How long the command may take.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Runs `hooks.on_end`, if set, with the job as JSON on stdin. Its outcome
/// changes nothing and is only logged.
pub async fn run(daemon: &Daemon, job: &Job) {
    let config = daemon.last_config();
    let Some((program, arguments)) = config.on_end.split_first() else {
        return;
    };
    let view = views::of_job(daemon, job);
    let Ok(input) = serde_json::to_vec(&view) else {
        return;
    };
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .env("CONVOKE_HOOK_JOB", job.id.as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(job = %job.id, program, %error, "the hook `hooks.on_end` could not be started");
            return;
        }
    };
    let feed = child.stdin.take();
    let ended = tokio::time::timeout(ENDS_WITHIN, async {
        if let Some(mut stdin) = feed {
            let _ = stdin.write_all(&input).await;
        }
        child.wait().await
    });
    match ended.await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => {
            tracing::warn!(job = %job.id, program, %status, "the hook `hooks.on_end` failed")
        }
        Ok(Err(error)) => {
            tracing::warn!(job = %job.id, program, %error, "the hook `hooks.on_end` was lost")
        }
        Err(_) => {
            tracing::warn!(job = %job.id, program, "the hook `hooks.on_end` took longer than 60 s and was ended")
        }
    }
}
