//! Why a request came to nothing.

use std::error::Error;

use convoke_api::error::{ApiError, RequestCode};

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon refused it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The daemon could not be reached or started.
    #[error("{message}")]
    Unavailable {
        /// What was attempted and what stood in the way.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// The system's word, if there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The daemon answered something that is not understood.
    #[error("{operation}: the answer cannot be understood")]
    Protocol {
        /// Method and path of the request.
        operation: String,
        /// What is wrong with the answer.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ClientError {
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if let Self::Unavailable { source, .. } = &mut self {
            *source = Some(cause.into());
        }
        self
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        if let Self::Unavailable { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    pub(crate) fn protocol(
        operation: &str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Protocol {
            operation: operation.to_owned(),
            source: source.into(),
        }
    }

    /// The same error in the shape in which the daemon itself sends errors:
    /// `daemon_unavailable` when it could not be reached, `internal` when it
    /// was not understood. The message tells the whole chain of causes.
    #[must_use]
    pub fn to_api_error(&self) -> ApiError {
        match self {
            Self::Api(error) => error.clone(),
            Self::Unavailable { hint, .. } => ApiError {
                code: RequestCode::DaemonUnavailable,
                message: chain(self),
                hint: hint.clone(),
                retryable: RequestCode::DaemonUnavailable.retryable(),
            },
            Self::Protocol { .. } => ApiError {
                code: RequestCode::Internal,
                message: chain(self),
                hint: Some(
                    "program and daemon may be of different versions: `convoke daemon stop`, then ask again"
                        .to_owned(),
                ),
                retryable: RequestCode::Internal.retryable(),
            },
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_of_causes_is_told() {
        let error = ClientError::unavailable("no daemon at /home/a")
            .because(std::io::Error::other("refused"))
            .advise("start it");
        let api = error.to_api_error();
        assert_eq!(api.code, RequestCode::DaemonUnavailable);
        assert_eq!(api.message, "no daemon at /home/a: refused");
        assert_eq!(api.hint.as_deref(), Some("start it"));
        assert!(api.retryable);
    }
}
