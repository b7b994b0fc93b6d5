//! The one line a daemon says on stdout to the client that started it: that it
//! serves, that another daemon has the state home, or why it cannot.

use std::io::Write;

use convoke_api::error::ApiError;

/// What a daemon says.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// It serves.
    Ready,
    /// Another daemon has the state home.
    Busy,
    /// It cannot serve.
    Error(ApiError),
}

impl Word {
    fn line(&self) -> String {
        match self {
            Self::Ready => "ready\n".to_owned(),
            Self::Busy => "busy\n".to_owned(),
            Self::Error(error) => {
                let json = serde_json::to_string(error).expect("an error is plain data");
                format!("error {json}\n")
            }
        }
    }

    /// Says it. A client that no longer listens stops no daemon.
    pub fn say(&self) {
        let mut out = std::io::stdout().lock();
        let _ = out
            .write_all(self.line().as_bytes())
            .and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use convoke_api::error::RequestCode;

    use super::*;

    #[test]
    fn a_word_is_one_line() {
        assert_eq!(Word::Ready.line(), "ready\n");
        assert_eq!(Word::Busy.line(), "busy\n");
        let error = ApiError::new(RequestCode::NewerState, "too new\nby far");
        let line = Word::Error(error.clone()).line();
        assert_eq!(line.lines().count(), 1);
        let json = line.strip_prefix("error ").unwrap();
        assert_eq!(serde_json::from_str::<ApiError>(json).unwrap(), error);
    }
}
