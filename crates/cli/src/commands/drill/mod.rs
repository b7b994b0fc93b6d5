//! `convoke drill`: an exercise with real Codex workers in a scratch folder, which
//! shows that jobs start, wait, follow each other, are cancelled and cleaned up.
//!
//! `scratch` holds the folders, `phases` runs the jobs, `checklist` says what is as
//! it must be. The model is a scripted one unless the user wants to use their own
//! account.

mod checklist;
mod phases;
mod scratch;

use convoke_api::daemon::StopRequest;
use convoke_scripted_model::{Script, ScriptedModel, codex_config};

use self::{checklist::Checklist, phases::Phases, scratch::Scratch};
use crate::{
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::End,
    output::style::{BAD, GOOD, STRONG, styled},
    runtime,
};

/// Arguments of `convoke drill`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Drill {
    /// Use your own account and model instead of a scripted one
    #[arg(long)]
    live: bool,
    /// Leave the scratch folder
    #[arg(long)]
    keep: bool,
}

const NOTE: &str = "\
Real Codex workers in a scratch folder with a state home of its own: two write at
once, three follow each other, a long one is cancelled, and everything is taken
back. Nothing of yours is touched. `codex` must be in the PATH; with `--live` it
must be logged in, and a few short turns are charged to your account. Ends with 1 if
something is not as it must be, and the scratch folder stays then.

Examples:
  convoke drill
  convoke drill --live --keep";

impl Drill {
    /// Runs the exercise.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let mut scratch = Scratch::create()?;
        if self.keep {
            scratch.keep();
        }
        let connection = Connection::starting(scratch.state_home())?;
        let printer = context.printer;
        let done = runtime::block_on(async {
            // Lives as long as the jobs.
            let _model = match self.live {
                true => None,
                false => Some(scripted_model(&scratch).await?),
            };
            let phases = Phases::new(&connection, &scratch, printer, self.live);
            let done = tokio::select! {
                done = phases.run() => done,
                _ = tokio::signal::ctrl_c() => Err(CliError::usage("the drill was interrupted")),
            };
            let stop = StopRequest { jobs: true };
            // Nothing of it is to stay behind, however it went.
            let stopped = connection.without_start().stop_daemon(&stop).await;
            let checklist = done?;
            stopped.map(|()| checklist)
        });
        let failed = done.as_ref().map_or(true, |done| !done.is_good());
        if failed && scratch.is_used() {
            scratch.keep();
        }
        let checklist = done.inspect_err(|_| where_it_is(context, &scratch))?;
        if printer.is_json() {
            printer.json(&checklist)?;
        } else {
            tell(context, &checklist)?;
        }
        where_it_is(context, &scratch);
        Ok(match checklist.is_good() {
            true => End::Success,
            false => End::Failure,
        })
    }
}

fn where_it_is(context: &Context, scratch: &Scratch) {
    if let Some(folder) = scratch.kept() {
        let text = format!("the scratch folder is {}", folder.display());
        context.printer.note(&text);
    }
}

async fn scripted_model(scratch: &Scratch) -> Result<ScriptedModel, CliError> {
    let model = ScriptedModel::start(Script::default())
        .await
        .map_err(CliError::system("start the scripted model"))?;
    scratch.write_codex_config(&codex_config(&model.base_url()))?;
    Ok(model)
}

fn tell(context: &Context, checklist: &Checklist) -> Result<(), CliError> {
    let printer = context.printer;
    for message in &checklist.messages {
        printer.line(&styled(STRONG, &message.label))?;
        for line in message.text.lines() {
            printer.line(&format!("  {line}"))?;
        }
    }
    printer.line("")?;
    for check in &checklist.checks {
        let mark = match check.passed {
            true => styled(GOOD, "✓"),
            false => styled(BAD, "✗"),
        };
        let why = match check.passed {
            true => String::new(),
            false => format!(": {}", check.found),
        };
        printer.line(&format!("{mark} {}{why}", check.what))?;
    }
    printer.line("☐ the tone of the messages above is as you want it: read them")
}
