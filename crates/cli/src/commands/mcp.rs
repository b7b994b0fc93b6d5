//! `convoke mcp`: serve the MCP tools on stdin and stdout. Ends when stdin ends
//! or on SIGTERM; jobs go on.

use std::time::Duration;

use convoke_client::Client;
use convoke_mcp::ServerConfig;

use crate::{connection, context::Context, error::CliError, exit_code::End, quantities, runtime};

/// Arguments of `convoke mcp`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Mcp {
    /// Choose the toolset
    #[arg(long, value_name = "TOOLSET", default_value = "jobs", value_parser = ["jobs"])]
    tools: String,
    /// Let one call wait at most so long: seconds, or a time such as 4m
    #[arg(long, value_name = "SECS", value_parser = wait)]
    max_wait: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  codex mcp add convoke -- convoke mcp
  claude mcp add convoke -- convoke mcp

`convoke doctor` says which further settings Codex should have.";

impl Mcp {
    /// Serves until the client leaves.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let home = context.home()?;
        let launcher = connection::launcher(&home)?;
        let config = ServerConfig {
            client: Client::new(home, Some(launcher)),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            folder: std::env::current_dir().map_err(CliError::system("find the working folder"))?,
            max_wait: self.max_wait,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        runtime::block_on(async {
            convoke_mcp::serve_stdio(config)
                .await
                .map_err(|error| CliError::Served {
                    server: "MCP server",
                    source: error.into(),
                })
        })?;
        Ok(End::Success)
    }
}

/// A plain number counts in seconds.
fn wait(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => quantities::duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        assert_eq!(wait("50"), Ok(Duration::from_secs(50)));
        assert_eq!(wait("4m"), Ok(Duration::from_secs(240)));
        assert!(wait("long").is_err());
    }
}
