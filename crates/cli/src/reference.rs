//! The command-line reference in Markdown, written from the definition of the
//! command line.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::{cli::Arguments, environment, exit_code::End};

/// The whole reference.
pub fn markdown() -> String {
    let mut root = Arguments::command();
    root.build();
    let mut text = String::from(
        "# Command line\n\n<!-- Generated from the program; changes here are overwritten. -->\n",
    );
    paragraph(&mut text, root.get_long_about().or(root.get_about()));
    text.push_str("\n## Commands\n\n");
    index(&mut text, &root, "convoke");
    text.push_str("\n## Global options\n\n");
    arguments(
        &mut text,
        root.get_arguments()
            .filter(|argument| argument.is_global_set()),
    );
    for command in shown(&root) {
        section(&mut text, command, "convoke", 2);
    }
    exit_codes(&mut text);
    variables(&mut text);
    text
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let commands = command.get_subcommands();
    commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn index(text: &mut String, command: &Command, path: &str) {
    for child in shown(command) {
        let path = format!("{path} {}", child.get_name());
        let about = child
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let anchor = path.replace(' ', "-");
        line(text, &format!("- [`{path}`](#{anchor}): {about}"));
        index(text, child, &path);
    }
}

fn section(text: &mut String, command: &Command, above: &str, level: usize) {
    let path = format!("{above} {}", command.get_name());
    line(text, &format!("\n{} `{path}`", "#".repeat(level)));
    paragraph(text, command.get_long_about().or(command.get_about()));
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{above} {alias}`"))
        .collect();
    if !aliases.is_empty() {
        line(text, &format!("\nAlso: {}", aliases.join(", ")));
    }
    if command.has_subcommands() {
        for child in shown(command) {
            section(text, child, &path, level + 1);
        }
        return;
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage: Vec<&str> = usage.lines().map(str::trim).collect();
    line(text, &format!("\n```console\n{}\n```\n", usage.join("\n")));
    arguments(
        text,
        command
            .get_arguments()
            .filter(|argument| !argument.is_global_set()),
    );
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        line(
            text,
            &format!("\n```text\n{}\n```", after.to_string().trim_end()),
        );
    }
}

fn arguments<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let shown = arguments.filter(|argument| {
        !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
    });
    for argument in shown {
        let help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let help = help.replace('<', "&lt;");
        let mut entry = format!("- `{}`: {help}", spelling(argument));
        let words = argument.get_possible_values();
        let takes_value = argument.get_action().takes_values();
        if takes_value && !words.is_empty() {
            let words: Vec<String> = words
                .iter()
                .map(|word| format!("`{}`", word.get_name()))
                .collect();
            let _ = write!(entry, " ({})", words.join(", "));
        }
        let defaults: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|value| value.display().to_string())
            .collect();
        if takes_value && !defaults.is_empty() {
            let _ = write!(entry, " (default: `{}`)", defaults.join(" "));
        }
        line(text, &entry);
    }
}

fn spelling(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first());
    let value = value.map(ToString::to_string).unwrap_or_default();
    if argument.is_positional() {
        return match argument.is_last_set() {
            true => format!("-- {value}..."),
            false => value,
        };
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut text = [short, long]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ");
    if argument.get_action().takes_values() {
        let _ = write!(text, " <{value}>");
    }
    text
}

fn exit_codes(text: &mut String) {
    text.push_str("\n## Exit codes\n\n| Code | Meaning |\n| --- | --- |\n");
    for end in End::ALL {
        line(text, &format!("| {} | {} |", end.code(), end.meaning()));
    }
}

fn variables(text: &mut String) {
    text.push_str("\n## Environment variables\n\n| Variable | Meaning |\n| --- | --- |\n");
    for variable in environment::ALL {
        line(
            text,
            &format!("| `{}` | {} |", variable.name, variable.meaning),
        );
    }
}

fn paragraph(text: &mut String, words: Option<&clap::builder::StyledStr>) {
    if let Some(words) = words {
        line(text, &format!("\n{words}"));
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_described() {
        let text = markdown();
        for expected in [
            "## `convoke spawn`",
            "### `convoke daemon stop`",
            "- `-s, --sandbox <SANDBOX>`: Choose what the agent may write (`read-only`, `workspace-write`, `danger-full-access`)",
            "- `-- CMD...`: Run this program instead of an agent",
            "| 124 | ",
            "| `CONVOKE_HOME` | ",
            "Also: `convoke logs`",
        ] {
            assert!(
                text.contains(expected),
                "{expected:?} is missing in\n{text}"
            );
        }
        assert!(!text.contains("__generate"), "hidden commands are shown");
        assert!(
            !text.contains("ready-on-stdout"),
            "hidden options are shown"
        );
    }
}
