//! `ping` and `help`, and what the server says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{answers, arguments, errors::Outcome, server::Call};

/// Told to the client at the start. Some clients show only the first sentence,
/// and of it only 240 characters.
pub(crate) const INSTRUCTIONS: &str = "\
Use these tools to hand work to Codex sub-agents that run as background jobs: several at once, long ones, or ones that must survive this session.
Loop: codex_spawn or codex_spawn_group, then codex_wait_any, then codex_result; codex_events shows what a job does, codex_interrupt gives it another prompt, codex_cancel stops it, codex_jobs lists all jobs. \
Jobs go on when a call times out or this session ends.";

const HELP: &str = "\
convoke starts Codex sub-agents as durable background jobs.

The usual loop:
1. codex_spawn{prompt} answers {jobId} at once; codex_spawn_group{jobs:[…]} starts several. Say in the prompt all that the agent needs: it does not see this conversation.
2. codex_events{jobId,cursor:\"0\"} shows what a job does; go on with nextCursor.
3. codex_wait_any{jobIds,timeoutMs} waits for the first that ends; timedOut:true means: ask again.
4. codex_result{jobId} is the final message and the changed files; view:\"full\" adds the ends of stdout and stderr.

Also:
codex_changes{jobId} what a job changed and whose change it was · codex_conflicts{} what two jobs changed at once · codex_reconcile{jobIds} a job that brings it together · codex_rollback{jobId,dryRun} take it back · codex_apply{jobId,dryRun} and codex_discard{jobId} for jobs with workspace worktree or overlay.
codex_status{jobId} one job now · codex_jobs{state:\"live\"} all jobs, newest first · codex_interrupt{jobId,newPrompt} another prompt in the same conversation · codex_cancel{jobId} stop it and all its processes.
codex{prompt,sessionId?} and review{uncommitted|base|commit|prompt} start a job and wait for it; work that outlasts the call goes on, and the answer names its jobId. listSessions lists the conversations of codex.

Status: running (queued counts as running), done, failed, canceled. A job over a cap is queued, not refused. needs:[…] makes a job wait for others.
Power: sandbox is read-only, workspace-write (default) or danger-full-access, and never more than the caller has. Jobs share the working folder unless workspace is worktree (a copy of their own) or overlay (a layer over it): give concurrent writers of one folder different scopes.
Errors name a code, the cause and the next step.";

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct PingArguments {
    /// Answered back; \"pong\" if left out.
    message: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Pong {
    /// The message given, or pong.
    message: String,
}

pub(crate) fn ping(call: &Call) -> Outcome {
    let given: PingArguments = arguments::read(&call.arguments)?;
    let message = given.message.unwrap_or_else(|| "pong".to_owned());
    answers::with_text(message.clone(), &Pong { message })
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Help {
    /// How to use the tools.
    help: &'static str,
}

pub(crate) fn help() -> Outcome {
    answers::with_text(HELP.to_owned(), &Help { help: HELP })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_sentence_fits_where_only_it_is_shown() {
        let first = super::INSTRUCTIONS.lines().next().expect("a line");
        assert!(first.len() < 240, "{}", first.len());
    }
}
