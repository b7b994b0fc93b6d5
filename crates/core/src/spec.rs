//! What a job is asked to do, fixed at acceptance.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    coordination::Coordination,
    ids::JobId,
    limits::Limits,
    mask::Masker,
    retry::RetryPolicy,
    run::Run,
    sandbox::{Access, Sandbox},
    scope::{Bounds, Scope},
};

/// Version of the stored form of [`JobSpec`].
pub const SPEC_VERSION: u32 = 1;

/// Everything that decides how a job is carried out, except its environment
/// (stored apart, because it holds secrets).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Version of this form.
    pub version: u32,
    /// What is to be done.
    pub work: Work,
    /// The caller's name for the job.
    pub label: Option<String>,
    /// Absolute, canonical folder in which the agent starts.
    pub working_directory: PathBuf,
    /// The shared tree this job counts against: the git top level of the
    /// working folder, or the folder itself outside git.
    pub tree: PathBuf,
    /// What the agent may write: asked for and bounded by the caller's power.
    pub sandbox: Sandbox,
    /// Reader or writer of the tree.
    pub access: Access,
    /// Whether it works in the tree itself.
    #[serde(default, skip_serializing_if = "Workspace::is_shared")]
    pub workspace: Workspace,
    /// What it expects of a tree that it shares.
    #[serde(default, skip_serializing_if = "Coordination::is_dirty")]
    pub coordination: Coordination,
    /// The folders it is about, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Limits in force.
    pub limits: Limits,
    /// How failed attempts are repeated. Programs are not: they could do twice
    /// what they did by half.
    #[serde(default = "RetryPolicy::never")]
    pub retry: RetryPolicy,
    /// Jobs that must complete before this one starts.
    pub needs: Vec<JobId>,
    /// Jobs that must have ended, however, before this one starts.
    pub after: Vec<JobId>,
    /// Greater starts earlier.
    pub priority: i32,
    /// At most so many running jobs of the same owner, if set.
    pub owner_cap: Option<u32>,
    /// The job this one continues or was started by.
    pub parent: Option<JobId>,
    /// What makes it a run, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<Run>>,
}

impl JobSpec {
    /// Folders that no other job with a scope may write meanwhile.
    #[must_use]
    pub fn leased(&self) -> &[PathBuf] {
        match (&self.scope, self.access) {
            (Some(scope), Access::Write) if self.workspace.is_shared() => &scope.write,
            _ => &[],
        }
    }

    /// Whether it writes in a shared tree and expects a clean one.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        let writes = self.access == Access::Write && self.sandbox != Sandbox::ReadOnly;
        self.coordination == Coordination::Strict && writes && self.workspace.is_shared()
    }
}

impl JobSpec {
    /// Where its sandbox lets it write; none if nothing bounds it, as with programs.
    /// `temp` are the temp folders, which agents may write.
    #[must_use]
    pub fn bounds(&self, temp: &[PathBuf]) -> Option<Bounds> {
        let Work::Agent(work) = &self.work else {
            return None;
        };
        if self.sandbox != Sandbox::WorkspaceWrite {
            return None;
        }
        let scope = self.scope.as_ref().map(|scope| scope.write.clone());
        let write = scope.filter(|write| !write.is_empty());
        Some(Bounds {
            write: write.unwrap_or_else(|| {
                let own = std::iter::once(&self.working_directory);
                own.chain(&work.add_dirs).cloned().collect()
            }),
            within: self.working_directory.clone(),
            temp: temp.to_vec(),
        })
    }
}

/// Where a job works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Workspace {
    /// In the tree itself, together with others.
    #[default]
    Shared,
    /// In a working tree of its own that began as a copy of the tree.
    Worktree {
        /// The job for which it was made: this one, or one that it continues.
        of: JobId,
    },
    /// In the tree as it is, but what it writes goes into a layer of its own.
    Overlay {
        /// The job for which the layer was made: this one, or one that it continues.
        of: JobId,
    },
}

impl Workspace {
    /// Whether it is the tree itself.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        *self == Self::Shared
    }

    /// The job for which the working tree or the layer was made, if it is one of its
    /// own.
    #[must_use]
    pub fn own(&self) -> Option<&JobId> {
        match self {
            Self::Shared => None,
            Self::Worktree { of } | Self::Overlay { of } => Some(of),
        }
    }

    /// Whether it is a layer over the tree.
    #[must_use]
    pub fn is_overlay(&self) -> bool {
        matches!(self, Self::Overlay { .. })
    }
}

