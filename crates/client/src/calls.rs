//! The requests, one method each.

use std::time::Duration;

use bytes::Bytes;
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
    delegate::{CancelRunResponse, RunQuery, RunView, RunsPage, RunsQuery, StartRunRequest},
    doctor::{DoctorReport, DoctorRequest},
    error::{ApiError, RequestCode},
    events::{EventsPage, EventsQuery},
    gc::{GcRequest, GcResponse},
    job::{JobView, JobsPage, JobsQuery},
    paths,
    result::{JobResult, ResultQuery, SessionsPage, SessionsQuery},
    spawn::{SpawnRequest, SpawnResponse},
    versions::{FileVersions, VersionsQuery},
};
use hyper::Method;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{
    client::{Call, Client, WhenAbsent},
    error::ClientError,
    query::with_query,
};

/// How long an ordinary answer may take.
const ANSWER: Duration = Duration::from_secs(60);

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// Starts jobs. A lost answer is asked for again only when the request
    /// carries an idempotency key.
    ///
    /// # Errors
    /// [`ClientError`]; what is wrong with a single job stands in its result.
    pub async fn spawn(&self, request: &SpawnRequest) -> Answer<SpawnResponse> {
        let mut call = post(paths::JOBS, request);
        call.repeatable = request.idempotency_key.is_some();
        self.ask(call).await
    }

    /// A page of jobs, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn jobs(&self, query: &JobsQuery) -> Answer<JobsPage> {
        self.ask(get(&with_query(paths::JOBS, query))).await
    }

    /// One job, by id, unique beginning of an id, or label.
    ///
    /// # Errors
    /// [`ClientError`]; code `unknown_job` when there is none.
    pub async fn job(&self, job: &str) -> Answer<JobView> {
        self.ask(get(&of_job(paths::JOB, job)?)).await
    }

    /// Forgets ended jobs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn gc(&self, request: &GcRequest) -> Answer<GcResponse> {
        let mut call = post(paths::GC, request);
        // Measuring many folders takes its time.
        call.limit = Duration::from_secs(600);
        self.ask(call).await
    }

    /// A page of a job's events.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, job: &str, query: &EventsQuery) -> Answer<EventsPage> {
        let mut call = get(&with_query(&of_job(paths::JOB_EVENTS, job)?, query));
        call.limit += Duration::from_millis(query.wait_ms.unwrap_or(0));
        self.ask(call).await
    }

    /// What came of a job, or what there is so far.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn result(&self, job: &str, query: &ResultQuery) -> Answer<JobResult> {
        self.ask(get(&with_query(&of_job(paths::JOB_RESULT, job)?, query)))
            .await
    }

    /// Waits for the first of some jobs to end. Dropping the future ends the
    /// wait and nothing else. A wait whose daemon vanishes goes on with the
    /// next one, for the rest of its time; it starts none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait(&self, request: &WaitRequest) -> Answer<WaitResponse> {
        let end = Instant::now() + Duration::from_millis(request.timeout_ms);
        let first = self.ask(wait_call(request, WhenAbsent::Start)).await;
        match first {
            Err(ClientError::Unavailable { .. }) if Instant::now() < end => {
                let left = end.saturating_duration_since(Instant::now());
                let rest = WaitRequest {
                    timeout_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                    ..request.clone()
                };
                // The first error says more when nobody came back.
                match self.wait_again(&rest).await {
                    Err(ClientError::Unavailable { .. }) => first,
                    second => second,
                }
            }
            first => first,
        }
    }

    async fn wait_again(&self, request: &WaitRequest) -> Answer<WaitResponse> {
        let mut call = wait_call(request, WhenAbsent::Wait);
        call.repeatable = true;
        self.ask(call).await
    }

    /// Stops a job.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel(&self, job: &str, request: &CancelRequest) -> Answer<CancelResponse> {
        let mut call = post(&of_job(paths::JOB_CANCEL, job)?, request);
        call.repeatable = true;
        call.limit += Duration::from_millis(request.wait_ms);
        self.ask(call).await
    }

    /// What a job changed. In a large tree it takes its time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn changes(&self, job: &str, query: &ChangesQuery) -> Answer<JobChanges> {
        let mut call = get(&with_query(&of_job(paths::JOB_CHANGES, job)?, query));
        call.limit = TREE;
        self.ask(call).await
    }

    /// Paths that several jobs changed at once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn conflicts(&self, query: &ConflictsQuery) -> Answer<Conflicts> {
        let mut call = get(&with_query(paths::CONFLICTS, query));
        call.limit = TREE;
        self.ask(call).await
    }

    /// The versions that a file went through.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn versions(&self, query: &VersionsQuery) -> Answer<FileVersions> {
        let mut call = get(&with_query(paths::VERSIONS, query));
        call.limit = TREE;
        self.ask(call).await
    }

    /// Starts a job that brings together what several jobs did.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reconcile(&self, request: &ReconcileRequest) -> Answer<ReconcileResponse> {
        let mut call = post(paths::RECONCILE, request);
        call.limit = TREE;
        self.ask(call).await
    }

    /// Takes changes back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollback(&self, request: &RollbackRequest) -> Answer<RollbackResponse> {
        let mut call = post(paths::ROLLBACK, request);
        call.limit = TREE;
        self.ask(call).await
    }

    /// Brings what a job did in a working tree of its own into the caller's.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn apply(&self, job: &str, request: &ApplyRequest) -> Answer<ApplyResponse> {
        let mut call = post(&of_job(paths::JOB_APPLY, job)?, request);
        call.limit = TREE;
        self.ask(call).await
    }

    /// Drops what a job did in a working tree of its own.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn discard(&self, job: &str, request: &DiscardRequest) -> Answer<DiscardResponse> {
        let mut call = post(&of_job(paths::JOB_DISCARD, job)?, request);
        call.limit = TREE;
        self.ask(call).await
    }

    /// Lets go of what is left of a job that is over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release(&self, job: &str) -> Answer<ReleaseResponse> {
        let mut call = post(&of_job(paths::JOB_RELEASE, job)?, &());
        call.repeatable = true;
        self.ask(call).await
    }

    /// Stops a job and goes on in its conversation with another prompt.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn interrupt(
        &self,
        job: &str,
        request: &InterruptRequest,
    ) -> Answer<InterruptResponse> {
        let mut call = post(&of_job(paths::JOB_INTERRUPT, job)?, request);
        call.limit += Duration::from_millis(request.wait_ms);
        self.ask(call).await
    }

    /// Conversations of the synchronous tool.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sessions(&self, query: &SessionsQuery) -> Answer<SessionsPage> {
        self.ask(get(&with_query(paths::SESSIONS, query))).await
    }

    /// The daemon; none is started to be shown.
    ///
    /// # Errors
    /// [`ClientError`]; `Unavailable` when none runs.
    pub async fn daemon(&self) -> Answer<DaemonView> {
        let mut call = get(paths::DAEMON);
        call.absent = WhenAbsent::Fail;
        self.ask(call).await
    }

    /// Stops the daemon; jobs go on unless they are to end too.
    ///
    /// # Errors
    /// [`ClientError`]; `Unavailable` when none runs.
    pub async fn stop_daemon(&self, request: &StopRequest) -> Answer<()> {
        let mut call = post(paths::DAEMON_STOP, request);
        call.absent = WhenAbsent::Fail;
        self.exchange(&call).await.map(drop)
    }

    /// Every setting with its origin.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn config(&self) -> Answer<ConfigView> {
        self.ask(get(paths::CONFIG)).await
    }

    /// Checks the installation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn doctor(&self, request: &DoctorRequest) -> Answer<DoctorReport> {
        let mut call = post(paths::DOCTOR, request);
        call.repeatable = true;
        self.ask(call).await
    }

    /// Delegates work, or attaches to the run that does the same already.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start_run(&self, request: &StartRunRequest) -> Answer<RunView> {
        let mut call = post(paths::RUNS, request);
        // A repetition attaches to the run of the first.
        call.repeatable = request.attach;
        self.ask(call).await
    }

    /// Delegated runs, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn runs(&self, query: &RunsQuery) -> Answer<RunsPage> {
        self.ask(get(&with_query(paths::RUNS, query))).await
    }

    /// One delegated run, with its answer if it is over.
    ///
    /// # Errors
    /// [`ClientError`]; code `unknown_run` when there is none.
    pub async fn delegated_run(&self, run: &str, query: &RunQuery) -> Answer<RunView> {
        let mut call = get(&with_query(&of_run(paths::RUN, run)?, query));
        call.limit += Duration::from_millis(query.wait_ms);
        self.ask(call).await
    }

    /// Stops a delegated run.
    ///
    /// # Errors
    /// [`ClientError`]; code `unknown_run` when there is none.
    pub async fn cancel_run(&self, run: &str) -> Answer<CancelRunResponse> {
        let mut call = post(&of_run(paths::RUN_CANCEL, run)?, &());
        call.repeatable = true;
        self.ask(call).await
    }

    /// Tells that the answer of a delegated run reached whoever asked.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run_delivered(&self, run: &str) -> Answer<()> {
        let mut call = post(&of_run(paths::RUN_DELIVERED, run)?, &());
        call.repeatable = true;
        self.ask(call).await
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call) -> Answer<T> {
        let body = self.exchange(&call).await?;
        serde_json::from_slice(&body).map_err(|error| {
            ClientError::protocol(&format!("{} {}", call.method, call.target), error)
        })
    }
}

