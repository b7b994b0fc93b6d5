//! The jobs of a drill, one phase after the other.

use std::{collections::BTreeSet, time::Duration};

use convoke_api::{
    changes::{ConflictsQuery, RollbackRequest},
    control::{CancelRequest, WaitRequest},
    error::{ApiError, RequestCode},
    events::EventsQuery,
    job::JobView,
    result::ResultQuery,
    spawn::{JobRequest, SpawnRequest},
    values::{Sandbox, State},
};
use convoke_scripted_model::{Script, Step};
use tokio::time::Instant;

use super::{checklist::Checklist, scratch::Scratch};
use crate::{
    caller,
    connection::Connection,
    error::CliError,
    output::{
        Printer, job,
        style::{DIM, styled},
    },
};

/// How long one phase may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long one turn of a real model may take, milliseconds. Without an account
/// Codex tries again and again.
const LIVE_TURN_MS: u64 = 120_000;

/// One wait, milliseconds.
const ONE_WAIT_MS: u64 = 10_000;

/// How long a cancelled job may take to end, milliseconds.
const ENDS_WITHIN_MS: u64 = 20_000;

/// A worker: its label, what it is to do, and the command by which a scripted model
/// does it.
struct Worker {
    label: &'static str,
    task: &'static str,
    command: &'static str,
    needs: Option<&'static str>,
}

const WRITERS: [Worker; 2] = [
    Worker {
        label: "a",
        task: "Write the line `a` into the new file a.txt.",
        command: "echo a > a.txt",
        needs: None,
    },
    Worker {
        label: "b",
        task: "Write the line `b` into the new file b.txt.",
        command: "echo b > b.txt",
        needs: None,
    },
];

const FOLLOWERS: [Worker; 3] = [
    Worker {
        label: "first",
        task: "Append the line `1` to shared.txt, which may not exist yet.",
        command: "echo 1 >> shared.txt",
        needs: None,
    },
    Worker {
        label: "second",
        task: "Append the line `2` to shared.txt.",
        command: "echo 2 >> shared.txt",
        needs: Some("first"),
    },
    Worker {
        label: "third",
        task: "Append the line `3` to shared.txt.",
        command: "echo 3 >> shared.txt",
        needs: Some("second"),
    },
];

const COUNTER: Worker = Worker {
    label: "count",
    task: "Run this command, and nothing else: echo I count; for i in $(seq 300); do echo $i; sleep 1; done",
    command: "echo I count; for i in $(seq 300); do echo $i; sleep 1; done",
    needs: None,
};

/// What every worker is told.
const RULES: &str = "Do nothing else. Start no agents and do not use git. End with one plain sentence on what you did, and below it a heading `modifiedFiles:` with one path a line, or (none).";

/// Runs the phases.
pub struct Phases<'a> {
    connection: &'a Connection,
    scratch: &'a Scratch,
    printer: Printer,
    live: bool,
}

impl<'a> Phases<'a> {
    /// With these.
    pub fn new(
        connection: &'a Connection,
        scratch: &'a Scratch,
        printer: Printer,
        live: bool,
    ) -> Self {
        Self {
            connection,
            scratch,
            printer,
            live,
        }
    }

    /// Runs all of them.
    ///
    /// # Errors
    /// A job cannot be started or looked at, or a phase takes too long.
    pub async fn run(&self) -> Result<Checklist, CliError> {
        let mut checklist = Checklist::default();
        let (status, history) = (self.scratch.status()?, self.scratch.history()?);
        self.say("two workers write at once");
        let writers = self.start(&WRITERS).await?;
        let mut told = self.wait_for(&writers).await?;
        self.say("three workers follow each other");
        let followers = self.start(&FOLLOWERS).await?;
        told &= self.wait_for(&followers).await?;
        checklist.check(
            "each wait named the job that had ended",
            told,
            "a wait named another one",
        );
        let done = [&writers[..], &followers].concat();
        self.read_messages(&done, &mut checklist).await?;
        let shared = self.scratch.read("shared.txt");
        checklist.check("the order was kept", shared == "1\n2\n3\n", shared);
        self.say("a long one is cancelled");
        self.cancel_a_long_one(&mut checklist).await?;
        self.look_around(&history, &mut checklist).await?;
        self.say("everything is taken back");
        // Of what two wrote at once it may not be known who wrote it; what jobs
        // wrote since the first of them began is known.
        for job in &writers {
            self.take_back_since(job).await?;
        }
        let now = self.scratch.status()?;
        checklist.check("`git status` says what it said before", now == status, now);
        Ok(checklist)
    }

    fn say(&self, what: &str) {
        self.printer.note(&styled(DIM, what));
    }

    async fn start(&self, workers: &[Worker]) -> Result<Vec<JobView>, CliError> {
        let request = SpawnRequest {
            caller: caller::this_process()?,
            jobs: workers.iter().map(|worker| self.job(worker)).collect(),
            idempotency_key: None,
        };
        let results = self.connection.spawn(&request).await?.results;
        let started = results.into_iter().map(|result| match result.job {
            Some(job) => Ok(job),
            None => Err(CliError::from(result.error.unwrap_or_else(|| {
                ApiError::new(RequestCode::Internal, "the daemon answered no job")
            }))),
        });
        started.collect()
    }