/// The work of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Work {
    /// A turn of an agent.
    Agent(Box<AgentWork>),
    /// A program, run as it is.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

impl Work {
    /// The same work with the secrets of `masker` hidden in its texts; none if
    /// there are no secrets in them.
    #[must_use]
    pub fn without_secrets(&self, masker: &Masker) -> Option<Self> {
        let mut hidden = self.clone();
        for text in hidden.texts() {
            *text = masker.mask_text(text);
        }
        (hidden != *self).then_some(hidden)
    }

    /// The texts the caller composed: a secret may stand in any of them.
    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::Command { argv } => argv.iter_mut().collect(),
            Self::Agent(work) => {
                let task = match &mut work.task {
                    AgentTask::Prompt { prompt }
                    | AgentTask::Review {
                        target: ReviewTarget::Custom { prompt },
                        ..
                    } => Some(prompt),
                    AgentTask::Review { .. } => None,
                };
                task.into_iter()
                    .chain(work.config_overrides.iter_mut())
                    .collect()
            }
        }
    }

    /// The driver that carries it out: `codex` or `command`.
    #[must_use]
    pub fn agent(&self) -> &'static str {
        match self {
            Self::Agent(_) => "codex",
            Self::Command { .. } => "command",
        }
    }
}

/// One turn of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentWork {
    /// Prompt or review.
    pub task: AgentTask,
    /// Model, passed on only when asked for.
    pub model: Option<String>,
    /// `none | minimal | low | medium | high | xhigh`, passed on only when
    /// asked for.
    pub reasoning_effort: Option<String>,
    /// Codex profile (`-p NAME`).
    pub profile: Option<String>,
    /// `key=value` pairs for `-c`, in order.
    pub config_overrides: Vec<String>,
    /// Further folders the agent may write.
    pub add_dirs: Vec<PathBuf>,
    /// Which of the user's MCP servers the agent gets.
    pub mcp_servers: McpServers,
    /// Whether the skills installed for the user are offered to the agent.
    pub host_skills: bool,
    /// JSON Schema the last message must satisfy.
    pub output_schema: Option<serde_json::Value>,
    /// The conversation to continue, if any.
    pub resume: Option<Resume>,
    /// The caller's own name for a conversation that later calls continue.
    pub session: Option<String>,
}

/// A conversation to continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Resume {
    /// The agent's conversation with this name.
    Thread(String),
    /// The conversation of an earlier job, looked up when this one starts. If
    /// that job never had one, this one starts afresh with both prompts.
    Job(JobId),
}

/// What one turn is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentTask {
    /// A prompt, given on stdin.
    Prompt {
        /// The text.
        prompt: String,
    },
    /// The agent's own code review.
    Review {
        /// What to look at.
        target: ReviewTarget,
        /// Title shown in the summary (`--title`, for a commit).
        title: Option<String>,
    },
}

/// What a review looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReviewTarget {
    /// Staged, unstaged and untracked changes.
    Uncommitted,
    /// Changes against a base branch.
    Base {
        /// The branch.
        branch: String,
    },
    /// One commit.
    Commit {
        /// The commit.
        sha: String,
    },
    /// Instructions of the caller's own.
    Custom {
        /// The text, given on stdin.
        prompt: String,
    },
}

/// Which MCP servers of the user's configuration a worker gets. The server of
/// this program is never among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "names", rename_all = "snake_case")]
pub enum McpServers {
    /// All the user has enabled.
    #[default]
    Inherit,
    /// None.
    None,
    /// Only these.
    Only(Vec<String>),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_a_caller_can_write_them() {
        let environment = BTreeMap::from([("A_TOKEN".to_owned(), "hush-hush-hush".to_owned())]);
        let masker = Masker::of_environment(&environment);
        let command = |word: &str| Work::Command {
            argv: vec!["curl".to_owned(), word.to_owned()],
        };
        assert_eq!(command("x").without_secrets(&masker), None);
        assert_eq!(
            command("-Hhush-hush-hush").without_secrets(&masker),
            Some(command("-H[masked]"))
        );
    }
}