/// The path of a request about a job. One without a name would be another
/// request's path.
fn of_job(path: &str, job: &str) -> Answer<String> {
    if job.is_empty() {
        let error = ApiError::new(RequestCode::UnknownJob, "Unknown jobId: the name is empty");
        return Err(error.with_hint("name a job by its id or its label").into());
    }
    // `wait` is a path of its own; escaped it is the job of that label.
    if job == "wait" {
        return Ok(path.replace("{job}", "%77ait"));
    }
    Ok(paths::of_job(path, job))
}

/// The same for a run.
fn of_run(path: &str, run: &str) -> Answer<String> {
    if run.is_empty() {
        let error = ApiError::new(RequestCode::UnknownRun, "Unknown run: the name is empty");
        return Err(error.with_hint("name a run by its `run_id`").into());
    }
    Ok(paths::of_job(path, run))
}

/// How long the states of a large working tree may take.
const TREE: Duration = Duration::from_secs(600);

fn get(target: &str) -> Call {
    Call {
        method: Method::GET,
        target: target.to_owned(),
        body: Bytes::new(),
        repeatable: true,
        absent: WhenAbsent::Start,
        limit: ANSWER,
    }
}

fn post<B: Serialize>(target: &str, body: &B) -> Call {
    let body = serde_json::to_vec(body).expect("wire types serialise");
    Call {
        method: Method::POST,
        target: target.to_owned(),
        body: Bytes::from(body),
        repeatable: false,
        absent: WhenAbsent::Start,
        limit: ANSWER,
    }
}

fn wait_call(request: &WaitRequest, absent: WhenAbsent) -> Call {
    let mut call = post(paths::WAIT, request);
    call.absent = absent;
    call.limit += Duration::from_millis(request.timeout_ms);
    call
}
