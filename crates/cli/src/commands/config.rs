//! `convoke config`: show the configuration.

use convoke_api::daemon::SettingView;

use crate::{context::Context, error::CliError, exit_code::End, output::table::Table, runtime};

/// Arguments of `convoke config`.
#[derive(Debug, clap::Args)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    command: ConfigCommand,
}

/// The commands of `convoke config`.
#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Show every setting with its value and where it comes from
    Show,
}

impl Config {
    /// Shows the configuration.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let ConfigCommand::Show = self.command;
        let connection = context.connect()?;
        let view = runtime::block_on(async { connection.config().await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&view)?;
        } else {
            printer.line(&table(&view.settings).render(printer.width()))?;
        }
        Ok(End::Success)
    }
}

fn table(settings: &[SettingView]) -> Table {
    let mut table = Table::new(&["KEY", "ORIGIN", "VALUE"]);
    for setting in settings {
        table.add([
            setting.key.clone(),
            setting.origin.clone(),
            setting.value.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let setting = |key: &str, value, origin: &str| SettingView {
            key: key.to_owned(),
            value,
            origin: origin.to_owned(),
        };
        let settings = [
            setting("limits.total", 32.into(), "default"),
            setting(
                "codex.profile",
                "fast".into(),
                "/home/a/.config/convoke/config.toml",
            ),
        ];
        insta::assert_snapshot!(table(&settings).render(None), @r#"
        KEY            ORIGIN                               VALUE
        limits.total   default                              32
        codex.profile  /home/a/.config/convoke/config.toml  "fast"
        "#);
    }
}
