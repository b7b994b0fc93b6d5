//! Where a prompt comes from: the command line, a file, or stdin.

use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

use crate::error::CliError;

/// Says how to give a prompt.
const HINT: &str = "give it as an argument, with `--file FILE`, or on stdin with `-`";

/// A prompt's arguments.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PromptSource {
    /// What the agent is to do; `-` reads it from stdin, and so does leaving it
    /// out when stdin is no terminal
    #[arg(value_name = "PROMPT")]
    pub prompt: Option<String>,
    /// Read the prompt from a file
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    pub file: Option<PathBuf>,
}

impl PromptSource {
    /// The prompt.
    ///
    /// # Errors
    /// There is none, it is empty, or it cannot be read.
    pub fn read(&self) -> Result<String, CliError> {
        let stdin = std::io::stdin();
        let piped = !stdin.is_terminal();
        self.read_with(piped, &mut stdin.lock())
    }

    fn read_with(&self, piped: bool, stdin: &mut dyn Read) -> Result<String, CliError> {
        let prompt = match (&self.prompt, &self.file) {
            (Some(text), _) if text == "-" => from_stdin(stdin)?,
            (Some(text), _) => text.clone(),
            (None, Some(file)) if file == Path::new("-") => from_stdin(stdin)?,
            (None, Some(file)) => {
                fs_err::read_to_string(file).map_err(CliError::file("read", file))?
            }
            (None, None) if piped => from_stdin(stdin)?,
            (None, None) => return Err(CliError::usage_hint("there is no prompt", HINT)),
        };
        if prompt.trim().is_empty() {
            return Err(CliError::usage_hint("the prompt is empty", HINT));
        }
        Ok(prompt)
    }
}

fn from_stdin(stdin: &mut dyn Read) -> Result<String, CliError> {
    let mut text = String::new();
    stdin
        .read_to_string(&mut text)
        .map_err(CliError::system("read the prompt from stdin"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prompt: Option<&str>, piped: bool, stdin: &str) -> Result<String, String> {
        let source = PromptSource {
            prompt: prompt.map(str::to_owned),
            file: None,
        };
        source
            .read_with(piped, &mut stdin.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn sources() {
        assert_eq!(read(Some("fix it"), true, "ignored"), Ok("fix it".into()));
        assert_eq!(
            read(Some("-"), true, "from a pipe"),
            Ok("from a pipe".into())
        );
        assert_eq!(read(None, true, "from a pipe"), Ok("from a pipe".into()));
        assert_eq!(read(None, false, ""), Err("there is no prompt".into()));
        assert_eq!(read(None, true, " \n"), Err("the prompt is empty".into()));
    }

    #[test]
    fn files() {
        let file = std::env::temp_dir().join(format!("convoke-prompt-{}", std::process::id()));
        fs_err::write(&file, "from a file").unwrap();
        let source = PromptSource {
            prompt: None,
            file: Some(file.clone()),
        };
        assert_eq!(
            source.read_with(true, &mut "".as_bytes()).unwrap(),
            "from a file"
        );
        fs_err::remove_file(&file).unwrap();
        let error = source.read_with(true, &mut "".as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
    }
}
