//! Telling an error: for people with causes and a hint, for programs as the
//! error object of the API. Both on stderr.

use std::io::Write;

use crate::{
    cli::Format,
    error::CliError,
    output::{
        style::{BAD, GOOD, STRONG, styled},
        text::clean,
    },
};

/// Tells an error on stderr.
pub fn tell_error(format: Format, error: &CliError) {
    let told = match format {
        Format::Human => human(error),
        Format::Json => json(error),
    };
    // Nothing is left to be done when stderr is gone.
    let _ = write!(anstream::stderr().lock(), "{told}");
}

fn human(error: &CliError) -> String {
    let message = error.to_string();
    let mut told = format!("{} {}\n", styled(BAD, "error:"), clean(&message));
    for cause in error.causes() {
        told.push_str(&format!("{} {}\n", styled(STRONG, "cause:"), clean(&cause)));
    }
    if let Some(hint) = error.hint() {
        told.push_str(&format!("{} {}\n", styled(GOOD, "hint:"), clean(hint)));
    }
    told
}

fn json(error: &CliError) -> String {
    let told = error.to_api_error();
    let value = serde_json::json!({
        "code": told.code.as_str(),
        "message": told.message,
        "hint": told.hint,
        "retryable": told.retryable,
    });
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use convoke_api::error::{ApiError, RequestCode};

    use super::*;

    fn unavailable() -> CliError {
        CliError::Request {
            error: ApiError::new(RequestCode::DaemonUnavailable, "no daemon at /h")
                .with_hint("start it"),
            source: Some(std::io::Error::other("connection refused").into()),
        }
    }

    #[test]
    fn for_people() {
        let told = human(&unavailable());
        insta::assert_snapshot!(strip_str(&told), @r"
        error: no daemon at /h
        cause: connection refused
        hint: start it
        ");
    }

    #[test]
    fn for_programs() {
        insta::assert_snapshot!(json(&unavailable()), @r#"
        {"code":"daemon_unavailable","message":"no daemon at /h: connection refused","hint":"start it","retryable":true}
        "#);
    }
}
