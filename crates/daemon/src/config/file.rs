//! The user's configuration file and the variables that override it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use convoke_api::{changes::WorkspaceKind, coordination::Coordination};
use convoke_core::{
    limits::Limits, retention::Retention, retry::RetryPolicy, sandbox::Sandbox, scheduler::Caps,
};

use super::{
    tables::{File, LimitsTable, RetentionTable, RetryTable},
    units::{parse_bytes, parse_duration_ms},
    workspace::{Fallback, OnViolation},
};

/// Names of the requester's variables a job gets unless configured otherwise;
/// a trailing or leading `*` stands for anything.
const DEFAULT_PASS: [&str; 21] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TERM",
    "TZ",
    "TMPDIR",
    "CODEX_HOME",
    "CODEX_API_KEY",
    "*_PROXY",
    "*_proxy",
    "SSL_CERT_*",
    "RLM_*",
    "MCP_RUNNER_TASK_ID",
    "CODEX_ORCHESTRATOR_*",
    "CODEX_MCP_*",
    "CODEX_DELEGATE_*",
    "CODEX_AUTOPILOT_*",
];

/// Settings in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How many attempts may run at once.
    pub caps: Caps,
    /// How many jobs may wait.
    pub queue_limit: usize,
    /// Bytes that must be free on the disk of the state home for a new job to be
    /// accepted; 0 means that none need be.
    pub free_space: u64,
    /// Limits of jobs that ask for none.
    pub limits: Limits,
    /// How failed attempts of jobs that do not say it are repeated.
    pub retry: RetryPolicy,
    /// How long ended jobs are kept.
    pub retention: Retention,
    /// The most power any job may have.
    pub max_sandbox: Sandbox,
    /// Names of the requester's variables a job gets.
    pub env_pass: Vec<String>,
    /// Variables every job gets unless the call or the requester sets them.
    pub env_set: BTreeMap<String, String>,
    /// The Codex program; looked up in the job's PATH if none.
    pub codex_binary: Option<PathBuf>,
    /// Codex profile of jobs that ask for none.
    pub codex_profile: Option<String>,
    /// Program and arguments run when a job ends, with the job as JSON on
    /// stdin.
    pub on_end: Vec<String>,
    /// Milliseconds between the polite and the deadly signal of a stop.
    pub grace_ms: u64,
    /// Milliseconds a runner goes on without a daemon; 0 means for ever.
    pub orphan_ttl_ms: u64,
    /// Whether states of working trees are kept around jobs that write.
    pub checkpoints: bool,
    /// Files larger than this many bytes are not kept in them.
    pub largest_file: u64,
    /// Milliseconds a version of a file must stand to be kept while jobs write; 0 keeps
    /// none.
    pub version_stands_ms: u64,
    /// Where jobs work that do not say it.
    pub workspace: WorkspaceKind,
    /// What becomes of a job whose overlay is not possible.
    pub fallback: Fallback,
    /// What writing jobs that do not say it expect of a tree that they share.
    pub coordination: Coordination,
    /// What becomes of a job that broke a rule.
    pub on_violation: OnViolation,
    /// Key to origin, for settings that are not at their default.
    pub(super) origins: BTreeMap<String, String>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or a value of the wrong kind.
    #[error("the configuration file {} is not valid: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// A value is out of its range.
    #[error("`{key}` is `{value}` (from {origin}); it must be {expected}")]
    Value {
        /// Dotted key or name of the variable.
        key: String,
        /// What stands there.
        value: String,
        /// The file or `environment`.
        origin: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            caps: Caps::default(),
            queue_limit: 10_000,
            free_space: 64 << 20,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            retention: Retention {
                age_ms: 30 * 24 * 60 * 60 * 1000,
                jobs: 10_000,
                bytes: 20 << 30,
                grace_ms: 10 * 60 * 1000,
            },
            max_sandbox: Sandbox::WorkspaceWrite,
            env_pass: DEFAULT_PASS.iter().map(|name| (*name).to_owned()).collect(),
            env_set: BTreeMap::new(),
            codex_binary: None,
            codex_profile: None,
            on_end: Vec::new(),
            grace_ms: 5_000,
            orphan_ttl_ms: 24 * 60 * 60 * 1000,
            checkpoints: true,
            largest_file: 64 << 20,
            version_stands_ms: 50,
            workspace: WorkspaceKind::Shared,
            fallback: Fallback::Worktree,
            coordination: Coordination::Dirty,
            on_violation: OnViolation::Flag,
            origins: BTreeMap::new(),
        }
    }
}

