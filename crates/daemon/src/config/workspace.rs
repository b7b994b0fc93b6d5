//! Where jobs work and what is kept of it: `[workspace]`.

use convoke_api::changes::WorkspaceKind;

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
        if let Some(text) = &table.kind {
            let mut kinds = WorkspaceKind::ALL.into_iter();
            self.workspace =
                kinds
                    .find(|kind| kind.as_str() == text)
                    .ok_or_else(|| ConfigError::Value {
                        key: "workspace.kind".into(),
                        value: text.clone(),
                        origin: origin.clone(),
                        expected: "one of shared, worktree, overlay",
                    })?;
            self.note("workspace.kind", &origin);
        }
        if let Some(text) = &table.fallback {
            let mut all = Fallback::ALL.into_iter();
            self.fallback =
                all.find(|one| one.as_str() == text)
                    .ok_or_else(|| ConfigError::Value {
                        key: "workspace.fallback".into(),
                        value: text.clone(),
                        origin: origin.clone(),
                        expected: "one of worktree, fail",
                    })?;
            self.note("workspace.fallback", &origin);
        }
        if let Some(text) = table.violations {
            self.on_violation = match text.as_str() {
                "flag" => OnViolation::Flag,
                "fail" => OnViolation::Fail,
                _ => {
                    return Err(ConfigError::Value {
                        key: "workspace.violations".into(),
                        value: text,
                        origin,
                        expected: "one of flag, fail",
                    });
                }
            };
            self.note("workspace.violations", &origin);
        }
        Ok(())
    }
}
