//! The ceiling that `.convoke.toml` files set: each narrows what jobs in its
//! folder and everything below may have, and nothing widens it.

use std::path::Path;

use convoke_core::{limits::Limits, sandbox::Sandbox};
use serde::Deserialize;

use super::{
    file::ConfigError,
    units::{parse_bytes, parse_duration_ms},
};

/// Name of the file.
const FILE: &str = ".convoke.toml";

/// Upper bounds; `None` leaves a value alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// Most power.
    pub max_sandbox: Option<Sandbox>,
    /// Longest running time, milliseconds.
    pub wall_ms: Option<u64>,
    /// Longest silence, milliseconds.
    pub idle_ms: Option<u64>,
    /// Most output, bytes.
    pub output_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    policy: PolicyTable,
    limits: LimitsTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PolicyTable {
    max_sandbox: Option<Sandbox>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsTable {
    wall: Option<String>,
    idle: Option<String>,
    output: Option<String>,
}

/// Reads the ceiling of `folder`, an absolute and canonical path: the least of
/// what it and every folder above it allow, up to the root. A repository
/// within another, or a folder of one, thus widens nothing. Empty if there is
/// no file.
///
/// # Errors
/// A file cannot be read or is not valid: no job may start then, because a
/// bound that cannot be read must not be taken for none.
pub fn ceiling_of(folder: &Path) -> Result<Ceiling, ConfigError> {
    folder
        .ancestors()
        .try_fold(Ceiling::default(), |ceiling, folder| {
            Ok(ceiling.least(&read(folder)?))
        })
}

/// Reads the file in `folder` itself.
fn read(folder: &Path) -> Result<Ceiling, ConfigError> {
    let path = folder.join(FILE);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ceiling::default()),
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    let invalid = |message: String| ConfigError::Invalid {
        path: path.clone(),
        message,
    };
    let file: File = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let duration = |key: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_duration_ms(&text)
            .filter(|ms| *ms > 0)
            .map(Some)
            .ok_or_else(|| {
                invalid(format!(
                    "`{key}` is `{text}`; it must be a duration such as 30m"
                ))
            }),
    };
    let output = match file.limits.output {
        None => None,
        Some(text) => Some(
            parse_bytes(&text)
                .filter(|bytes| *bytes > 0)
                .ok_or_else(|| {
                    invalid(format!(
                        "`limits.output` is `{text}`; it must be a size such as 64MiB"
                    ))
                })?,
        ),
    };
    Ok(Ceiling {
        max_sandbox: file.policy.max_sandbox,
        wall_ms: duration("limits.wall", file.limits.wall)?,
        idle_ms: duration("limits.idle", file.limits.idle)?,
        output_bytes: output,
    })
}

impl Ceiling {
    /// The lower of each two bounds.
    fn least(&self, other: &Self) -> Self {
        fn lower<T: Copy + Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            max_sandbox: lower(self.max_sandbox, other.max_sandbox),
            wall_ms: lower(self.wall_ms, other.wall_ms),
            idle_ms: lower(self.idle_ms, other.idle_ms),
            output_bytes: lower(self.output_bytes, other.output_bytes),
        }
    }

    /// `limits` with each value brought down to its bound; 0 means none and so
    /// becomes the bound.
    #[must_use]
    pub fn narrow(&self, limits: Limits) -> Limits {
        let least = |value: u64, bound: Option<u64>| match bound {
            Some(bound) if value == 0 || value > bound => bound,
            _ => value,
        };
        Limits {
            wall_ms: least(limits.wall_ms, self.wall_ms),
            idle_ms: least(limits.idle_ms, self.idle_ms),
            first_event_ms: limits.first_event_ms,
            output_bytes: least(limits.output_bytes, self.output_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_narrows_and_never_widens() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs_err::write(
            folder.path().join(FILE),
            "[limits]\nwall = \"10m\"\n[policy]\nmax_sandbox = \"read-only\"\n",
        )
        .expect("written");
        let ceiling = ceiling_of(folder.path()).expect("valid");
        assert_eq!(ceiling.max_sandbox, Some(Sandbox::ReadOnly));
        let long = Limits {
            wall_ms: 0,
            ..Limits::default()
        };
        assert_eq!(ceiling.narrow(long).wall_ms, 600_000);
        let short = Limits {
            wall_ms: 5,
            ..Limits::default()
        };
        assert_eq!(ceiling.narrow(short).wall_ms, 5);
    }

    #[test]
    fn a_broken_ceiling_is_an_error() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs_err::write(folder.path().join(FILE), "[limits]\nwal = \"10m\"\n").expect("written");
        assert!(ceiling_of(folder.path()).is_err());
    }
    #[test]
    fn every_folder_above_narrows() {
        let root = tempfile::tempdir().expect("a temp folder");
        let nested = root.path().join("sub/nested");
        fs_err::create_dir_all(nested.join(".git")).expect("created");
        let write = |folder: &Path, text: &str| {
            fs_err::write(folder.join(FILE), text).expect("written");
        };
        write(
            root.path(),
            "[limits]\nwall = \"10m\"\n[policy]\nmax_sandbox = \"read-only\"\n",
        );
        write(
            &nested,
            "[limits]\nwall = \"1h\"\nidle = \"5m\"\n[policy]\nmax_sandbox = \"workspace-write\"\n",
        );
        let ceiling = ceiling_of(&nested).expect("valid");
        assert_eq!(ceiling.max_sandbox, Some(Sandbox::ReadOnly));
        assert_eq!(ceiling.wall_ms, Some(600_000));
        assert_eq!(ceiling.idle_ms, Some(300_000));
        assert_eq!(
            ceiling_of(root.path()).expect("valid").idle_ms,
            None,
            "a file below narrows nothing above"
        );
        write(root.path(), "[limits\n");
        assert!(ceiling_of(&nested).is_err());
    }
}
