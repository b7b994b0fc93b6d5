//! Runs git in a private repository.

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use super::{PrivateRepository, PrivateRepositoryError};
use crate::{
    bounded,
    git::{self, GitError},
};

/// How long one command may take. The first state of a large tree reads every
/// file that the user's repository does not hold.
const LONGEST: Duration = Duration::from_secs(120);

/// Settings that hold whatever the user's own say.
const SETTINGS: [&str; 18] = [
    "core.ignoreStat=false",
    "core.trustctime=true",
    "core.checkStat=default",
    "core.protectNTFS=false",
    "core.protectHFS=false",
    "core.sharedRepository=0600",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.fileMode=true",
    "core.symlinks=true",
    "core.precomposeUnicode=false",
    "core.quotePath=false",
    "gc.auto=0",
    "checkout.workers=0",
    "protocol.allow=never",
    "diff.renameLimit=2000",
];

impl PrivateRepository {
    /// Makes the repository, or what is missing of it.
    pub(super) fn init(&self, object_format: &str) -> Result<(), PrivateRepositoryError> {
        let format = format!("--object-format={object_format}");
        let arguments = [
            "init",
            "--quiet",
            "--bare",
            "--shared=0600",
            "--template=",
            &format,
        ];
        let mut command = Command::new("git");
        command.args(arguments).arg(self.folder());
        let output = finish(self, command, &[])?;
        if output.status.success() {
            return Ok(());
        }
        Err(git::failed(self.folder(), &arguments, &output.stderr).into())
    }

    /// Runs git and answers its stdout.
    pub(crate) fn git(&self, arguments: &[&str]) -> Result<Vec<u8>, PrivateRepositoryError> {
        self.git_with(arguments, &[])
    }

    /// The same with something on stdin.
    pub(crate) fn git_with(
        &self,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, PrivateRepositoryError> {
        let output = self.run(arguments, input)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(git::failed(self.top(), arguments, &output.stderr).into())
    }

    /// Runs git and answers what came of it, success or not.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Output, PrivateRepositoryError> {
        let mut command = command(self.folder(), self.top());
        command.args(arguments);
        finish(self, command, input)
    }
}

/// Git in the private repository at `folder` of the working tree at `top`.
pub(crate) fn command(folder: &Path, top: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(top);
    command.arg("--git-dir").arg(folder);
    command.arg("--work-tree").arg(top);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    guard(&mut command);
    command
}

/// Nothing of this process's environment leads git elsewhere or makes it ask.
fn guard(command: &mut Command) {
    git::take_variables_away(command);
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("LC_ALL", "C");
}

fn finish(
    repository: &PrivateRepository,
    mut command: Command,
    input: &[u8],
) -> Result<Output, PrivateRepositoryError> {
    guard(&mut command);
    command.env("GIT_INDEX_FILE", repository.index());
    let output = bounded::output_with_input(&mut command, input, Instant::now() + LONGEST);
    output.map_err(|source| {
        PrivateRepositoryError::Git(GitError::Run {
            folder: repository.top().to_owned(),
            source,
        })
    })
}
