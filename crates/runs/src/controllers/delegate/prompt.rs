//! What a worker is told.

use super::Request;
use crate::controllers::skills::SelectedSkill;

/// The prompt of a run.
#[must_use]
pub fn prompt(request: &Request, skills: &[SelectedSkill]) -> String {
    let mut text = format!(
        "You are a {} sub-agent. Somebody else coordinates the work and reads your last message only.\n\n",
        request.role
    );
    text.push_str(&format!("Working directory: {}\n", request.cwd.display()));
    if let Some(thread) = &request.thread_id {
        text.push_str(&format!("Continued thread: {thread}\n"));
    }
    text.push_str("\n## Task\n\n");
    match request.task.trim() {
        "" => text.push_str(
            "Go on with the work of this conversation where it stopped, and return the updated result.",
        ),
        task => text.push_str(task),
    }
    text.push_str("\n\n");
    if !skills.is_empty() {
        text.push_str("## Skills\n\nRead each of these files before you begin, and follow what applies to the task:\n");
        for skill in skills {
            text.push_str(&format!(
                "- {} ({}) — {}\n",
                skill.name,
                skill.origin.as_str(),
                skill.path.display()
            ));
        }
        text.push('\n');
    }
    text.push_str(
        "## Rules\n\n\
         - Do the work yourself: delegate nothing and start no further agents.\n\
         - Nobody answers while you work. What you would ask goes into `open_questions`.\n\
         - Name only files that are there when you end.\n\n\
         ## Answer\n\n\
         Your last message is one JSON object and nothing else, with exactly these fields:\n\
         - `summary`: what you found or did, so that it can be understood without this conversation.\n\
         - `deliverables`: a list of {\"path\", \"description\"}, one for each file you made or changed; empty if there is none.\n\
         - `open_questions`: a list of texts; empty if there is none.\n\
         - `next_actions`: a list of texts; empty if there is none.\n",
    );
    text
}
