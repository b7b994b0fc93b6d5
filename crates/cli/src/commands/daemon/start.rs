//! `convoke daemon start`: start the daemon, unless it runs already.

use convoke_api::job::JobsQuery;

use crate::{context::Context, error::CliError, exit_code::End, runtime};

/// Arguments of `convoke daemon start`.
#[derive(Debug, clap::Args)]
pub struct Start {}

impl Start {
    /// Starts the daemon.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let printer = context.printer;
        runtime::block_on(async {
            let running = connection.daemon().await.is_ok();
            if !running {
                // Any request starts it.
                let smallest = JobsQuery {
                    limit: Some(1),
                    ..JobsQuery::default()
                };
                connection.jobs(&smallest).await?;
            }
            let daemon = connection.daemon().await?;
            if printer.is_json() {
                printer.json(&daemon)?;
            } else {
                let word = if running { "runs already" } else { "started" };
                printer.line(&format!("the daemon {word}, process {}", daemon.pid))?;
            }
            Ok(End::Success)
        })
    }
}
