//! Lists of jobs and of conversations.

use std::path::PathBuf;

use convoke_api::{
    error::{ApiError, RequestCode},
    job::{JobView, JobsPage, JobsQuery},
    values::State,
};
use convoke_core::{owner::Owner, time::UnixMillis};
use convoke_store::{JobFilter, PageRequest, Session, StoreError};

use crate::{api_errors, state::Daemon, views};

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 500;

/// A page of jobs, newest first.
///
/// # Errors
/// A filter is not valid, or the database cannot be read.
pub fn jobs(daemon: &Daemon, query: &JobsQuery) -> Result<JobsPage, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 || limit > MOST {
        return Err(ApiError::invalid(format!(
            "`limit` is {limit}; it must be 1 to {MOST}"
        )));
    }
    let request = PageRequest {
        limit: usize::try_from(limit).unwrap_or(1),
        cursor: query.cursor.clone(),
    };
    let page = daemon
        .store
        .jobs(&filter(query)?, &request)
        .map_err(|error| match error {
            StoreError::BadCursor { .. } => {
                ApiError::new(RequestCode::BadCursor, crate::error_chain(&error))
                    .with_hint("leave `cursor` out, or use the `nextCursor` of the page before")
            }
            other => api_errors::of_store(&other),
        })?;
    let jobs: Result<Vec<JobView>, ApiError> = page
        .items
        .iter()
        .map(|row| views::of_id(daemon, &row.id))
        .collect();
    Ok(JobsPage {
        jobs: jobs?,
        next_cursor: page.next,
    })
}

fn filter(query: &JobsQuery) -> Result<JobFilter, ApiError> {
    Ok(JobFilter {
        states: states(query.state.as_deref())?,
        label: query.label.clone(),
        agent: query.agent.clone(),
        folder: query.folder.as_ref().map(PathBuf::from),
        since: query
            .since
            .as_ref()
            .map(|text| {
                UnixMillis::parse(text).ok_or_else(|| {
                    ApiError::invalid(format!(
                        "`since` is {text:?}; it must be an instant such as 2026-01-31T08:00:00Z"
                    ))
                })
            })
            .transpose()?,
        owner: query.owner.as_deref().map(owner).transpose()?,
    })
}

fn states(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let mut states: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim) {
        let chosen: Vec<State> = match word {
            "live" => State::ALL
                .into_iter()
                .filter(|state| !state.is_over())
                .collect(),
            "ended" => State::ALL
                .into_iter()
                .filter(|state| state.is_over())
                .collect(),
            _ => State::parse(word).into_iter().collect(),
        };
        if chosen.is_empty() {
            let known: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
            return Err(ApiError::invalid(format!(
                "`state` is {word:?}; it must be one of live, ended, {}",
                known.join(", ")
            )));
        }
        states.extend(chosen.into_iter().map(|state| state.as_str().to_owned()));
    }
    Ok(states)
}

/// The owner of a name, as it is shown with each job.
///
/// # Errors
/// It is none.
pub fn owner(text: &str) -> Result<Owner, ApiError> {
    Owner::parse(text)
        .ok_or_else(|| ApiError::invalid(format!("`owner` is {text:?}, which names no owner")))
}

/// The conversations of an owner, of the user at a shell if none is named.
///
/// # Errors
/// The owner is not valid, or the database cannot be read.
pub fn sessions(daemon: &Daemon, named: Option<&str>) -> Result<Vec<Session>, ApiError> {
    let owner = match named {
        Some(text) => owner(text)?,
        None => Owner::User {
            uid: rustix::process::getuid().as_raw(),
        },
    };
    daemon
        .store
        .sessions(&owner)
        .map_err(|error| api_errors::of_store(&error))
}
