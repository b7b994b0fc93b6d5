//! What a script can say.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Steps, done one after the other.
pub type Script = Vec<Step>;

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Writes to stdout.
    Out(Text),
    /// Writes to stderr.
    Err(Text),
    /// Waits for so many milliseconds.
    Sleep {
        /// Milliseconds.
        ms: u64,
    },
    /// Writes a file.
    Write {
        /// Where; relative to the working folder.
        path: PathBuf,
        /// What.
        #[serde(default)]
        text: String,
        /// Keep what is there and add to it.
        #[serde(default)]
        append: bool,
    },
    /// Reads stdin to its end and prints `stdin <bytes>`.
    ReadStdin {},
    /// Reads one line of stdin and prints `line <text>`; `line-end` at the end.
    ReadLine {},
    /// Starts another process that runs its own steps.
    Fork {
        /// How it is related to this one.
        #[serde(default)]
        mode: ForkMode,
        /// What it does.
        steps: Script,
        /// It keeps this process's stdout and stderr open.
        #[serde(default)]
        hold_stdout: bool,
        /// It gets no environment at all.
        #[serde(default)]
        clear_env: bool,
    },
    /// Ignores signals: `INT`, `TERM`, `HUP`, `QUIT`, `USR1`, `USR2`.
    Ignore {
        /// Their names.
        signals: Vec<String>,
    },
    /// Does nothing for ever.
    Stall {},
    /// Writes so many bytes to stdout, as fast as it can, in lines of 80.
    Flood {
        /// How many.
        bytes: u64,
    },
    /// Prints every variable of the environment as `NAME=VALUE`, sorted.
    PrintEnv {},
    /// Prints `pid <own id> ppid <parent> uid <uid> caps <effective capabilities>`.
    PrintIds {},
    /// Ends with this code.
    Exit {
        /// The code.
        code: u8,
    },
    /// Ends itself by a signal: a name as in `ignore`, or `KILL`, `STOP`, `ABRT`.
    KillSelf {
        /// Its name.
        signal: String,
    },
    /// Waits until a file exists.
    WaitFile {
        /// Which.
        path: PathBuf,
    },
    /// Runs another program with inherited pipes and prints `ran <exit code>`.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// Prints events as `codex exec --json` does: a thread, a turn, one message.
    Codex {
        /// Id of the thread.
        #[serde(default = "default_thread")]
        thread: String,
        /// Text of the message.
        #[serde(default)]
        message: String,
        /// Commands shown before the message, as completed with code 0.
        #[serde(default)]
        commands: Vec<String>,
        /// End with `turn.failed` and this error instead of `turn.completed`.
        #[serde(default)]
        fail: Option<String>,
    },
    /// Prints one JSON value as a line.
    Json {
        /// The value.
        value: serde_json::Value,
    },
}

/// Bytes to write.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    #[serde(default)]
    pub text: String,
    /// Raw bytes in hexadecimal, after the text.
    #[serde(default)]
    pub hex: String,
    /// So many bytes `x`, after those.
    #[serde(default)]
    pub size: usize,
    /// Whether a newline follows.
    #[serde(default = "yes")]
    pub newline: bool,
    /// How often all of it is written.
    #[serde(default = "one")]
    pub repeat: u64,
}

/// How a forked process is related to its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForkMode {
    /// A plain child, in the same process group.
    #[default]
    Group,
    /// A child in its own session.
    Setsid,
    /// In its own session, its parent gone.
    DoubleFork,
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn default_thread() -> String {
    "00000000-0000-7000-8000-000000000001".to_owned()
}