/// Reads `path` if it exists, then applies the variables of `environment`.
///
/// # Errors
/// The file cannot be read, has unknown keys, or a value out of range.
pub fn load(path: &Path, environment: &BTreeMap<String, String>) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    match fs_err::read_to_string(path) {
        Ok(text) => config.apply_file(path, &text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            });
        }
    }
    config.apply_environment(environment)?;
    Ok(config)
}

impl Config {
    fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let origin = path.display().to_string();
        self.apply_limits(&file.limits, &origin)?;
        self.apply_retry(&file.retry, &origin)?;
        self.apply_retention(&file.retention, &origin)?;
        if let Some(text) = file.policy.max_sandbox {
            self.max_sandbox = text.parse().map_err(|_| ConfigError::Value {
                key: "policy.max_sandbox".into(),
                value: text.clone(),
                origin: origin.clone(),
                expected: "one of read-only, workspace-write, danger-full-access",
            })?;
            self.note("policy.max_sandbox", &origin);
        }
        if let Some(pass) = file.env.pass {
            self.env_pass = pass;
            self.note("env.pass", &origin);
        }
        if !file.env.set.is_empty() {
            self.env_set = file.env.set;
            self.note("env.set", &origin);
        }
        if file.codex.binary.is_some() {
            self.codex_binary = file.codex.binary;
            self.note("codex.binary", &origin);
        }
        if file.codex.profile.is_some() {
            self.codex_profile = file.codex.profile;
            self.note("codex.profile", &origin);
        }
        if let Some(on_end) = file.hooks.on_end {
            self.on_end = on_end;
            self.note("hooks.on_end", &origin);
        }
        if let Some(ms) = duration("runner.grace", file.runner.grace.as_deref(), &origin)? {
            self.grace_ms = ms;
            self.note("runner.grace", &origin);
        }
        if let Some(ms) = duration(
            "runner.orphan_ttl",
            file.runner.orphan_ttl.as_deref(),
            &origin,
        )? {
            self.orphan_ttl_ms = ms;
            self.note("runner.orphan_ttl", &origin);
        }
        self.apply_workspace(file.workspace, origin)
    }

    fn apply_limits(&mut self, table: &LimitsTable, origin: &str) -> Result<(), ConfigError> {
        self.apply_cap("limits.total", table.total, origin)?;
        self.apply_cap("limits.readers", table.readers, origin)?;
        self.apply_cap("limits.writers", table.writers, origin)?;
        if let Some(queue) = table.queue {
            self.queue_limit = queue;
            self.note("limits.queue", origin);
        }
        if let Some(ms) = duration("limits.wall", table.wall.as_deref(), origin)? {
            self.limits.wall_ms = ms;
            self.note("limits.wall", origin);
        }
        if let Some(ms) = duration("limits.idle", table.idle.as_deref(), origin)? {
            self.limits.idle_ms = ms;
            self.note("limits.idle", origin);
        }
        if let Some(ms) = duration("limits.first_event", table.first_event.as_deref(), origin)? {
            self.limits.first_event_ms = ms;
            self.note("limits.first_event", origin);
        }
        if let Some(text) = &table.output {
            self.limits.output_bytes = size("limits.output", text, origin)?;
            self.note("limits.output", origin);
        }
        if let Some(text) = &table.free_space {
            self.free_space = size("limits.free_space", text, origin)?;
            self.note("limits.free_space", origin);
        }
        Ok(())
    }

    fn apply_retention(&mut self, table: &RetentionTable, origin: &str) -> Result<(), ConfigError> {
        if let Some(ms) = duration("retention.age", table.age.as_deref(), origin)? {
            self.retention.age_ms = ms;
            self.note("retention.age", origin);
        }
        if let Some(jobs) = table.jobs {
            self.retention.jobs = jobs;
            self.note("retention.jobs", origin);
        }
        if let Some(text) = &table.size {
            self.retention.bytes = size("retention.size", text, origin)?;
            self.note("retention.size", origin);
        }
        Ok(())
    }

    fn apply_retry(&mut self, table: &RetryTable, origin: &str) -> Result<(), ConfigError> {
        if let Some(attempts) = table.attempts {
            if attempts == 0 {
                return Err(ConfigError::Value {
                    key: "retry.attempts".into(),
                    value: "0".into(),
                    origin: origin.to_owned(),
                    expected: "1 or more; 1 repeats nothing",
                });
            }
            self.retry.attempts = attempts;
            self.note("retry.attempts", origin);
        }
        let texts = [
            ("retry.pause", &table.pause),
            ("retry.longest_pause", &table.longest_pause),
            ("retry.longest_wait", &table.longest_wait),
        ];
        for (key, text) in texts {
            let Some(ms) = duration(key, text.as_deref(), origin)? else {
                continue;
            };
            match key {
                "retry.pause" => self.retry.pause_ms = ms,
                "retry.longest_pause" => self.retry.longest_pause_ms = ms,
                _ => self.retry.longest_wait_ms = ms,
            }
            self.note(key, origin);
        }
        Ok(())
    }

    fn apply_cap(
        &mut self,
        key: &'static str,
        value: Option<u32>,
        origin: &str,
    ) -> Result<(), ConfigError> {
        let Some(value) = value else { return Ok(()) };
        if value == 0 {
            return Err(ConfigError::Value {
                key: key.into(),
                value: "0".into(),
                origin: origin.to_owned(),
                expected: "1 or more",
            });
        }
        match key {
            "limits.total" => self.caps.total = value,
            "limits.readers" => self.caps.readers = value,
            _ => self.caps.writers = value,
        }
        self.note(key, origin);
        Ok(())
    }

    fn apply_environment(
        &mut self,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        for (name, key) in [
            ("CONVOKE_K_READ", "limits.readers"),
            ("CONVOKE_K_WRITE", "limits.writers"),
        ] {
            let Some(text) = environment.get(name) else {
                continue;
            };
            let value: u32 = text.parse().map_err(|_| ConfigError::Value {
                key: name.into(),
                value: text.clone(),
                origin: "the environment".into(),
                expected: "a whole number, 1 or more",
            })?;
            self.apply_cap(key, Some(value), name)?;
        }
        Ok(())
    }

    pub(super) fn note(&mut self, key: &str, origin: &str) {
        self.origins.insert(key.to_owned(), origin.to_owned());
    }
}

