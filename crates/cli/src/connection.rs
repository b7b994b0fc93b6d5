//! The daemon as the commands see it: the client with our own errors, and the
//! command that starts a daemon.

use std::path::{Path, PathBuf};

use convoke_api::{
    changes::{
        ApplyRequest, ApplyResponse, ChangesQuery, Conflicts, ConflictsQuery, DiscardRequest,
        DiscardResponse, JobChanges, ReconcileRequest, ReconcileResponse, RollbackRequest,
        RollbackResponse,
    },
    control::{
        CancelRequest, CancelResponse, InterruptRequest, InterruptResponse, ReleaseResponse,
        WaitRequest, WaitResponse,
    },
    daemon::{ConfigView, DaemonView, StopRequest},
    delegate::{RunQuery, RunView, StartRunRequest},
    doctor::{DoctorReport, DoctorRequest},
    events::{EventsPage, EventsQuery},
    gc::{GcRequest, GcResponse},
    job::{JobView, JobsPage, JobsQuery},
    result::{JobResult, ResultQuery},
    spawn::{SpawnRequest, SpawnResponse},
    versions::{FileVersions, VersionsQuery},
};
use convoke_client::{Client, ClientError, EventStream, Launcher};

use crate::{environment, error::CliError};

type Answer<T> = Result<T, CliError>;

/// A connection to one state home's daemon.
#[derive(Clone, Debug)]
pub struct Connection {
    client: Client,
}

impl Connection {
    /// One that starts a daemon when none runs.
    ///
    /// # Errors
    /// The path of our own program is not known.
    pub fn starting(home: PathBuf) -> Answer<Self> {
        let launcher = launcher(&home)?;
        Ok(Self {
            client: Client::new(home, Some(launcher)),
        })
    }

    /// One that starts none.
    pub fn to_running(home: PathBuf) -> Self {
        Self {
            client: Client::new(home, None),
        }
    }

    /// The same connection, which starts no daemon: for what merely goes on.
    pub fn without_start(&self) -> Self {
        Self {
            client: self.client.without_start(),
        }
    }

    /// Starts jobs.
    pub async fn spawn(&self, request: &SpawnRequest) -> Answer<SpawnResponse> {
        self.client.spawn(request).await.map_err(refused)
    }

    /// Delegates work.
    pub async fn start_run(&self, request: &StartRunRequest) -> Answer<RunView> {
        self.client.start_run(request).await.map_err(refused)
    }

    /// One delegated run.
    pub async fn delegated_run(&self, run: &str, query: &RunQuery) -> Answer<RunView> {
        self.client.delegated_run(run, query).await.map_err(refused)
    }

    /// A page of jobs.
    pub async fn jobs(&self, query: &JobsQuery) -> Answer<JobsPage> {
        self.client.jobs(query).await.map_err(refused)
    }

    /// One job, by id, unique beginning of an id, or label.
    pub async fn job(&self, job: &str) -> Answer<JobView> {
        self.client.job(job).await.map_err(refused)
    }

    /// A page of a job's events.
    pub async fn events(&self, job: &str, query: &EventsQuery) -> Answer<EventsPage> {
        self.client.events(job, query).await.map_err(refused)
    }

    /// Lets go of what is left of a job that is over.
    pub async fn changes(&self, job: &str, query: &ChangesQuery) -> Answer<JobChanges> {
        self.client.changes(job, query).await.map_err(refused)
    }

    /// Paths that several jobs changed at once.
    pub async fn conflicts(&self, query: &ConflictsQuery) -> Answer<Conflicts> {
        self.client.conflicts(query).await.map_err(refused)
    }

    /// The versions that a file went through.
    pub async fn versions(&self, query: &VersionsQuery) -> Answer<FileVersions> {
        self.client.versions(query).await.map_err(refused)
    }

    /// Starts a job that brings together what several jobs did.
    pub async fn reconcile(&self, request: &ReconcileRequest) -> Answer<ReconcileResponse> {
        self.client.reconcile(request).await.map_err(refused)
    }

