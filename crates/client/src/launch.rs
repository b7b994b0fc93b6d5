//! Starting the daemon.
//!
//! The daemon says one line on its stdout: `ready` when it serves, `busy` when
//! another daemon holds the state home, or `error ` and an error as JSON. No
//! polling: the first job does not wait longer than the daemon needs.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use convoke_api::error::ApiError;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout_at},
};

use crate::error::ClientError;

/// How long a daemon may take to serve.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(10);

/// The command that starts a daemon.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments, such as `daemon run --home /absolute/path`.
    pub args: Vec<OsString>,
    /// Its whole environment; nothing else is handed on.
    pub environment: Vec<(OsString, OsString)>,
}

/// What a started daemon said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It serves.
    Ready,
    /// Another one has the state home.
    Busy,
}

/// Starts a daemon in a session of its own and waits for its word. When the
/// time is up the daemon is left to itself: it may be busy with recovery.
pub(crate) async fn launch(launcher: &Launcher, deadline: Instant) -> Result<Said, ClientError> {
    let program = launcher.program.display().to_string();
    let mut child = spawn(launcher).map_err(|error| {
        ClientError::unavailable(format!("cannot start the daemon {program}")).because(error)
    })?;
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    let read = timeout_at(deadline, reader.read_line(&mut line)).await;
    // Dropping a child leaves it running; the runtime reaps it when it ends.
    match read {
        Ok(Ok(0)) => Err(ended(&program, &mut child, deadline).await),
        Ok(Ok(_)) => judge(&program, line.trim_end()),
        Ok(Err(error)) => Err(ClientError::unavailable(format!(
            "cannot read from the daemon {program}"
        ))
        .because(error)),
        Err(_) => Err(ClientError::unavailable(format!(
            "the daemon {program} did not say within {} s that it serves",
            START_LIMIT.as_secs()
        ))
        .advise("it may still be recovering a large state: ask again")),
    }
}

fn spawn(launcher: &Launcher) -> std::io::Result<Child> {
    let mut command = Command::new(&launcher.program);
    command
        .args(&launcher.args)
        .env_clear()
        .envs(
            launcher
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A daemon must not keep the folder of whoever started it busy.
        .current_dir(Path::new("/"));
    // SAFETY: setsid is safe between fork and exec: it neither allocates nor
    // locks.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    command.spawn()
}

fn judge(program: &str, line: &str) -> Result<Said, ClientError> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("ready", _) => Ok(Said::Ready),
        ("busy", _) => Ok(Said::Busy),
        ("error", json) => match serde_json::from_str::<ApiError>(json) {
            Ok(error) => Err(ClientError::Api(error)),
            Err(_) => Err(ClientError::unavailable(format!(
                "the daemon {program} did not start: {json}"
            ))),
        },
        _ => Err(ClientError::unavailable(format!(
            "the daemon {program} said something else than ready: {line}"
        ))),
    }
}

async fn ended(program: &str, child: &mut Child, deadline: Instant) -> ClientError {
    let how = match timeout_at(deadline, child.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        _ => "no word".to_owned(),
    };
    ClientError::unavailable(format!("the daemon {program} did not start ({how})"))
        .advise("`convoke daemon run` in a terminal shows why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_word_is_understood() {
        assert_eq!(judge("d", "ready").expect("fine"), Said::Ready);
        assert_eq!(judge("d", "busy 12").expect("fine"), Said::Busy);
        let refused = judge("d", r#"error {"code":"newer_state","message":"too new"}"#);
        assert_eq!(
            refused.expect_err("refused").to_api_error().message,
            "too new"
        );
        assert!(judge("d", "hello").is_err());
    }
}
