//! On whose behalf a job was asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who asked for a job: carries caps, idempotency and wake-ups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Owner {
    /// A Codex session, by its thread id.
    Thread {
        /// Codex's thread id.
        id: String,
    },
    /// Another MCP client, by its name and the folder it runs in.
    Client {
        /// `clientInfo.name` of the MCP handshake.
        name: String,
        /// The folder of its `convoke mcp` process.
        folder: String,
    },
    /// A person at a shell.
    User {
        /// The user's numeric id.
        uid: u32,
    },
}

impl Owner {
    /// Reads what [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("thread", id) => Some(Self::Thread { id: id.to_owned() }),
            ("user", uid) => uid.parse().ok().map(|uid| Self::User { uid }),
            ("client", rest) => {
                // The folder begins with the first slash after a colon.
                let at = rest.find(":/")?;
                Some(Self::Client {
                    name: rest[..at].to_owned(),
                    folder: rest[at + 1..].to_owned(),
                })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread { id } => write!(f, "thread:{id}"),
            Self::Client { name, folder } => write!(f, "client:{name}:{folder}"),
            Self::User { uid } => write!(f, "user:{uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_read_back() {
        let owners = [
            Owner::Thread {
                id: "0199:a".into(),
            },
            Owner::Client {
                name: "some: client".into(),
                folder: "/a:b/c".into(),
            },
            Owner::User { uid: 1000 },
        ];
        for owner in owners {
            assert_eq!(Owner::parse(&owner.to_string()), Some(owner));
        }
        assert_eq!(Owner::parse("nobody"), None);
    }
}
