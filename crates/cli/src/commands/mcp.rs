//! `convoke mcp`: serve the MCP tools on stdin and stdout. Ends when stdin ends
//! or on SIGTERM; jobs go on.

use std::time::Duration;

use convoke_client::Client;
use convoke_mcp::{ServerConfig, Toolset};

use crate::{connection, context::Context, error::CliError, exit_code::End, quantities, runtime};

/// Arguments of `convoke mcp`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Mcp {
    /// Choose the toolsets, with commas between them
    #[arg(long, value_name = "TOOLSETS", default_value = "jobs", value_delimiter = ',', value_parser = ["jobs", "delegate", "all"])]
    tools: Vec<String>,
    /// Let one call wait at most so long: seconds, or a time such as 4m
    #[arg(long, value_name = "SECS", value_parser = wait)]
    max_wait: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  codex mcp add convoke -- convoke mcp
  claude mcp add convoke -- convoke mcp
  codex mcp add delegate -- convoke mcp --tools delegate

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
            toolsets: toolsets(&self.tools),
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

/// Each once, whatever the order.
fn toolsets(words: &[String]) -> Vec<Toolset> {
    let chosen = |name: &str| words.iter().any(|word| word == name || word == "all");
    [("jobs", Toolset::Jobs), ("delegate", Toolset::Delegate)]
        .into_iter()
        .filter(|(name, _)| chosen(name))
        .map(|(_, toolset)| toolset)
        .collect()
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
    fn toolsets_are_taken_once() {
        let words =
            |text: &[&str]| toolsets(&text.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["delegate", "delegate"]), [Toolset::Delegate]);
        assert_eq!(words(&["all"]), [Toolset::Jobs, Toolset::Delegate]);
    }

    #[test]
    fn waits() {
        assert_eq!(wait("50"), Ok(Duration::from_secs(50)));
        assert_eq!(wait("4m"), Ok(Duration::from_secs(240)));
        assert!(wait("long").is_err());
    }
}
