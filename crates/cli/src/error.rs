//! The one error type of the commands, and how it is told.

use std::{error::Error, io, path::PathBuf};

use convoke_api::error::{ApiError, RequestCode};

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is not right.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// The daemon refused, or could not be reached.
    #[error("{error}")]
    Request {
        /// The refusal.
        error: ApiError,
        /// What lies behind it, if it did not come from the daemon.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A file or folder could not be used.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Something else of the system failed.
    #[error("cannot {operation}")]
    System {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A value could not be understood; the hint is in the message.
    #[error("{message}")]
    Invalid {
        /// What is wrong, and where.
        message: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A server of this program ended with an error.
    #[error("the {server} ended with an error")]
    Served {
        /// Which one.
        server: &'static str,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Stdout could not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl CliError {
    /// A wrong command line, without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: None,
        }
    }

    /// A wrong command line, with what would be right.
    pub fn usage_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// For `map_err`: an operation on a path.
    pub fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }

    /// For `map_err`: an operation of the system.
    pub fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }

    /// Whether the reader of our output is gone, which is none of our business.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the daemon may be there in a moment, such as while it is being
    /// replaced.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Request { error, .. }
                if matches!(error.code, RequestCode::DaemonUnavailable | RequestCode::ShuttingDown)
        )
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. } => hint.as_deref(),
            Self::Request { error, .. } => error.hint.as_deref(),
            _ => None,
        }
    }

    /// The error in the form of the API, for `--format json`. Causes are part
    /// of its message.
    pub fn to_api_error(&self) -> ApiError {
        let code = match self {
            Self::Usage { .. } | Self::Invalid { .. } => RequestCode::InvalidArgument,
            Self::Request { error, .. } => error.code,
            _ => RequestCode::Internal,
        };
        let mut message = self.to_string();
        for cause in self.causes() {
            message.push_str(": ");
            message.push_str(&cause);
        }
        let mut told = ApiError::new(code, message);
        told.hint = self.hint().map(str::to_owned);
        if let Self::Request { error, .. } = self {
            told.retryable = error.retryable;
        }
        told
    }

    /// The chain of causes, each in words, nearest first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        let mut said = self.to_string();
        while let Some(cause) = next {
            let words = cause.to_string();
            // Some libraries repeat their cause in their own message.
            if !said.contains(&words) {
                causes.push(words.clone());
            }
            said = words;
            next = cause.source();
        }
        causes
    }
}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        Self::Request {
            error,
            source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let error = CliError::file("read", "/a")(io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "cannot read /a");
        assert_eq!(error.causes(), ["disk on fire"]);
        assert_eq!(error.to_api_error().message, "cannot read /a: disk on fire");
    }
}
