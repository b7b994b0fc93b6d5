//! The client: connecting, sending one request, and when to try again.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use convoke_api::error::{ApiError, RequestCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    address::{self, Reached, Unreached},
    error::ClientError,
    guard, handover,
    launch::{self, Launcher, START_LIMIT},
    pool::{self, Pool, Sender},
};

/// Answers are not larger than this, bytes.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// How long a daemon that is just being replaced is waited for.
const REPLACEMENT_LIMIT: Duration = Duration::from_secs(3);
/// How long the holder of the lock may take to listen before another start is
/// tried.
const BUSY_ROUND: Duration = Duration::from_secs(1);

/// A typed client of one state home's daemon. Cheap to clone; clones share
/// their connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    may_start: bool,
}

#[derive(Debug)]
struct Shared {
    home: PathBuf,
    launcher: Option<Launcher>,
    pool: Pool,
    /// Held while a daemon is being started: one start per process.
    starting: Mutex<()>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) body: Bytes,
    /// Whether a lost answer may be asked for again.
    pub(crate) repeatable: bool,
    /// What to do when nobody listens.
    pub(crate) absent: WhenAbsent,
    /// How long the answer may take.
    pub(crate) limit: Duration,
}

/// What to do when nobody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenAbsent {
    /// Start a daemon.
    Start,
    /// Wait a moment for one that is being replaced.
    Wait,
    /// Give up.
    Fail,
}

impl Client {
    /// A client of the daemon of a state home. Nothing is read or connected
    /// before the first request. Without a launcher no daemon is started.
    #[must_use]
    pub fn new(home: PathBuf, launcher: Option<Launcher>) -> Self {
        let may_start = launcher.is_some();
        let shared = Shared {
            home,
            launcher,
            pool: Pool::default(),
            starting: Mutex::new(()),
        };
        Self {
            shared: Arc::new(shared),
            may_start,
        }
    }