    /// Takes changes back.
    pub async fn rollback(&self, request: &RollbackRequest) -> Answer<RollbackResponse> {
        self.client.rollback(request).await.map_err(refused)
    }

    /// Brings what a job did in a working tree of its own into the caller's.
    pub async fn apply(&self, job: &str, request: &ApplyRequest) -> Answer<ApplyResponse> {
        self.client.apply(job, request).await.map_err(refused)
    }

    /// Drops what a job did in a working tree of its own.
    pub async fn discard(&self, job: &str, request: &DiscardRequest) -> Answer<DiscardResponse> {
        self.client.discard(job, request).await.map_err(refused)
    }

    /// Lets go of what is left of an ended job.
    pub async fn release(&self, job: &str) -> Answer<ReleaseResponse> {
        self.client.release(job).await.map_err(refused)
    }

    /// A job's events as they come.
    pub fn event_stream(&self, job: &str, query: &EventsQuery) -> EventStream {
        self.client.event_stream(job, query)
    }

    /// What came of a job.
    pub async fn result(&self, job: &str, query: &ResultQuery) -> Answer<JobResult> {
        self.client.result(job, query).await.map_err(refused)
    }

    /// Waits for the first of some jobs to end.
    pub async fn wait(&self, request: &WaitRequest) -> Answer<WaitResponse> {
        self.client.wait(request).await.map_err(refused)
    }

    /// Stops a job.
    pub async fn cancel(&self, job: &str, request: &CancelRequest) -> Answer<CancelResponse> {
        self.client.cancel(job, request).await.map_err(refused)
    }

    /// Forgets ended jobs.
    pub async fn gc(&self, request: &GcRequest) -> Answer<GcResponse> {
        self.client.gc(request).await.map_err(refused)
    }

    /// Stops a job and goes on with another prompt.
    pub async fn interrupt(
        &self,
        job: &str,
        request: &InterruptRequest,
    ) -> Answer<InterruptResponse> {
        self.client.interrupt(job, request).await.map_err(refused)
    }

    /// The daemon; none is started to be shown.
    pub async fn daemon(&self) -> Answer<DaemonView> {
        self.client.daemon().await.map_err(refused)
    }

    /// Stops the daemon.
    pub async fn stop_daemon(&self, request: &StopRequest) -> Answer<()> {
        self.client.stop_daemon(request).await.map_err(refused)
    }

    /// Every setting with its origin. Starts a daemon when there is none.
    pub async fn config(&self) -> Answer<ConfigView> {
        self.client.config().await.map_err(refused)
    }

    /// Checks the installation.
    pub async fn doctor(&self, request: &DoctorRequest) -> Answer<DoctorReport> {
        self.client.doctor(request).await.map_err(refused)
    }
}

/// The command that starts a daemon: this program.
///
/// # Errors
/// The path of our own program is not known.
pub fn launcher(home: &Path) -> Answer<Launcher> {
    let program =
        std::env::current_exe().map_err(CliError::system("find the path of this program"))?;
    Ok(Launcher {
        program,
        args: vec![
            "--home".into(),
            home.into(),
            "daemon".into(),
            "run".into(),
            "--ready-on-stdout".into(),
        ],
        environment: std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(environment::is_for_daemon))
            .collect(),
    })
}

/// A failed request in our own terms; its causes stay apart from its message.
pub fn refused(error: ClientError) -> CliError {
    let told = error.to_api_error();
    match error {
        ClientError::Api(error) => error.into(),
        ClientError::Unavailable {
            message, source, ..
        } => CliError::Request {
            error: convoke_api::error::ApiError { message, ..told },
            source,
        },
        ClientError::Protocol { operation, source } => CliError::Request {
            error: convoke_api::error::ApiError {
                message: format!("{operation}: the answer cannot be understood"),
                ..told
            },
            source: Some(source),
        },
    }
}
