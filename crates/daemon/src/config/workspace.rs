//! Where jobs work and what is kept of it: `[workspace]`.

use convoke_api::{changes::WorkspaceKind, coordination::Coordination};

use super::{
    file::{Config, ConfigError, duration, size},
    tables::WorkspaceTable,
};

/// What becomes of a job whose overlay is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It gets a working tree of its own.
    Worktree,
    /// It is refused.
    Fail,
}

impl Fallback {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Worktree, Self::Fail];

    /// The word as it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worktree => "worktree",
            Self::Fail => "fail",
        }
    }
}

/// What becomes of a job that did what jobs may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnViolation {
    /// It is said so; the job ends as it would.
    Flag,
    /// It fails.
    Fail,
}

impl OnViolation {
    /// The word as it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Fail => "fail",
        }
    }
}

impl Config {
    pub(super) fn apply_workspace(
        &mut self,
        table: WorkspaceTable,
        origin: String,
    ) -> Result<(), ConfigError> {
        if let Some(checkpoints) = table.checkpoints {
            self.checkpoints = checkpoints;
            self.note("workspace.checkpoints", &origin);
        }
        if let Some(text) = &table.largest_file {
            self.largest_file = size("workspace.largest_file", text, &origin)?;
            self.note("workspace.largest_file", &origin);
        }
        if let Some(ms) = duration(
            "workspace.version_stands",
            table.version_stands.as_deref(),
            &origin,
        )? {
            self.version_stands_ms = ms;
            self.note("workspace.version_stands", &origin);
        }
        self.apply_places(&table, &origin)?;
        if let Some(text) = table.violations {
            self.on_violation = match text.as_str() {
                "flag" => OnViolation::Flag,
                "fail" => OnViolation::Fail,
                _ => {
                    return Err(wrong(
                        &origin,
                        "workspace.violations",
                        &text,
                        "one of flag, fail",
                    ));
                }
            };
            self.note("workspace.violations", &origin);
        }
        Ok(())
    }

    /// Where jobs work that do not say it, and what they expect there.
    fn apply_places(&mut self, table: &WorkspaceTable, origin: &str) -> Result<(), ConfigError> {
        if let Some(text) = &table.kind {
            let kind = WorkspaceKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == text);
            let expected = "one of shared, worktree, overlay";
            self.workspace = kind.ok_or_else(|| wrong(origin, "workspace.kind", text, expected))?;
            self.note("workspace.kind", origin);
        }
        if let Some(text) = &table.fallback {
            let word = Fallback::ALL.into_iter().find(|one| one.as_str() == text);
            let expected = "one of worktree, fail";
            self.fallback =
                word.ok_or_else(|| wrong(origin, "workspace.fallback", text, expected))?;
            self.note("workspace.fallback", origin);
        }
        if let Some(text) = &table.coordination {
            let word = Coordination::ALL
                .into_iter()
                .find(|word| word.as_str() == text);
            let expected = "one of dirty, strict";
            self.coordination =
                word.ok_or_else(|| wrong(origin, "workspace.coordination", text, expected))?;
            self.note("workspace.coordination", origin);
        }
        Ok(())
    }
}

fn wrong(origin: &str, key: &str, text: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        key: key.to_owned(),
        value: text.to_owned(),
        origin: origin.to_owned(),
        expected,
    }
}
