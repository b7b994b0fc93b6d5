//! Who is at the other end of a connection, as the kernel tells it.

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use convoke_api::error::{ApiError, RequestCode};
use convoke_core::ids::{JobId, RunnerId};
use convoke_runner::sweep;
use tokio::net::UnixListener;

/// The process at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    same_user: bool,
    place: Place,
}

/// Where a process stands to the jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// No runner is among its ancestors.
    Outside,
    /// A runner is: that of this job, if its folder says so.
    Inside(Option<JobId>),
    /// It is gone, or one of its ancestors is: a worker could have sent a
    /// child ahead to connect.
    Unknown,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        match stream.io().peer_cred() {
            Ok(credentials) => {
                let own = rustix::process::getuid().as_raw();
                Self {
                    same_user: credentials.uid() == own || credentials.uid() == 0,
                    place: credentials.pid().map_or(Place::Unknown, place_of),
                }
            }
            // Who cannot be told is not let in.
            Err(_) => Self {
                same_user: false,
                place: Place::Unknown,
            },
        }
    }
}

/// Where a process stands, by its ancestors. What it says of itself does not
/// count.
fn place_of(pid: i32) -> Place {
    let Some(parents) = sweep::lineage(pid) else {
        return Place::Unknown;
    };
    let runner = std::iter::once(pid)
        .chain(parents)
        .find_map(sweep::runner_folder_of);
    match runner {
        None => Place::Outside,
        Some(folder) => {
            let name = folder.file_name().and_then(|name| name.to_str());
            Place::Inside(name.and_then(runner_job))
        }
    }
}

fn runner_job(name: &str) -> Option<JobId> {
    let id: RunnerId = serde_json::from_value(serde_json::Value::from(name)).ok()?;
    id.attempt().map(|(job, _)| job)
}

impl Peer {
    /// Whether it may do anything its user may.
    ///
    /// # Errors
    /// It is another user's, or inside a job, or cannot be told.
    pub fn may_do_all(&self) -> Result<(), ApiError> {
        self.may_connect()?;
        match &self.place {
            Place::Outside => Ok(()),
            Place::Inside(job) => Err(inside(job.as_ref())),
            Place::Unknown => Err(unknown()),
        }
    }

    /// Whether it may read about a job.
    ///
    /// # Errors
    /// It is another user's, or inside another job, or cannot be told.
    pub fn may_read(&self, job: &JobId) -> Result<(), ApiError> {
        self.may_connect()?;
        match &self.place {
            Place::Outside => Ok(()),
            Place::Inside(own) if own.as_ref() == Some(job) => Ok(()),
            Place::Inside(own) => Err(inside(own.as_ref())),
            Place::Unknown => Err(unknown()),
        }
    }

    /// The job it is inside of, if it is.
    ///
    /// # Errors
    /// It is inside one that cannot be named, or cannot be told.
    pub fn own_job(&self) -> Result<Option<&JobId>, ApiError> {
        match &self.place {
            Place::Outside => Ok(None),
            Place::Inside(Some(job)) => Ok(Some(job)),
            Place::Inside(None) => Err(inside(None)),
            Place::Unknown => Err(unknown()),
        }
    }

    /// The refusal of a worker's question about another job.
    #[must_use]
    pub fn refused(&self) -> ApiError {
        match &self.place {
            Place::Inside(job) => inside(job.as_ref()),
            Place::Outside | Place::Unknown => unknown(),
        }
    }

    fn may_connect(&self) -> Result<(), ApiError> {
        if self.same_user {
            return Ok(());
        }
        Err(ApiError::new(
            RequestCode::Forbidden,
            "this daemon serves the user who started it",
        ))
    }
}

fn unknown() -> ApiError {
    ApiError::new(
        RequestCode::Forbidden,
        "the calling process is gone or cannot be traced to its parents, so it cannot be told whether it is a worker",
    )
    .with_hint("call again from a process that stays until it has its answer")
}

fn inside(job: Option<&JobId>) -> ApiError {
    let job = job.map_or_else(|| "a job".to_owned(), |job| format!("job {job}"));
    ApiError::new(
        RequestCode::InsideJob,
        format!("the call comes from inside {job}: a worker may read its own job and nothing else, and starts no workers"),
    )
    .with_hint("do the work here, and name in the last message what should be done by others")
}
