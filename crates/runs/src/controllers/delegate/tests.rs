use std::path::Path;

use convoke_core::time::UnixMillis;

use super::*;
use crate::{controllers::skills::SelectedSkill, files::skills::Origin};

fn request(task: &str, thread: Option<&str>) -> Request {
    Request {
        cwd: "/w".into(),
        task: task.to_owned(),
        thread_id: thread.map(str::to_owned),
        role: ROLE.to_owned(),
        skills_mode: Mode::Auto,
        skills: Vec::new(),
        max_skills: MAX_SKILLS,
        include_repo_skills: true,
        include_global_skills: true,
        sandbox: "read-only".to_owned(),
        skip_git_repo_check: false,
        model: None,
        reasoning_effort: None,
        config_overrides: Vec::new(),
    }
}

fn skill() -> SelectedSkill {
    SelectedSkill {
        name: "pdf".to_owned(),
        description: "d".to_owned(),
        origin: Origin::Repo,
        path: "/w/.codex/skills/pdf/SKILL.md".into(),
        reason: "r".to_owned(),
        score: None,
    }
}

fn ended(fate: Fate, message: Option<&str>) -> Answer {
    answer(&Ended {
        run_id: "r",
        run_dir: Path::new("/runs/r"),
        job_id: "j",
        thread: Some("t"),
        skills: &[skill()],
        warnings: &[],
        message,
        started_at: UnixMillis(1_000),
        finished_at: UnixMillis(3_500),
        fate,
        artifacts: &["request.json"],
        proof: None,
    })
}

const MESSAGE: &str = r#"{"summary":"s","deliverables":[{"path":"a","description":"b"}],"open_questions":["q"],"next_actions":[]}"#;

#[test]
fn a_worker_is_told_all_it_needs() {
    let text = prompt(&request("  do it  ", None), &[skill()]);
    for part in [
        "You are a specialist",
        "Working directory: /w\n",
        "## Task\n\ndo it\n",
        "- pdf (repo) — /w/.codex/skills/pdf/SKILL.md\n",
        "delegate nothing",
        "`summary`",
        "`next_actions`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = prompt(&request("", Some("t-1")), &[]);
    assert!(text.contains("Continued thread: t-1\n") && text.contains("return the updated result"));
    assert!(!text.contains("## Skills"));
}

#[test]
fn only_a_completed_run_says_what_its_worker_said() {
    let completed = ended(Fate::Completed, Some(MESSAGE));
    assert_eq!((completed.summary.as_str(), completed.error), ("s", None));
    assert_eq!(completed.timing.duration_ms, Some(2_500));
    let failed = Fate::Failed {
        code: "invalid_output".to_owned(),
        message: "m".to_owned(),
        hint: "h".to_owned(),
    };
    let failed = ended(failed, Some("nonsense"));
    assert_eq!(
        (failed.status.as_str(), failed.summary.as_str()),
        ("failed", "")
    );
    assert_eq!(failed.error.as_deref(), Some("invalid_output: m Hint: h"));
    let cancelled = Fate::Cancelled {
        reason: "cancelled".to_owned(),
    };
    assert_eq!(ended(cancelled, Some(MESSAGE)).summary, "");
}