    /// The same client, which starts no daemon.
    #[must_use]
    pub fn without_start(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            may_start: false,
        }
    }

    /// The state home.
    #[must_use]
    pub fn home(&self) -> &std::path::Path {
        &self.shared.home
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&self, call: &Call) -> Result<Bytes, ClientError> {
        let deadline = Instant::now() + call.limit;
        match timeout_at(deadline, self.exchange_in_time(call)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::unavailable(format!(
                "{} {}: the daemon did not answer within {} s",
                call.method,
                call.target,
                call.limit.as_secs()
            ))
            .advise("it may be overloaded or stopped: `convoke doctor`")),
        }
    }

    async fn exchange_in_time(&self, call: &Call) -> Result<Bytes, ClientError> {
        let absent = self.allowed(call.absent);
        let patience = Instant::now() + START_LIMIT;
        let mut repeated = false;
        loop {
            let mut sender = self.sender(absent).await?;
            let lost = match attempt(&mut sender, call).await {
                Attempt::Answered(answer) => {
                    self.shared.pool.put(sender);
                    if !is_shutting_down(&answer) || Instant::now() >= patience {
                        return answer;
                    }
                    // It refused because it ends: go on with its successor.
                    self.shared.pool.clear();
                    sleep_until(Instant::now() + Duration::from_millis(20)).await;
                    continue;
                }
                // It never left this process: not a repetition.
                Attempt::NotSent => continue,
                Attempt::Lost(lost) => lost,
            };
            if !call.repeatable || repeated {
                return Err(lost);
            }
            // Nobody has answered it yet: it may still start a daemon.
            repeated = true;
        }
    }

    /// Sends a request on a connection of its own and hands back the answer
    /// with its body unread.
    pub(crate) async fn open_stream(
        &self,
        target: &str,
        last_event_id: Option<&str>,
        absent: WhenAbsent,
    ) -> Result<(Sender, Response<Incoming>), ClientError> {
        let mut sender = self.connect(self.allowed(absent)).await?;
        let operation = format!("GET {target}");
        let mut request = request(&Method::GET, target, Bytes::new());
        if let Some(id) = last_event_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", id);
        }
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| lost(&operation, error))?;
        if response.status().is_success() {
            return Ok((sender, response));
        }
        let status = response.status().as_u16();
        let body = read(response)
            .await
            .map_err(|error| lost(&operation, error))?;
        Err(refused(&operation, status, &body))
    }

    fn allowed(&self, absent: WhenAbsent) -> WhenAbsent {
        match absent {
            WhenAbsent::Start if !self.may_start => WhenAbsent::Fail,
            absent => absent,
        }
    }

    async fn sender(&self, absent: WhenAbsent) -> Result<Sender, ClientError> {
        match self.shared.pool.take().await {
            Some(sender) => Ok(sender),
            None => self.connect(absent).await,
        }
    }

    async fn connect(&self, absent: WhenAbsent) -> Result<Sender, ClientError> {
        let reached = match address::reach(&self.shared.home).await {
            Ok(reached) => reached,
            Err(Unreached::Barred(error)) => return Err(error),
            Err(overrun @ Unreached::Overrun(_)) => {
                self.keep_trying(REPLACEMENT_LIMIT, overrun, None).await?
            }
            Err(gone) => match absent {
                WhenAbsent::Fail => return Err(gone.into_error(&self.shared.home)),
                WhenAbsent::Wait => self.keep_trying(REPLACEMENT_LIMIT, gone, None).await?,
                WhenAbsent::Start => self.start(None).await?,
            },
        };
        if absent == WhenAbsent::Start && handover::is_due(&reached.daemon) {
            let old = reached.daemon.pid;
            let next = if handover::ask(&mut open(reached).await?).await {
                self.shared.pool.clear();
                self.start(Some(old)).await?
            } else {
                let again = address::reach(&self.shared.home).await;
                again.map_err(|gone| gone.into_error(&self.shared.home))?
            };
            return open(next).await;
        }
        open(reached).await
    }

    /// Tries until somebody else than `old` listens, with pauses of 2 to 50 ms.
    async fn keep_trying(
        &self,
        limit: Duration,
        mut last: Unreached,
        old: Option<u32>,
    ) -> Result<Reached, ClientError> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(2);
        while Instant::now() < deadline {
            sleep_until(Instant::now() + pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
            match self.reach_other(old).await {
                Ok(reached) => return Ok(reached),
                Err(Unreached::Barred(error)) => return Err(error),
                Err(other) => last = other,
            }
        }
        Err(last.into_error(&self.shared.home))
    }

    /// Connects to a daemon that is not `old`, which is about to end.
    async fn reach_other(&self, old: Option<u32>) -> Result<Reached, Unreached> {
        let reached = address::reach(&self.shared.home).await?;
        if old == Some(reached.daemon.pid) {
            let ending = std::io::Error::other("the daemon is ending");
            return Err(Unreached::NotRunning(ending));
        }
        Ok(reached)
    }

    /// Starts a daemon and connects to it, or to the one that was quicker, but
    /// not to `old`, which is about to end.
    async fn start(&self, old: Option<u32>) -> Result<Reached, ClientError> {
        let launcher = self
            .shared
            .launcher
            .as_ref()
            .expect("only clients with a launcher start");
        let _one_at_a_time = self.shared.starting.lock().await;
        let mut last = match self.reach_other(old).await {
            Ok(reached) => return Ok(reached),
            Err(Unreached::Barred(error)) => return Err(error),
            Err(other) => other.into_error(&self.shared.home),
        };
        if let Some(refusal) = guard::refusal() {
            return Err(refusal);
        }
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            launch::launch(launcher, deadline).await?;
            let gone = match self.reach_other(old).await {
                Ok(reached) => return Ok(reached),
                Err(Unreached::Barred(error)) => return Err(error),
                Err(other) => other,
            };
            // Another daemon holds the lock: it is about to listen, or about to
            // end; in the second case the next start succeeds.
            match self.keep_trying(BUSY_ROUND, gone, old).await {
                Ok(reached) => return Ok(reached),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn open(reached: Reached) -> Result<Sender, ClientError> {
    pool::open(reached.stream).await.map_err(|error| {
        ClientError::unavailable("the connection to the daemon failed").because(error)
    })
}

/// How one sending ended.
enum Attempt {
    /// With an answer, good or bad.
    Answered(Result<Bytes, ClientError>),
    /// The connection was closed before anything was written.
    NotSent,
    /// The connection ended before the answer was complete.
    Lost(ClientError),
}

async fn attempt(sender: &mut Sender, call: &Call) -> Attempt {
    let operation = format!("{} {}", call.method, call.target);
    let sent = sender.try_send_request(request(&call.method, &call.target, call.body.clone()));
    let response = match sent.await {
        Ok(response) => response,
        Err(error) if error.message().is_some() => return Attempt::NotSent,
        Err(error) => return Attempt::Lost(lost(&operation, error.into_error())),
    };
    let status = response.status();
    match read(response).await {
        Ok(body) if status.is_success() => Attempt::Answered(Ok(body)),
        Ok(body) => Attempt::Answered(Err(refused(&operation, status.as_u16(), &body))),
        Err(error) => Attempt::Lost(lost(&operation, error)),
    }
}

pub(crate) fn request(method: &Method, target: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, "convoke")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("paths and queries are escaped")
}

async fn read(
    response: Response<Incoming>,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(response.into_body(), ANSWER_LIMIT)
        .collect()
        .await?
        .to_bytes())
}

fn refused(operation: &str, status: u16, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => ClientError::Api(error),
        Err(error) => ClientError::protocol(
            operation,
            format!("status {status} without a known error ({error})"),
        ),
    }
}

fn lost(
    operation: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ClientError {
    ClientError::unavailable(format!(
        "{operation}: the connection to the daemon ended before the answer came"
    ))
    .because(error)
    .advise("ask again; with an idempotency key a repeated request starts nothing twice")
}

fn is_shutting_down(answer: &Result<Bytes, ClientError>) -> bool {
    matches!(answer, Err(ClientError::Api(error)) if error.code == RequestCode::ShuttingDown)
}
