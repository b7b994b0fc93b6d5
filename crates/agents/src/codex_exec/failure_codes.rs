//! Error messages of Codex as failure codes.
//!
//! Codex states errors in words only; the words below are those 0.169 prints
//! for each answer of the provider. The first row that matches counts, so the
//! order matters: a broken stream can name a rate limit as its cause.

use convoke_core::failure::FailureCode;

/// Words, in lower case and with plain apostrophes, and what they stand for.
const TABLE: &[(FailureCode, &[&str])] = &[
    (
        FailureCode::Quota,
        &[
            "usage limit",
            "quota exceeded",
            "exceeded your current quota",
            "insufficient_quota",
            "upgrade to plus",
            "upgrade to pro",
            "out of credits",
            "usage_not_included",
            "spend cap",
        ],
    ),
    (
        FailureCode::ContextWindow,
        &[
            "context window",
            "context length",
            "context_length_exceeded",
            "maximum context",
        ],
    ),
    (
        FailureCode::Auth,
        &[
            "401 unauthorized",
            "status 401",
            "status: 401",
            "403 forbidden",
            "status 403",
            "incorrect api key",
            "invalid api key",
            "invalid_api_key",
            "not logged in",
            "please log in",
            "please run `codex login`",
            "log out and sign in",
            "sign in again",
            "missing bearer",
            "missing environment variable",
            "access token could not be refreshed",
            "refresh token",
        ],
    ),
    (
        FailureCode::RateLimited,
        &[
            "429 too many requests",
            "status 429",
            "status: 429",
            "rate limit",
            "rate_limit",
            "too many requests",
        ],
    ),
    (
        FailureCode::Overloaded,
        &[
            "at capacity",
            "overloaded",
            "high demand",
            "service unavailable",
            "status 5",
            "status: 5",
            "internal server error",
            "bad gateway",
            "error occurred while processing your request",
        ],
    ),
    (
        FailureCode::DiskFull,
        &["no space left on device", "os error 28"],
    ),
    (
        FailureCode::Network,
        &[
            "stream disconnected",
            "reconnecting",
            "connection failed",
            "connection refused",
            "connection reset",
            "connection closed",
            "error sending request",
            "failed to lookup address",
            "name does not resolve",
            "dns error",
            "network is unreachable",
            "idle timeout",
            "operation timed out",
            "timeout waiting for",
            "falling back from websockets",
        ],
    ),
];

/// The code for a message of the agent; `agent_failed` when it fits nothing
/// else.
#[must_use]
pub fn classify(message: &str) -> FailureCode {
    let message = message.to_lowercase().replace('\u{2019}', "'");
    TABLE
        .iter()
        .find(|(_, words)| words.iter().any(|word| message.contains(word)))
        .map_or(FailureCode::AgentFailed, |(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::{FailureCode as Code, *};

    #[test]
    fn messages_of_the_reference_release() {
        let table = [
            (
                "unexpected status 401 Unauthorized: Incorrect API key provided, url: http://h/v1/responses",
                Code::Auth,
            ),
            (
                "unexpected status 403 Forbidden: Country not supported, url: http://h/v1/responses",
                Code::Auth,
            ),
            ("Missing environment variable: `SOME_KEY`.", Code::Auth),
            ("Not logged in", Code::Auth),
            (
                "exceeded retry limit, last status: 429 Too Many Requests",
                Code::RateLimited,
            ),
            (
                "rate limit exceeded: Rate limit reached for x. Please try again in 1s.",
                Code::RateLimited,
            ),
            (
                "stream disconnected before completion: Rate limit reached for x",
                Code::RateLimited,
            ),
            (
                "You’ve hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro), visit https://chatgpt.com/settings/usage to purchase more credits or try again later.",
                Code::Quota,
            ),
            (
                "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus.",
                Code::Quota,
            ),
            (
                "Quota exceeded. Check your plan and billing details.",
                Code::Quota,
            ),
            (
                "Selected model is at capacity. Please try a different model.",
                Code::Overloaded,
            ),
            (
                "We’re currently experiencing high demand, which may cause temporary errors.",
                Code::Overloaded,
            ),
            (
                "unexpected status 529 <unknown status code>: boom, url: http://h/v1/responses",
                Code::Overloaded,
            ),
            (
                "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying.",
                Code::ContextWindow,
            ),
            (
                "stream disconnected before completion: stream closed before response.completed",
                Code::Network,
            ),
            (
                "Reconnecting... waiting for network (Connection failed: error sending request)",
                Code::Network,
            ),
            ("The model foo does not exist", Code::AgentFailed),
            ("bad prompt", Code::AgentFailed),
            (
                "thread/resume: thread/resume failed: no rollout found for thread id 01a1 (code -32600)",
                Code::AgentFailed,
            ),
        ];
        for (message, code) in table {
            assert_eq!(classify(message), code, "{message}");
        }
    }
}
