//! Who does what: the repository's files, the three workers and the
//! coordinator.

use convoke_scripted_model::{Script, Step};
use serde_json::{Value, json};

/// Files of the scratch repository at the start.
pub const FILES: [(&str, &str); 2] = [
    ("greeting.txt", "Hello, wurld!\n"),
    ("todo.txt", "- greet the world\n"),
];

/// What the coordinator is asked. The scripted model knows it by this text.
pub const TASK: &str = "Let three workers do these at the same time: correct the greeting, \
    bring the to-do list up to date, measure the temperature. Tell me what came of it; \
    do not wait for the measurement.";

/// Name of our server in the coordinator's configuration.
pub const SERVER: &str = "convoke";

/// One worker.
#[derive(Debug)]
pub struct Worker {
    /// Name of its job.
    pub label: &'static str,
    /// What it is asked.
    pub task: &'static str,
    /// The file it changes and that file's text afterwards; the worker without
    /// one takes for ever.
    pub change: Option<(&'static str, &'static str)>,
    /// How long it thinks, milliseconds.
    pub thinks_ms: u64,
    /// Its last message; of the one that takes for ever: its first.
    pub message: &'static str,
}

/// The worker that ends first.
pub const GREETING: Worker = Worker {
    label: "greeting",
    task: "Correct the spelling in greeting.txt.",
    change: Some(("greeting.txt", "Hello, world!\n")),
    thinks_ms: 1_500,
    message: "Corrected one word.\n\nmodifiedFiles:\n- greeting.txt",
};

/// The worker that ends second.
pub const TODO: Worker = Worker {
    label: "todo",
    task: "Tick off in todo.txt what is done.",
    change: Some(("todo.txt", "- [x] greet the world\n- [ ] greet the moon\n")),
    thinks_ms: 4_000,
    message: "Ticked off one item and added one.\n\nmodifiedFiles:\n- todo.txt",
};

/// The worker that is cancelled.
pub const MEASURE: Worker = Worker {
    label: "measure",
    task: "Measure the temperature once a second for ten minutes.",
    change: None,
    thinks_ms: 0,
    message: "Measuring; this takes ten minutes.",
};

/// All three, in the order in which they are started.
pub const WORKERS: [&Worker; 3] = [&GREETING, &TODO, &MEASURE];

/// What the long worker runs.
const MEASURING: &str =
    "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo \"measurement $i\"; sleep 1; done";

impl Worker {
    /// The prompt for Codex, with the script that the scripted model plays.
    pub fn prompt(&self) -> String {
        let steps = match self.change {
            Some((path, text)) => vec![
                Step::DelayMs(self.thinks_ms),
                Step::patch(replacement(path, text)),
                Step::say(self.message),
            ],
            None => vec![
                Step::Note(self.message.to_owned()),
                Step::shell(MEASURING),
                Step::hang(),
            ],
        };
        format!("{}\n{}", self.task, Script::prompt_line(&steps))
    }

    /// The same for the scripted agent.
    pub fn agent_script(&self) -> Value {
        let Some((path, text)) = self.change else {
            return json!([{"do": "out", "text": self.message}, {"do": "stall"}]);
        };
        json!([
            {"do": "sleep", "ms": self.thinks_ms},
            {"do": "write", "path": path, "text": text},
            {"do": "out", "text": self.message},
        ])
    }
}

/// A patch that puts a new text in place of a file's first one.
fn replacement(path: &str, text: &str) -> String {
    let old = FILES.iter().find(|(name, _)| *name == path);
    let old = old.map_or("", |(_, content)| content);
    let marked = |mark: &str, text: &str| -> String {
        text.lines().map(|line| format!("{mark}{line}\n")).collect()
    };
    format!(
        "*** Begin Patch\n*** Update File: {path}\n@@\n{}{}*** End Patch",
        marked("-", old),
        marked("+", text)
    )
}

/// What the coordinator's model does.
pub fn coordinator() -> Script {
    let mut steps = vec![Step::Note("I start three workers.".to_owned())];
    steps.extend(WORKERS.iter().map(|worker| spawn(worker)));
    let all = json!(["${greeting.jobId}", "${todo.jobId}", "${measure.jobId}"]);
    steps.extend([
        wait(all)
            .named("first")
            .until_not_null("completedJobId", 30),
        tool("codex_result", json!({"jobId": "${first.completedJobId}"})),
        wait(json!(["${todo.jobId}"]))
            .named("second")
            .until_not_null("completedJobId", 30),
        tool("codex_result", json!({"jobId": "${greeting.jobId}"})).named("greeting_result"),
        tool("codex_result", json!({"jobId": "${todo.jobId}"})).named("todo_result"),
        tool("codex_cancel", json!({"jobId": "${measure.jobId}"})).named("cancel"),
        wait(json!(["${measure.jobId}"]))
            .named("third")
            .until_not_null("completedJobId", 30),
        tool("codex_status", json!({"jobId": "${measure.jobId}"})).named("measure_status"),
        Step::say(REPORT),
    ]);
    Script::default().with(TASK, steps)
}

/// The coordinator's last message.
const REPORT: &str = "\
First to end: ${first.completedJobId}.
- greeting (${greeting_result.status}): ${greeting_result.finalMessage}
- todo (${todo_result.status}): ${todo_result.finalMessage}
- measure: ${measure_status.status}, as you do not wait for it.";

fn spawn(worker: &Worker) -> Step {
    let arguments = json!({
        "prompt": worker.prompt(),
        "label": worker.label,
        "sandbox": "workspace-write",
    });
    tool("codex_spawn", arguments).named(worker.label)
}

fn wait(jobs: Value) -> Step {
    tool(
        "codex_wait_any",
        json!({"jobIds": jobs, "timeoutMs": 10_000}),
    )
}

fn tool(name: &str, arguments: Value) -> Step {
    Step::mcp(SERVER, name, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_make_sense() {
        coordinator().check().unwrap();
        for worker in WORKERS {
            assert!(!worker.prompt().contains(TASK));
        }
    }
}
