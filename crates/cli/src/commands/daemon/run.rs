//! `convoke daemon run`: be the daemon, in the foreground.

use std::path::Path;

use convoke_api::error::{ApiError, RequestCode};
use convoke_daemon::{Options, StartError};

use super::announce::Word;
use crate::{context::Context, error::CliError, exit_code::End, home};

/// Arguments of `convoke daemon run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For service managers. Commands start a daemon by themselves when they need one.
SIGTERM and Ctrl-C stop it; jobs go on without it.")]
pub struct Run {
    /// Say on stdout in one line when the daemon serves, or why it does not
    #[arg(long, hide = true)]
    ready_on_stdout: bool,
}

impl Run {
    /// Serves until it is stopped.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        if let Some(evidence) = convoke_client::inside_job() {
            return Err(inside(&evidence).into());
        }
        let options = Options {
            home: context.home()?,
            config: home::configuration()?,
            program: std::env::current_exe()
                .map_err(CliError::system("find the path of this program"))?,
        };
        let announces = self.ready_on_stdout;
        let say = |word: Word| {
            if announces {
                word.say();
            }
        };
        match convoke_daemon::run(&options, || say(Word::Ready)) {
            Ok(()) => Ok(End::Success),
            Err(StartError::Busy) => {
                say(Word::Busy);
                Err(busy(&options.home).into())
            }
            Err(StartError::Refused(error)) => {
                say(Word::Error(error.clone()));
                Err(error.into())
            }
        }
    }
}

/// It would live in the job's process tree and start workers for it.
fn inside(evidence: &convoke_client::Evidence) -> ApiError {
    let message = format!("no daemon runs inside a job ({evidence})");
    ApiError::new(RequestCode::InsideJob, message)
        .with_hint("do the work in the job itself; workers do not start further workers")
}

fn busy(home: &Path) -> ApiError {
    let message = format!("another daemon serves {}", home.display());
    ApiError::new(RequestCode::StateUnavailable, message)
        .with_hint("`convoke daemon status` shows it, `convoke daemon stop` ends it")
}
