//! `convoke run --artifacts`: the same as a delegated run, with everything about it in a
//! folder.

use convoke_api::{
    delegate::{DelegateAnswer, DelegateRequest, RunQuery, RunView, SkillsMode, StartRunRequest},
    error::{ApiError, RequestCode},
    spawn::JobRequest,
};

use crate::{
    caller,
    connection::Connection,
    error::CliError,
    output::{
        Printer,
        style::{DIM, NOTICE, styled},
    },
    retry,
};

/// What only a run with artifacts has.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Artifacts")]
pub struct ArtifactOptions {
    /// Keep everything about the run in a folder below `$CODEX_HOME/delegator/runs`, point the agent to skills, and require an answer of four fields; the sandbox is read-only unless another one is chosen
    #[arg(long)]
    pub artifacts: bool,
    /// Say what the agent is
    #[arg(long, value_name = "ROLE", requires = "artifacts")]
    role: Option<String>,
    /// Choose how skills are chosen: by relevance (auto), by --skill (explicit), or not at all (none)
    #[arg(long, value_name = "MODE", requires = "artifacts", value_parser = ["auto", "explicit", "none"])]
    skills_mode: Option<String>,
    /// Point the agent to this skill and to no other that is not named; may be repeated
    #[arg(long, value_name = "NAME", requires = "artifacts")]
    skill: Vec<String>,
    /// Choose at most so many skills
    #[arg(long, value_name = "NUMBER", requires = "artifacts", value_parser = clap::value_parser!(u64).range(1..))]
    max_skills: Option<u64>,
    /// Leave the skills of the repository out
    #[arg(long, requires = "artifacts")]
    no_repo_skills: bool,
    /// Leave your skills and those of the machine out
    #[arg(long, requires = "artifacts")]
    no_global_skills: bool,
    /// Work also in a folder that is in no git repository
    #[arg(long, requires = "artifacts")]
    skip_git_repo_check: bool,
    /// Continue the conversation of an earlier run
    #[arg(long, value_name = "THREAD", requires = "artifacts")]
    resume_thread: Option<String>,
}

impl ArtifactOptions {
    /// The request of a run, from that of a job.
    ///
    /// # Errors
    /// The job asks for what a run with artifacts does not have.
    pub fn request(self, job: JobRequest) -> Result<DelegateRequest, CliError> {
        let rest = JobRequest {
            prompt: None,
            model: None,
            reasoning_effort: None,
            sandbox: None,
            full_auto: None,
            working_directory: None,
            config_overrides: Vec::new(),
            ..job.clone()
        };
        if rest != JobRequest::default() {
            return Err(CliError::usage_hint(
                "`--artifacts` takes a prompt, --cd, --model, --effort, --sandbox, --full-auto, --config and the options under \"Artifacts\" only",
                "leave the other options out, or leave `--artifacts` out",
            ));
        }
        let full_auto = job.full_auto == Some(true);
        let write = full_auto.then_some(convoke_api::values::Sandbox::WorkspaceWrite);
        let mode = match self.skills_mode.as_deref() {
            Some("explicit") => Some(SkillsMode::Explicit),
            Some("none") => Some(SkillsMode::None),
            Some(_) => Some(SkillsMode::Auto),
            None if !self.skill.is_empty() => Some(SkillsMode::Explicit),
            None => None,
        };
        Ok(DelegateRequest {
            cwd: job.working_directory.unwrap_or_else(|| ".".to_owned()),
            task: job.prompt.unwrap_or_default(),
            thread_id: self.resume_thread,
            role: self.role,
            skills_mode: mode,
            skills: self.skill,
            max_skills: self.max_skills,
            include_repo_skills: self.no_repo_skills.then_some(false),
            include_global_skills: self.no_global_skills.then_some(false),
            sandbox: job.sandbox.or(write),
            skip_git_repo_check: self.skip_git_repo_check.then_some(true),
            model: job.model,
            reasoning_effort: job
                .reasoning_effort
                .map(|effort| effort.as_str().to_owned()),
            config_overrides: job.config_overrides,
        })
    }
}

/// Starts a run and says on stderr where its folder is.
///
/// # Errors
/// It was refused, or the daemon cannot be reached.
pub async fn start(
    connection: &Connection,
    printer: Printer,
    run: DelegateRequest,
) -> Result<RunView, CliError> {
    let request = StartRunRequest {
        caller: caller::this_process()?,
        run,
        // Whoever types a command means a run of its own.
        attach: false,
    };
    let view = connection.start_run(&request).await?;
    for notice in &view.notices {
        printer.note(&format!("{} {notice}", styled(NOTICE, "note:")));
    }
    printer.note(&styled(
        DIM,
        &format!("run {} in {}", view.run_id, view.run_dir),
    ));
    Ok(view)
}

/// Prints the answer of a run that is over.
///
/// # Errors
/// It cannot be asked for, or not be printed.
pub async fn tell(connection: &Connection, printer: Printer, run_id: &str) -> Result<(), CliError> {
    let query = RunQuery::default();
    let view = retry::while_away(async || connection.delegated_run(run_id, &query).await).await?;
    let missing = || ApiError::new(RequestCode::Internal, "the run is over and has no answer");
    let answer = view.answer.ok_or_else(missing)?;
    if printer.is_json() {
        return printer.json(&answer);
    }
    printer.foreign(&text(&answer))
}

/// The answer as people read it.
fn text(answer: &DelegateAnswer) -> String {
    let mut text = String::new();
    if !answer.summary.is_empty() {
        text.push_str(&format!("{}\n", answer.summary));
    }
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            lines
                .iter()
                .for_each(|line| text.push_str(&format!("- {line}\n")));
        }
    };
    let made = answer.deliverables.iter();
    list(
        "Deliverables",
        made.map(|made| format!("{}: {}", made.path, made.description))
            .collect(),
    );
    list("Open questions", answer.open_questions.clone());
    list("Next actions", answer.next_actions.clone());
    list(
        "Skills",
        answer
            .selected_skills
            .iter()
            .map(|skill| skill.name.clone())
            .collect(),
    );
    list("Warnings", answer.warnings.clone());
    text.push_str(&format!(
        "\n{} in {}\n",
        answer.status.as_str(),
        answer.run_dir
    ));
    if let Some(error) = &answer.error {
        text.push_str(&format!("{error}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_does_not_have_is_refused() {
        let job = JobRequest {
            prompt: Some("p".to_owned()),
            full_auto: Some(true),
            ..JobRequest::default()
        };
        let run = ArtifactOptions::default()
            .request(job.clone())
            .expect("fine");
        assert_eq!(
            run.sandbox,
            Some(convoke_api::values::Sandbox::WorkspaceWrite)
        );
        assert_eq!((run.task.as_str(), run.cwd.as_str()), ("p", "."));
        let named = ArtifactOptions {
            skill: vec!["s".to_owned()],
            ..ArtifactOptions::default()
        };
        let run = named.request(job.clone()).expect("fine");
        assert_eq!(run.skills_mode, Some(SkillsMode::Explicit));
        let labelled = JobRequest {
            label: Some("l".to_owned()),
            ..job
        };
        assert!(ArtifactOptions::default().request(labelled).is_err());
    }
}
