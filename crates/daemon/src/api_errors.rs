//! Internal errors as the API tells them.

use convoke_api::error::{ApiError, RequestCode};
use convoke_store::{EventFileError, HomeError, StoreError};

use crate::{config::ConfigError, error_chain, state::Daemon};

/// A configuration that cannot be used.
#[must_use]
pub fn of_config(error: &ConfigError) -> ApiError {
    let hint = match error {
        ConfigError::Read { .. } => "check that the file can be read, then try again",
        ConfigError::Invalid { .. } | ConfigError::Value { .. } => {
            "correct it; docs/configuration.md lists every key with its default"
        }
    };
    ApiError::new(RequestCode::ConfigInvalid, error_chain(error)).with_hint(hint)
}

/// The state home cannot be used.
#[must_use]
pub fn of_home(error: &HomeError) -> ApiError {
    let text = error_chain(error);
    let code = if is_full(error) {
        RequestCode::DiskFull
    } else {
        RequestCode::StateUnavailable
    };
    let hint = error
        .hint()
        .unwrap_or("check the state folder; `convoke doctor` looks at it");
    ApiError::new(code, text).with_hint(hint)
}

/// The database cannot be used.
#[must_use]
pub fn of_store(error: &StoreError) -> ApiError {
    let text = error_chain(error);
    match error {
        StoreError::NewerSchema { .. } => ApiError::new(RequestCode::NewerState, text).with_hint(
            "install the newer version of convoke again, or use another state folder (`--home`)",
        ),
        StoreError::Full { .. } => ApiError::new(RequestCode::DiskFull, text)
            .with_hint("free space on the disk of the state folder, then try again"),
        _ => ApiError::new(RequestCode::StateUnavailable, text)
            .with_hint("`convoke doctor` looks at the state folder"),
    }
}

/// The events of a job cannot be read.
#[must_use]
pub fn of_events(error: &EventFileError) -> ApiError {
    match error {
        EventFileError::BadCursor { .. } => {
            ApiError::new(RequestCode::BadCursor, error_chain(error))
                .with_hint("begin with \"0\" and go on with the `nextCursor` of the page before")
        }
        _ => ApiError::new(RequestCode::StateUnavailable, error_chain(error)),
    }
}

/// No such job.
#[must_use]
pub fn unknown_job(daemon: &Daemon, name: &str) -> ApiError {
    ApiError::new(RequestCode::UnknownJob, format!("Unknown jobId: {name}")).with_hint(format!(
        "the state home {} was searched; `codex_jobs` or `convoke ps --all` list its jobs",
        daemon.home.root().display()
    ))
}

fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::StorageFull
        {
            return true;
        }
        cause = error.source();
    }
    false
}
