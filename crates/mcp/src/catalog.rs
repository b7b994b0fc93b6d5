//! The tools as published: names, descriptions, schemas, annotations.

use convoke_api::changes::{
    ApplyResponse, Conflicts, DiscardResponse, JobChanges, RollbackResponse,
};
use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::{
    changes, control, delegate_catalog, events, help, jobs, result,
    schema_pass::{input, input_of_both, output},
    server::Toolset,
    sessions, settings, spawn, spawn_group, status, synchronous, wait,
};

/// Tools that are worth showing before anything is searched for.
const ALWAYS_LOADED: [&str; 4] = [
    "codex_spawn",
    "codex_spawn_group",
    "codex_wait_any",
    "delegate_run",
];

/// All tools of the toolsets, in the order in which they are listed.
pub(crate) fn tools(toolsets: &[Toolset]) -> Vec<Tool> {
    let mut tools = Vec::new();
    if toolsets.contains(&Toolset::Jobs) {
        tools.extend(jobs_tools());
    }
    if toolsets.contains(&Toolset::Delegate) {
        tools.extend(delegate_catalog::tools());
    }
    tools
}

fn jobs_tools() -> Vec<Tool> {
    let mut tools = starting();
    tools.extend(watching());
    tools.extend(others());
    tools
}

fn starting() -> Vec<Tool> {
    let mut spawn_input = input_of_both::<settings::Own, settings::Settings>();
    let repeats = input::<spawn::Repeats>();
    if let (Some(Value::Object(into)), Some(Value::Object(from))) =
        (spawn_input.get_mut("properties"), repeats.get("properties"))
    {
        into.extend(from.clone());
    }
    vec![
        acts(
            "codex",
            "Run Codex on a prompt and wait for its answer. Work that outlasts this call goes on as a job, and the answer names its jobId. With sessionId the conversation is continued by later calls.",
            input::<synchronous::CodexArguments>(),
            output::<synchronous::Answer>(),
        ),
        acts(
            "codex_spawn",
            "Start a Codex sub-agent as a background job and answer {jobId} at once. It runs on when this session ends. Over a cap it is queued, not refused.",
            spawn_input,
            output::<spawn::Started>(),
        ),
        acts(
            "codex_spawn_group",
            "Start several Codex sub-agents as background jobs. Answers one result per job, in order; each is accepted or refused by itself. Jobs may need each other by label.",
            spawn_group::input(),
            output::<spawn_group::Answer>(),
        ),
    ]
}

fn watching() -> Vec<Tool> {
    vec![
        reads(
            "codex_status",
            "Tell where a job stands, now.",
            input::<status::OneJob>(),
            output::<status::Answer>(),
        ),
        reads(
            "codex_result",
            "Tell what came of a job: its final message, exit code and changed files. A job that is not done says so in its first line.",
            input_of_both::<status::OneJob, result::Detail>(),
            output::<result::Answer>(),
        ),
        acts(
            "codex_cancel",
            "Stop a job and all its processes. success is false when it was over already.",
            input_of_both::<status::OneJob, control::HowToCancel>(),
            output::<control::Cancelled>(),
        ),
        reads(
            "codex_events",
            "Read a job's events page by page: messages, tool calls and their results, progress, and final. Begin with cursor \"0\", go on with nextCursor, until done.",
            input_of_both::<status::OneJob, events::Place>(),
            output::<events::Page>(),
        ),
        reads(
            "codex_wait_any",
            "Wait until one of some jobs is over. timedOut:true means none is yet: ask again. A job that ended before the call counts.",
            input::<wait::Arguments>(),
            output::<wait::Answer>(),
        ),
        acts(
            "codex_interrupt",
            "Stop what a job is doing and go on in the same conversation with another prompt, as a new job.",
            input_of_both::<status::OneJob, control::Interruption>(),
            output::<control::Interrupted>(),
        ),
    ]
}

fn others() -> Vec<Tool> {
    vec![
        reads(
            "review",
            "Let Codex review code and wait for its findings: uncommitted changes, changes against a base branch, one commit, or by a prompt of your own. Changes nothing.",
            input::<synchronous::ReviewArguments>(),
            output::<synchronous::Answer>(),
        ),
        reads(
            "ping",
            "Answer the message, to see that the server is there.",
            input::<help::PingArguments>(),
            output::<help::Pong>(),
        ),
        reads(
            "help",
            "Explain the tools and the usual loop.",
            input::<help::Nothing>(),
            output::<help::Help>(),
        ),
        reads(
            "listSessions",
            "List your conversations of the codex tool, last used first.",
            input::<help::Nothing>(),
            output::<sessions::Answer>(),
        ),
        reads(
            "codex_jobs",
            "List the jobs of this state home, whoever started them, newest first.",
            input::<jobs::Arguments>(),
            output::<jobs::Answer>(),
        ),
        reads(
            "codex_changes",
            "Tell what a job changed in its working tree, as observed: paths, whose change each is and why, and the patch.",
            input::<status::OneJob>(),
            output::<JobChanges>(),
        ),
        reads(
            "codex_conflicts",
            "List paths that two jobs changed while both were at work, with the lines of each, and whether one wrote over the other.",
            input::<changes::OfWhichJobs>(),
            output::<Conflicts>(),
        ),
        acts(
            "codex_reconcile",
            "Start a job that brings together what several jobs did to the same files. It is told each one's task and patch, and what the files hold now.",
            input::<changes::WhatToBringTogether>(),
            output::<changes::BringsTogether>(),
        ),
        acts(
            "codex_rollback",
            "Take back what one job changed, or what jobs changed since a state. Later edits are kept, and the answer names the state before, to undo it.",
            input::<changes::WhatToTakeBack>(),
            output::<RollbackResponse>(),
        ),
        acts(
            "codex_apply",
            "Bring what a job did in a working tree or layer of its own (workspace worktree or overlay) into yours. Later edits are merged; where that is impossible nothing is written and the conflicts are named.",
            input_of_both::<status::OneJob, changes::WhetherToApply>(),
            output::<ApplyResponse>(),
        ),
        acts(
            "codex_discard",
            "Drop what a job did in a working tree of its own. codex_changes still shows it.",
            input::<status::OneJob>(),
            output::<DiscardResponse>(),
        ),
    ]
}

/// A tool that changes nothing.
pub(crate) fn reads(
    name: &'static str,
    what: &'static str,
    input: JsonObject,
    output: JsonObject,
) -> Tool {
    tool(
        name,
        what,
        input,
        output,
        ToolAnnotations::new().read_only(true),
    )
}

/// A tool that acts. Headless Codex runs it only with all three hints said;
/// what bounds a call is the caller's own power, checked by the daemon.
pub(crate) fn acts(
    name: &'static str,
    what: &'static str,
    input: JsonObject,
    output: JsonObject,
) -> Tool {
    let hints = ToolAnnotations::new()
        .read_only(false)
        .destructive(false)
        .open_world(false);
    tool(name, what, input, output, hints)
}

fn tool(
    name: &'static str,
    what: &'static str,
    input: JsonObject,
    output: JsonObject,
    hints: ToolAnnotations,
) -> Tool {
    let mut tool = Tool::new(name, what, input)
        .with_raw_output_schema(output.into())
        .with_annotations(hints);
    if ALWAYS_LOADED.contains(&name) {
        let mut meta = MetaObject::new();
        meta.insert("anthropic/alwaysLoad".to_owned(), Value::Bool(true));
        tool = tool.with_meta(meta);
    }
    tool
}