    fn job(&self, worker: &Worker) -> JobRequest {
        let task = format!("{} {RULES}", worker.task);
        let mut job = JobRequest {
            label: Some(worker.label.to_owned()),
            needs: worker.needs.iter().map(|need| (*need).to_owned()).collect(),
            working_directory: Some(self.scratch.work().display().to_string()),
            sandbox: Some(Sandbox::WorkspaceWrite),
            max_attempts: Some(1),
            ..JobRequest::default()
        };
        if self.live {
            job.prompt = Some(task);
            job.timeout_ms = Some(LIVE_TURN_MS);
            return job;
        }
        let file = worker.command.rsplit(' ').next().unwrap_or_default();
        let said = format!("I ran `{}`.\n\nmodifiedFiles:\n- {file}", worker.command);
        let steps = [Step::shell(worker.command), Step::say(said)];
        job.prompt = Some(format!("{task}\n{}", Script::prompt_line(&steps)));
        let home = self.scratch.codex_home().display().to_string();
        job.env.insert("CODEX_HOME".to_owned(), home);
        job
    }

    /// Waits until all have ended; whether each wait named one of those that had
    /// not been named, and that was over.
    async fn wait_for(&self, jobs: &[JobView]) -> Result<bool, CliError> {
        let mut open: BTreeSet<String> = jobs.iter().map(|job| job.job_id.clone()).collect();
        let deadline = Instant::now() + PATIENCE;
        let mut right = true;
        while !open.is_empty() {
            if Instant::now() >= deadline {
                return Err(self.too_long(&open));
            }
            let request = WaitRequest {
                job_ids: open.iter().cloned().collect(),
                timeout_ms: ONE_WAIT_MS,
            };
            let Some(ended) = self.connection.wait(&request).await?.completed_job_id else {
                continue;
            };
            let job = self.connection.job(&ended).await?;
            right &= open.remove(&ended) && job.state.is_over();
            self.printer.note(&job::ending(&job));
        }
        Ok(right)
    }

    async fn read_messages(
        &self,
        jobs: &[JobView],
        checklist: &mut Checklist,
    ) -> Result<(), CliError> {
        let mut unreadable = Vec::new();
        for job in jobs {
            let result = self.result(job).await?;
            let label = job.label.as_deref().unwrap_or_default();
            let text = result.final_message.unwrap_or_default();
            if result.job.state != State::Completed || text.trim().is_empty() {
                let code = result.job.code.unwrap_or_default();
                unreadable.push(format!("{label} {} {code}", result.job.state.as_str()));
            }
            checklist.hear(label, text);
        }
        checklist.check(
            "every worker is done and left a message",
            unreadable.is_empty(),
            unreadable.join(", "),
        );
        Ok(())
    }

    async fn result(&self, job: &JobView) -> Result<convoke_api::result::JobResult, CliError> {
        let query = ResultQuery::default();
        self.connection.result(&job.job_id, &query).await
    }

    async fn cancel_a_long_one(&self, checklist: &mut Checklist) -> Result<(), CliError> {
        let started = self.start(&[COUNTER]).await?;
        let job = &started[0];
        self.until_it_works(job).await?;
        let request = CancelRequest {
            force: false,
            wait_ms: ENDS_WITHIN_MS,
        };
        let ended = self.connection.cancel(&job.job_id, &request).await?.job;
        let summary = job::ending(&ended);
        self.printer.note(&summary);
        checklist.check(
            "the long one acknowledged, ended as cancelled, and left nothing running",
            ended.state == State::Cancelled && ended.leftovers.is_empty(),
            format!("{} {}", ended.state.as_str(), ended.leftovers.join(", ")),
        );
        checklist.hear(
            COUNTER.label,
            anstream::adapter::strip_str(&summary).to_string(),
        );
        Ok(())
    }

    /// Until its first command runs.
    async fn until_it_works(&self, job: &JobView) -> Result<(), CliError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self
                .connection
                .events(&job.job_id, &EventsQuery::default())
                .await?;
            if page.events.iter().any(|event| event.kind == "tool_call") {
                return Ok(());
            }
            if page.done || Instant::now() >= deadline {
                return Err(self.too_long(&BTreeSet::from([job.job_id.clone()])));
            }
            tokio::time::sleep_until(Instant::now() + Duration::from_millis(100)).await;
        }
    }

    /// What else must be: no conflict, no violation, no other file, no history.
    async fn look_around(&self, history: &str, checklist: &mut Checklist) -> Result<(), CliError> {
        let status = self.scratch.status()?;
        let expected = "?? a.txt\n?? b.txt\n?? shared.txt\n";
        checklist.check("only their files are there", status == expected, status);
        let now = self.scratch.history()?;
        checklist.check("HEAD and refs did not move", now == history, now);
        let query = ConflictsQuery {
            jobs: None,
            folder: Some(self.scratch.work().display().to_string()),
        };
        let found = self.connection.conflicts(&query).await?.conflicts;
        let paths: Vec<String> = found.into_iter().map(|one| one.path).collect();
        checklist.check("nobody collided", paths.is_empty(), paths.join(", "));
        Ok(())
    }

    async fn take_back_since(&self, job: &JobView) -> Result<(), CliError> {
        let request = RollbackRequest {
            caller: caller::this_process()?,
            checkpoint_id: Some(format!("{}.before", job.job_id)),
            ..RollbackRequest::default()
        };
        self.connection.rollback(&request).await.map(|_| ())
    }

    fn too_long(&self, jobs: &BTreeSet<String>) -> CliError {
        let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
        let home = self.scratch.state_home();
        ApiError::new(
            RequestCode::Internal,
            format!(
                "the drill waited for {} longer than {} s",
                jobs.join(", "),
                PATIENCE.as_secs()
            ),
        )
        .with_hint(format!(
            "look at its jobs: `convoke --home {} ps --all`",
            home.display()
        ))
        .into()
    }
}
