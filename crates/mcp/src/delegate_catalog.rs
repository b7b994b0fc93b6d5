//! The tools of the `delegate` toolset as published. The schemas of their arguments are
//! written out, because callers rely on their letter: defaults, `integer`, bounds.

use convoke_api::delegate::DelegateAnswer;
use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};

use crate::{
    catalog::{acts, reads},
    delegate::{Cancelled, Runs},
    schema_pass::output,
};

/// Told to the client at the start.
pub(crate) const INSTRUCTIONS: &str = "\
Use delegate_run to hand one task to a Codex sub-agent and get a summary, deliverables, open questions and next actions back, with everything about the run kept in a folder.
delegate_resume continues its conversation, delegate_status tells of runs and gives their answers, delegate_cancel stops one. \
A run goes on when a call times out; the same call, repeated, attaches to it.";

/// The tools, in the order in which they are listed.
pub(crate) fn tools() -> Vec<Tool> {
    vec![
        acts(
            "delegate_run",
            "Hand one task to a Codex sub-agent and wait for its answer: summary, deliverables, open questions, next actions. Everything about the run is kept in run_dir. A call that ends with code still_running leaves the run going: ask delegate_status.",
            arguments(task(
                1,
                "What the agent is to do. It sees only this, the skills chosen for it and the folder.",
            )),
            answer(),
        ),
        acts(
            "delegate_resume",
            "Continue the conversation of an earlier run, by its subagent_thread_id; with an empty task the agent goes on where it stopped and returns the updated result.",
            arguments(json!({
                "thread_id": text(1, "The conversation: subagent_thread_id of an earlier answer."),
                "task": {"type": "string", "description": "What the agent is to do next; left out: go on."},
            })),
            answer(),
        ),
        reads(
            "delegate_status",
            "Tell what came of a run, or that it goes on; without run_id list your runs, newest first.",
            object(
                json!({
                    "run_id": {"type": "string", "description": "The run; left out: list yours."},
                    "wait_ms": {"type": "integer", "default": 0, "description": "Wait so long for its end, milliseconds; 0 to 300000."},
                }),
                &[],
            ),
            status(),
        ),
        acts(
            "delegate_cancel",
            "Stop a run and all its processes. success is false when it was over already.",
            object(json!({"run_id": text(1, "The run.")}), &["run_id"]),
            output::<Cancelled>(),
        ),
    ]
}

fn text(least: u64, description: &str) -> Value {
    json!({"type": "string", "minLength": least, "description": description})
}

fn task(least: u64, description: &str) -> Value {
    json!({"task": text(least, description)})
}

fn object(properties: Value, required: &[&str]) -> JsonObject {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    match schema {
        Value::Object(schema) => schema,
        _ => unreachable!("it is written as an object"),
    }
}

/// What both tools that start work take, and `own`, of which what must not be empty is
/// required.
fn arguments(own: Value) -> JsonObject {
    let mut properties = json!({
        "cwd": text(1, "Folder in which the agent works; a relative one counts from this session's folder."),
        "role": {"type": "string", "default": "specialist", "description": "What the agent is."},
        "skills_mode": {"type": "string", "enum": ["auto", "explicit", "none"], "default": "auto", "description": "How skills are chosen for it: by relevance to the task, by name, or not at all."},
        "skills": {"type": "array", "items": {"type": "string"}, "description": "Skills by name, for skills_mode explicit."},
        "max_skills": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9_007_199_254_740_991_u64, "default": 6, "description": "Most skills."},
        "include_repo_skills": {"type": "boolean", "default": true, "description": "Whether skills of the repository count."},
        "include_global_skills": {"type": "boolean", "default": true, "description": "Whether skills of the user and the machine count."},
        "sandbox": {"type": "string", "enum": ["read-only", "workspace-write", "danger-full-access"], "default": "read-only", "description": "What the agent may write; never more than the caller may itself."},
        "skip_git_repo_check": {"type": "boolean", "default": false, "description": "Work also in a folder that is in no git repository."},
        "model": {"type": "string", "description": "Model; Codex's own default if left out."},
        "reasoning_effort": {"type": "string", "description": "How hard the model thinks: none, minimal, low, medium, high or xhigh. CODEX_DELEGATE_REASONING_EFFORT of this server, else Codex's own default, if left out."},
        "config_overrides": {"type": "array", "items": {"type": "string"}, "description": "Settings for Codex as key=value, in order."},
    });
    let mut required = vec!["cwd".to_owned()];
    if let (Value::Object(all), Value::Object(own)) = (&mut properties, own) {
        let must = own
            .iter()
            .filter(|(_, schema)| schema.get("minLength").is_some());
        required.extend(must.map(|(name, _)| name.clone()));
        all.extend(own);
    }
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    object(properties, &required)
}

/// The answer of a run, or the object of an error.
fn answer() -> JsonObject {
    output::<DelegateAnswer>()
}

/// The answer of a run, that it goes on, or a list.
fn status() -> JsonObject {
    let (mut schema, list) = (answer(), output::<Runs>());
    if let Some(words) = schema
        .get_mut("properties")
        .and_then(|properties| properties.get_mut("status"))
        .and_then(|status| status.get_mut("enum"))
        .and_then(Value::as_array_mut)
    {
        words.push(json!("running"));
    }
    if let (Some(Value::Object(all)), Some(Value::Object(runs))) =
        (schema.get_mut("properties"), list.get("properties"))
    {
        all.extend(
            runs.get("runs")
                .map(|runs| ("runs".to_owned(), runs.clone())),
        );
    }
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.push(json!({"required": ["run_id", "run_dir", "status"]}));
        forms.push(json!({"required": ["runs"]}));
    }
    schema
}
