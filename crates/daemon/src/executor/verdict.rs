//! What an attempt came to, from the runner's record and the agent's words.

use convoke_agents::driver::{Account, AgentExit};
use convoke_core::{
    dispatcher::Verdict,
    failure::{Failure, FailureCode},
    lifecycle::{JobEnd, Outcome},
    limits::Limits,
    runner_protocol::{ExitCause, ExitRecord, LimitKind, StartFailure},
    time::UnixMillis,
};

use super::projection::Projection;

/// Reason of a stop that only ends what is left after the agent's last word.
pub const AFTER_LAST_WORD: &str = "after_last_word";

/// Judges an attempt whose processes are gone and whose output is read. A stop
/// on request is judged by the dispatcher, which knows of the request.
///
/// An agent that has said its last word has done its work, whatever ended it
/// then.
#[must_use]
pub fn judge(
    exit: &ExitRecord,
    projection: &Projection,
    limits: &Limits,
    schema: Option<&serde_json::Value>,
    program: &str,
) -> Verdict {
    let account = projection.account(agent_exit(exit));
    let failure = match &exit.cause {
        ExitCause::Exited => account
            .failure
            .clone()
            .map(|failure| with_reset(failure, exit, &account)),
        ExitCause::Stopped { reason, .. } if reason == AFTER_LAST_WORD => {
            projection.account(AgentExit::Code(0)).failure
        }
        ExitCause::Limit { .. }
        | ExitCause::Orphaned
        | ExitCause::DiskFull
        | ExitCause::FolderGone
        | ExitCause::Lost { .. }
            if projection.said_last_word() =>
        {
            projection.account(AgentExit::Code(0)).failure
        }
        ExitCause::Stopped { reason, .. } => Some(Failure::new(
            FailureCode::Lost,
            format!("the agent was stopped: {reason}"),
        )),
        ExitCause::Limit {
            limit: LimitKind::Idle,
        } if account.waited_for.is_some() => Some(gave_up_waiting(exit, limits, &account)),
        other => Some(with_trouble(failure_of(other, limits, program), &account)),
    };
    let failure = failure.or_else(|| {
        schema.and_then(|schema| check_output(schema, account.final_message.as_deref()))
    });
    Verdict::Settled(end(exit, account, failure))
}

fn end(exit: &ExitRecord, account: Account, failure: Option<Failure>) -> JobEnd {
    JobEnd {
        outcome: failure.map_or(Outcome::Completed, Outcome::Failed),
        exit_code: exit.exit_code,
        exit_signal: exit.signal,
        final_message: account.final_message,
        usage: account.usage,
        leftovers: exit
            .leftovers
            .iter()
            .map(|p| format!("{} {}", p.pid, p.command))
            .collect(),
    }
}

/// An agent that a limit ends in the middle of its trouble is not told of by
/// the limit alone.
fn with_trouble(mut failure: Failure, account: &Account) -> Failure {
    if let Some(trouble) = &account.trouble {
        failure
            .message
            .push_str(&format!("; the last error it told of: {trouble}"));
    }
    failure
}

/// A failure with the instant at which its cause passes, if the agent said it.
fn with_reset(failure: Failure, exit: &ExitRecord, account: &Account) -> Failure {
    let passes = matches!(failure.code, FailureCode::RateLimited | FailureCode::Quota);
    let until = account
        .resets_in_ms
        .filter(|_| passes)
        .map(|ms| UnixMillis(exit.wall_ms).plus(ms));
    failure.until(until)
}

/// The failure of an agent that waited for its provider until `idle` was over:
/// not the agent stalled.
fn gave_up_waiting(exit: &ExitRecord, limits: &Limits, account: &Account) -> Failure {
    let code = account.waited_for.unwrap_or(FailureCode::Network);
    let message = format!(
        "the agent was ended: it had waited for its provider for {}, the limit `idle` of this job",
        shown_ms(limits.idle_ms)
    );
    let failure = with_trouble(Failure::new(code, message), account);
    with_reset(failure, exit, account)
}

fn agent_exit(exit: &ExitRecord) -> AgentExit {
    match (exit.exit_code, exit.signal) {
        (Some(code), _) => AgentExit::Code(code),
        (None, Some(signal)) => AgentExit::Signal(signal),
        (None, None) => AgentExit::Code(-1),
    }
}

