//! What came of a run, in the words of its contract.

use std::path::{Path, PathBuf};

use convoke_core::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{controllers::skills::SelectedSkill, files::skills::Origin};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The agent succeeded and its last message has the form that was asked for.
    Completed,
    /// It did not.
    Failed {
        /// Which of the closed list.
        code: String,
        /// The story.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// It was stopped on request.
    Cancelled {
        /// Which request.
        reason: String,
    },
}

/// What is known of a run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended<'a> {
    /// Its name.
    pub run_id: &'a str,
    /// Its folder.
    pub run_dir: &'a Path,
    /// Its job.
    pub job_id: &'a str,
    /// The agent's conversation.
    pub thread: Option<&'a str>,
    /// Skills that were chosen.
    pub skills: &'a [SelectedSkill],
    /// What somebody should know of that choice.
    pub warnings: &'a [String],
    /// The last message.
    pub message: Option<&'a str>,
    /// When it started.
    pub started_at: UnixMillis,
    /// When it ended.
    pub finished_at: UnixMillis,
    /// How.
    pub fate: Fate,
    /// The files of its folder, by name.
    pub artifacts: &'a [&'static str],
    /// What was seen of what it claims, if it was looked.
    pub proof: Option<Proof>,
}

/// A skill as the answer names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillNote {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its `SKILL.md`.
    pub path: PathBuf,
}

/// A file that the worker says it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliverable {
    /// The file.
    pub path: String,
    /// What it is.
    pub description: String,
}

/// A file of the run's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What a worker says it made, beside what was seen of it. Nothing here is taken from the
/// worker's word but `claimed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The files it says it made or changed.
    pub claimed: Vec<String>,
    /// What was seen of each, right after the end.
    pub checked: Vec<Checked>,
    /// Commands that were run to see whether the work holds.
    pub verified: Vec<Verified>,
}

/// What was seen of a file that a worker claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The file, as it was claimed.
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// Whether it changed while the worker was at work, by whomever; none where that is not
    /// known.
    pub observed: Option<bool>,
}

/// A command that was run to see whether the work holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The command.
    pub command: String,
    /// How it ended; none when a signal ended it.
    pub exit_code: Option<i32>,
}

/// When it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// RFC 3339 instant.
    pub started_at: String,
    /// RFC 3339 instant.
    pub finished_at: Option<String>,
    /// Milliseconds between the two.
    pub duration_ms: Option<u64>,
}

/// The answer of a run: `result.json`, and what its caller gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its name.
    pub run_id: String,
    /// Its folder.
    pub run_dir: PathBuf,
    /// The agent's conversation.
    pub subagent_thread_id: Option<String>,
    /// Skills that were chosen.
    pub selected_skills: Vec<SkillNote>,
    /// What the worker found or did.
    pub summary: String,
    /// Files it says it made.
    pub deliverables: Vec<Deliverable>,
    /// What it would have asked.
    pub open_questions: Vec<String>,
    /// What it thinks should follow.
    pub next_actions: Vec<String>,
    /// The files of the run's folder.
    pub artifacts: Vec<Artifact>,
    /// When it ran.
    pub timing: Timing,
    /// `completed`, `failed` or `cancelled`.
    pub status: String,
    /// Why it did not complete.
    pub error: Option<String>,
    /// Its job.
    pub job_id: String,
    /// Failure code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What somebody should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was seen of what the worker claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// The four fields of a last message that has been found valid.
#[derive(Default, Deserialize)]
struct Message {
    summary: String,
    deliverables: Vec<Deliverable>,
    open_questions: Vec<String>,
    next_actions: Vec<String>,
}

/// The answer of a run that is over.
#[must_use]
pub fn answer(ended: &Ended<'_>) -> Answer {
    let (status, error, code) = match &ended.fate {
        Fate::Completed => ("completed", None, None),
        Fate::Failed {
            code,
            message,
            hint,
        } => {
            let error = format!("{code}: {message} Hint: {hint}");
            ("failed", Some(error), Some(code.clone()))
        }
        Fate::Cancelled { reason } => {
            let error = format!("the run was stopped on request ({reason})");
            ("cancelled", Some(error), None)
        }
    };
    let message = match ended.fate {
        Fate::Completed => ended.message.and_then(message_of).unwrap_or_default(),
        // Whatever it said has not the form or was not its last word.
        _ => Message::default(),
    };
    Answer {
        run_id: ended.run_id.to_owned(),
        run_dir: ended.run_dir.to_owned(),
        subagent_thread_id: ended.thread.map(str::to_owned),
        selected_skills: ended.skills.iter().map(note).collect(),
        summary: message.summary,
        deliverables: message.deliverables,
        open_questions: message.open_questions,
        next_actions: message.next_actions,
        artifacts: ended
            .artifacts
            .iter()
            .map(|name| Artifact {
                name: (*name).to_owned(),
                path: ended.run_dir.join(name),
            })
            .collect(),
        timing: Timing {
            started_at: ended.started_at.to_rfc3339(),
            finished_at: Some(ended.finished_at.to_rfc3339()),
            duration_ms: Some(ended.finished_at.since(ended.started_at)),
        },
        status: status.to_owned(),
        error,
        job_id: ended.job_id.to_owned(),
        code,
        warnings: ended.warnings.to_vec(),
        proof: ended.proof.clone(),
    }
}

/// The files that a valid last message claims.
#[must_use]
pub fn claimed(message: &str) -> Vec<String> {
    let message = message_of(message).unwrap_or_default();
    let paths = message.deliverables.into_iter().map(|made| made.path);
    paths.collect()
}

fn message_of(text: &str) -> Option<Message> {
    let value: Value = serde_json::from_str(text.trim()).ok()?;
    serde_json::from_value(value).ok()
}

fn note(skill: &SelectedSkill) -> SkillNote {
    SkillNote {
        name: skill.name.clone(),
        description: skill.description.clone(),
        origin: skill.origin,
        path: skill.path.clone(),
    }
}
