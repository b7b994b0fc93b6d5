//! Delegated work: from what was asked to the prompt of a worker, and from what came of
//! it to the answer.

mod answer;
mod prompt;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use answer::{
    Answer, Artifact, Checked, Deliverable, Ended, Fate, Proof, SkillNote, Timing, Verified,
    answer, claimed,
};
pub use prompt::prompt;

use super::skills::Mode;

/// Role of a worker for which none is named.
pub const ROLE: &str = "specialist";
/// Most skills if no number is named.
pub const MAX_SKILLS: u64 = 6;

/// Version of the stored form of [`Kept`].
pub const KEPT_VERSION: u32 = 1;

/// What is asked for, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Folder in which the worker starts.
    pub cwd: PathBuf,
    /// What is to be done; empty when a conversation is only to be continued.
    pub task: String,
    /// Conversation to continue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// What the worker is.
    pub role: String,
    /// How skills are chosen.
    pub skills_mode: Mode,
    /// Skills by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Most skills.
    pub max_skills: u64,
    /// Whether skills of the repository count.
    pub include_repo_skills: bool,
    /// Whether skills of the user and the machine count.
    pub include_global_skills: bool,
    /// What the worker may write, as it was asked for.
    pub sandbox: String,
    /// Whether a folder in no git repository is fine.
    pub skip_git_repo_check: bool,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model thinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// `key=value` settings of Codex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_overrides: Vec<String>,
}

impl Request {
    /// The tool that was called.
    #[must_use]
    pub fn tool(&self) -> &'static str {
        match self.thread_id {
            Some(_) => "delegate_resume",
            None => "delegate_run",
        }
    }
}

/// What is kept of a run besides its job: enough to write its folder anew. Without
/// secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Version of this form.
    pub version: u32,
    /// RFC 3339 instant at which it was asked for.
    pub received_at: String,
    /// What was asked for.
    pub request: Request,
    /// The skills that were found: `skills_index.json`.
    pub skills_index: Value,
    /// Those that were chosen.
    pub selection: super::skills::Selection,
    /// What the worker is told.
    pub prompt: String,
}

/// The form of a worker's last message.
#[must_use]
pub fn output_schema() -> Value {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "deliverables": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "path": {"type": "string"},
                        "description": {"type": "string"},
                    },
                    "required": ["path", "description"],
                    "additionalProperties": false,
                },
            },
            "open_questions": texts,
            "next_actions": texts,
        },
        "required": ["summary", "deliverables", "open_questions", "next_actions"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests;