fn failure_of(cause: &ExitCause, limits: &Limits, program: &str) -> Failure {
    match cause {
        ExitCause::Limit { limit } => limit_failure(*limit, limits),
        ExitCause::DiskFull => Failure::new(
            FailureCode::DiskFull,
            "the agent was ended: its output could not be written, the disk of the state folder is full",
        ),
        ExitCause::Orphaned => Failure::new(
            FailureCode::Orphaned,
            "the agent was ended: no daemon had looked after it for `runner.orphan_ttl`",
        ),
        ExitCause::StartFailed { kind, message } => {
            let code = match kind {
                StartFailure::NotFound | StartFailure::Permission => FailureCode::AgentMissing,
                StartFailure::Cwd | StartFailure::Overlay => FailureCode::Workspace,
                StartFailure::Env | StartFailure::Other => FailureCode::Internal,
            };
            Failure::new(code, format!("cannot start {program}: {message}"))
        }
        ExitCause::FolderGone => Failure::new(
            FailureCode::Lost,
            "the runner's folder vanished while it ran",
        ),
        ExitCause::Superseded => Failure::new(
            FailureCode::Lost,
            "the runner was superseded before it started the agent",
        ),
        ExitCause::Lost { message } => Failure::new(FailureCode::Lost, message.clone()),
        ExitCause::Exited | ExitCause::Stopped { .. } => Failure::new(
            FailureCode::Internal,
            "an ordinary end was taken for a failure",
        ),
    }
}

fn limit_failure(limit: LimitKind, limits: &Limits) -> Failure {
    let ms = shown_ms;
    match limit {
        LimitKind::Wall => Failure::new(
            FailureCode::TimedOut,
            format!(
                "the agent was ended: it ran for {}, the limit `wall` of this job",
                ms(limits.wall_ms)
            ),
        ),
        LimitKind::Idle => Failure::new(
            FailureCode::Stalled,
            format!(
                "the agent was ended: it printed nothing for {}, the limit `idle` of this job",
                ms(limits.idle_ms)
            ),
        ),
        LimitKind::FirstEvent => Failure::new(
            FailureCode::NoFirstEvent,
            format!(
                "the agent was ended: it printed nothing within {} of its start, the limit `first_event` of this job",
                ms(limits.first_event_ms)
            ),
        ),
        LimitKind::Output => Failure::new(
            FailureCode::OutputLimit,
            format!(
                "the agent was ended: it printed more than {} bytes, the limit `output` of this job",
                limits.output_bytes
            ),
        ),
    }
}

fn shown_ms(ms: u64) -> String {
    let duration = jiff::SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    format!("{duration:#}")
}

/// Checks the last message against the output schema; agents pass the schema to
/// their model but do not check the answer.
fn check_output(schema: &serde_json::Value, message: Option<&str>) -> Option<Failure> {
    let invalid = |why: String| Some(Failure::new(FailureCode::InvalidOutput, why));
    let Some(message) = message else {
        return invalid("the agent ended without a last message".into());
    };
    let value: serde_json::Value = match serde_json::from_str(message.trim()) {
        Ok(value) => value,
        Err(error) => return invalid(format!("the last message is not JSON: {error}")),
    };
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return invalid(format!("the output schema cannot be used: {error}")),
    };
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .take(5)
        .map(|error| format!("{} at `{}`", error, error.instance_path()))
        .collect();
    if errors.is_empty() {
        None
    } else {
        invalid(format!(
            "the last message does not match the output schema: {}",
            errors.join("; ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_is_checked() {
        let schema = serde_json::json!({"type": "object", "required": ["a"]});
        assert_eq!(check_output(&schema, Some("{\"a\": 1}")), None);
        let code = |message| check_output(&schema, message).map(|failure| failure.code);
        assert_eq!(code(Some("{}")), Some(FailureCode::InvalidOutput));
        assert_eq!(code(Some("done!")), Some(FailureCode::InvalidOutput));
        assert_eq!(code(None), Some(FailureCode::InvalidOutput));
    }

    #[test]
    fn a_limit_says_which_and_how_long() {
        let failure = limit_failure(
            LimitKind::Idle,
            &Limits {
                idle_ms: 90_000,
                ..Limits::default()
            },
        );
        assert_eq!(failure.code, FailureCode::Stalled);
        assert!(
            failure.message.contains("`idle`") && failure.message.contains("1m 30s"),
            "{}",
            failure.message
        );
    }
}
