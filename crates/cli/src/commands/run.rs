//! `convoke run`: start a job and watch it until it ends.

use convoke_api::{control::CancelRequest, events::EventView, job::JobView};

use crate::{
    commands::{
        artifacts::{self, ArtifactOptions},
        spawn,
    },
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::{self, End},
    feed::Feed,
    interrupts::{Insistence, Interrupts},
    job_options::JobOptions,
    output::{
        Printer, events, job,
        style::{DIM, NOTICE, styled},
    },
    retry, runtime,
};

/// Arguments of `convoke run`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "convoke run [OPTIONS] [PROMPT]\n       convoke run [OPTIONS] -- CMD [ARGS]...",
    after_help = EXAMPLES
)]
pub struct Run {
    /// Start the job, print its id and leave, as `spawn` does
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    job: JobOptions,
    #[command(flatten)]
    artifacts: ArtifactOptions,
}

const EXAMPLES: &str = "\
Ctrl-C cancels the job, a second one kills it, a third one leaves at once. When
convoke itself is ended in another way the job goes on. The exit code follows
the job: 0 completed, 1 failed, 3 cancelled, 130 cancelled by Ctrl-C.

Examples:
  convoke run 'explain the build'
  convoke run -s workspace-write --timeout 20m 'fix the failing tests'
  convoke run --format json 'list the TODOs' > events.jsonl
  convoke run --artifacts -s workspace-write 'write a test for the parser'
  convoke run -- cargo test";

impl Run {
    /// Starts the job and follows it.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        if self.artifacts.artifacts {
            return self.run_with_artifacts(context);
        }
        let (request, key) = spawn::prepare(self.job)?;
        let connection = context.connect()?;
        let printer = context.printer;
        runtime::block_on(async {
            if self.detach {
                let job = spawn::start(&connection, printer, request, key).await?;
                spawn::tell(printer, &job)?;
                return Ok(End::Success);
            }
            // From here on Ctrl-C is ours, so that it cannot fall between the
            // acceptance of the job and its cancellation.
            let interrupts = Interrupts::listen()?;
            let job = spawn::start(&connection, printer, request, key).await?;
            if !printer.is_json() {
                printer.note(&styled(DIM, &format!("job {}", job::name(&job))));
            }
            Watch {
                connection: connection.without_start(),
                printer,
                interrupts,
                shows_events: true,
            }
            .follow(&job)
            .await
        })
    }

    fn run_with_artifacts(self, context: &Context) -> Result<End, CliError> {
        if self.job.idempotency_key.is_some() {
            return Err(CliError::usage(
                "`--idempotency-key` cannot be combined with `--artifacts`",
            ));
        }
        let run = self.artifacts.request(self.job.into_request()?)?;
        let connection = context.connect()?;
        let printer = context.printer;
        runtime::block_on(async {
            let interrupts = (!self.detach).then(Interrupts::listen).transpose()?;
            let view = artifacts::start(&connection, printer, run).await?;
            let Some(interrupts) = interrupts else {
                match printer.is_json() {
                    true => printer.json(&view)?,
                    false => printer.line(&view.run_id)?,
                }
                return Ok(End::Success);
            };
            let job = connection.job(&view.job_id).await?;
            let connection = connection.without_start();
            let watch = Watch {
                connection: connection.clone(),
                printer,
                interrupts,
                // Its one answer is the output.
                shows_events: !printer.is_json(),
            };
            let end = watch.follow(&job).await?;
            // One that was left to its end has no answer yet.
            if connection.job(&view.job_id).await?.state.is_over() {
                artifacts::tell(&connection, printer, &view.run_id).await?;
            }
            Ok(end)
        })
    }
}

/// Watching one job in the foreground.
struct Watch {
    connection: Connection,
    printer: Printer,
    interrupts: Interrupts,
    shows_events: bool,
}

/// What happened next.
enum Next {
    Event(Box<EventView>),
    Over,
    Interrupted(Insistence),
}

impl Watch {
    async fn follow(mut self, job: &JobView) -> Result<End, CliError> {
        let mut feed = Feed::of(&self.connection, &job.job_id);
        loop {
            match self.next(&mut feed).await.map_err(goes_on(job))? {
                Next::Event(event) => self.show(&event)?,
                Next::Over => break,
                Next::Interrupted(Insistence::Leave) => {
                    self.warn(&format!("left job {} to its end", job.job_id));
                    return Ok(End::Interrupted);
                }
                Next::Interrupted(insistence) => self.cancel(job, insistence).await,
            }
        }
        self.finish(job).await
    }

    async fn next(&mut self, feed: &mut Feed) -> Result<Next, CliError> {
        // Both are cancel-safe: see their docs.
        let next = tokio::select! {
            insistence = self.interrupts.next() => Next::Interrupted(insistence),
            event = feed.next() => match event? {
                Some(event) => Next::Event(Box::new(event)),
                None => Next::Over,
            },
        };
        Ok(next)
    }

    fn show(&self, event: &EventView) -> Result<(), CliError> {
        if !self.shows_events {
            return Ok(());
        }
        if self.printer.is_json() {
            return self.printer.json_line(event);
        }
        let Some(text) = events::render(event) else {
            return Ok(());
        };
        match event.kind.as_str() {
            // The status line says the same and more.
            "final" => Ok(()),
            // What becomes of the job is not what it says.
            "queued" | "spawned" | "stopping" | "requeued" => {
                self.printer.note(&text);
                Ok(())
            }
            _ => self.printer.line(&text),
        }
    }

    /// Asks for the end of the job. A failure is told; the next Ctrl-C asks
    /// again.
    async fn cancel(&self, job: &JobView, insistence: Insistence) {
        let force = insistence == Insistence::Force;
        self.warn(if force {
            "killing; Ctrl-C leaves at once"
        } else {
            "cancelling; Ctrl-C kills"
        });
        let request = CancelRequest { force, wait_ms: 0 };
        if let Err(error) = self.connection.cancel(&job.job_id, &request).await {
            self.warn(&format!("cannot cancel job {}: {error}", job.job_id));
        }
    }

    async fn finish(self, job: &JobView) -> Result<End, CliError> {
        let ended = retry::while_away(async || self.connection.job(&job.job_id).await).await?;
        if !self.printer.is_json() {
            self.printer.note(&job::ending(&ended));
            if let Some(text) = job::undecided(&ended) {
                self.printer.note(&text);
            }
        }
        Ok(match exit_code::of_job(ended.state) {
            End::Cancelled if self.interrupts.any() => End::Interrupted,
            end => end,
        })
    }

    fn warn(&self, text: &str) {
        self.printer.note(&styled(NOTICE, text));
    }
}

/// An error of the daemon does not end the job: the user must know.
fn goes_on(job: &JobView) -> impl Fn(CliError) -> CliError {
    let id = job.job_id.clone();
    move |error| match error {
        CliError::Request { mut error, source } => {
            error.hint = Some(format!("the job goes on; see `convoke wait {id}`"));
            CliError::Request { error, source }
        }
        other => other,
    }
}