pub(super) fn size(key: &str, text: &str, origin: &str) -> Result<u64, ConfigError> {
    parse_bytes(text).ok_or_else(|| ConfigError::Value {
        key: key.to_owned(),
        value: text.to_owned(),
        origin: origin.to_owned(),
        expected: "a size such as 256MiB, or 0 for none",
    })
}

pub(super) fn duration(
    key: &str,
    text: Option<&str>,
    origin: &str,
) -> Result<Option<u64>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    parse_duration_ms(text)
        .map(Some)
        .ok_or_else(|| ConfigError::Value {
            key: key.to_owned(),
            value: text.to_owned(),
            origin: origin.to_owned(),
            expected: "a duration such as 90s, 30m or 4h, or 0 for none",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("config.toml");
        fs_err::write(&path, text).expect("the file is written");
        load(&path, &BTreeMap::new())
    }

    #[test]
    fn values_are_read_and_their_origin_is_kept() {
        let config =
            read("[limits]\nwriters = 5\nwall = \"90m\"\n[policy]\nmax_sandbox = \"read-only\"\n")
                .expect("valid");
        assert_eq!(config.caps.writers, 5);
        assert_eq!(config.limits.wall_ms, 5_400_000);
        assert_eq!(config.max_sandbox, Sandbox::ReadOnly);
        let settings = config.settings();
        let origin = |key| {
            settings
                .iter()
                .find(|s| s.key == key)
                .map(|s| s.origin.clone())
                .expect("a setting")
        };
        assert!(origin("limits.writers").ends_with("config.toml"));
        assert_eq!(origin("limits.readers"), "default");
    }

    #[test]
    fn unknown_keys_and_bad_values_are_errors() {
        let unknown = read("[limits]\nwriter = 5\n")
            .expect_err("an unknown key")
            .to_string();
        assert!(unknown.contains("writer"), "{unknown}");
        let bad = read("[limits]\nidle = \"soon\"\n")
            .expect_err("no duration")
            .to_string();
        assert!(bad.contains("limits.idle") && bad.contains("soon"), "{bad}");
        assert!(read("[limits]\ntotal = 0\n").is_err());
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [("CONVOKE_K_WRITE".to_owned(), "32".to_owned())].into();
        let config = load(Path::new("/nonexistent/config.toml"), &environment).expect("valid");
        assert_eq!(config.caps.writers, 32);
        let environment = [("CONVOKE_K_READ".to_owned(), "many".to_owned())].into();
        assert!(load(Path::new("/nonexistent/config.toml"), &environment).is_err());
    }
}
