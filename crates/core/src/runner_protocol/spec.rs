//! `spec.json`: what a runner has to run, and within which bounds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PROTOCOL_VERSION;

/// Version of a spec with an [`Overlay`]: a runner that knows of none would let the
/// agent write in the tree.
pub const OVERLAY_SPEC_VERSION: u32 = PROTOCOL_VERSION + 1;

/// Journal cap used when a spec names none: 512 MiB.
pub const DEFAULT_JOURNAL_CAP: u64 = 512 * 1024 * 1024;

/// One agent process to run. Written by the daemon, read once by the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerSpec {
    /// Version of this file: [`PROTOCOL_VERSION`], or [`OVERLAY_SPEC_VERSION`].
    pub version: u32,
    /// The runner's id, also the name of its folder.
    pub runner_id: String,
    /// The job this attempt belongs to.
    pub job_id: String,
    /// Number of the attempt within the job, from 1.
    pub attempt: u32,
    /// Program and arguments. A program without a slash is looked up in the
    /// `PATH` of the agent's own environment.
    pub argv: Vec<String>,
    /// Working folder of the agent; absolute.
    pub cwd: PathBuf,
    /// Path of an [`EnvFile`]: the complete environment of the agent.
    pub env_file: PathBuf,
    /// Variables put on top of those in `env_file` (our marks).
    #[serde(default)]
    pub extra_env: BTreeMap<String, String>,
    /// What the agent reads from its stdin.
    #[serde(default)]
    pub stdin: StdinPlan,
    /// Path of the unix socket the runner binds; at most 100 bytes.
    pub socket: PathBuf,
    /// What ends the agent without anyone asking.
    #[serde(default)]
    pub limits: Limits,
    /// How hard to try to contain the agent.
    #[serde(default)]
    pub containment: ContainmentPolicy,
    /// Length of the graceful stop ladder in milliseconds: the first rung at 0,
    /// SIGTERM to the tree at half of it, SIGKILL at its end.
    #[serde(default = "default_grace_ms")]
    pub grace_ms: u64,
    /// End the agent when no daemon was connected for so many milliseconds;
    /// none: wait for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphan_ttl_ms: Option<u64>,
    /// Most bytes the journal may take on disk; its head quarter and its latest
    /// part are kept.
    #[serde(default = "default_journal_cap")]
    pub journal_cap_bytes: u64,
    /// Signal of the first rung of a graceful stop.
    #[serde(default)]
    pub interrupt: FirstRung,
    /// Beginnings of lines of output that are no sign of life: they do not end
    /// the silence that `idle_ms` bounds.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// Whether the agent is started only after a `go` command. Limits count from
    /// then on.
    #[serde(default)]
    pub hold: bool,
    /// What is laid over a tree for the agent; none: it works in the trees as they
    /// are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
}

/// Copy-on-write over a tree: the agent finds the tree where it is, and what it
/// writes there goes into a folder beside it. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The tree, which shows through and is not written.
    pub tree: PathBuf,
    /// Takes what is written.
    pub upper: PathBuf,
    /// An empty folder beside it, for the file system itself.
    pub work: PathBuf,
    /// Whether the file system keeps its marks in attributes that an ordinary user may
    /// write, as it must in a user namespace.
    pub user_attributes: bool,
}

/// What the agent reads from its stdin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StdinPlan {
    /// Written first; not recorded in the journal.
    #[serde(default)]
    pub text: String,
    /// False: closed after `text`. True: stays open for `stdin` commands.
    #[serde(default)]
    pub keep_stdin_open: bool,
}

/// Bounds the runner enforces by itself, on a clock that stands still while the
/// machine is suspended. Time between a `stop` and a `continue` signal command
/// does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest run in milliseconds, `elapsed_ms` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Longest time in milliseconds without a byte on stdout or stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Longest time in milliseconds until the first byte on stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_event_ms: Option<u64>,
    /// Most bytes on stdout and stderr together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Milliseconds of `wall_ms` that earlier attempts already used
    /// (the sum of their `active_ms`).
    #[serde(default)]
    pub elapsed_ms: u64,
}

/// How hard the runner tries to contain the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainmentPolicy {
    /// The best means there is.
    #[default]
    Best,
    /// No namespaces (an agent with full access, which may need `sudo` or mounts).
    NoNamespaces,
}

/// Signal of the first rung of a graceful stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstRung {
    /// SIGINT.
    #[default]
    Sigint,
    /// SIGTERM.
    Sigterm,
}

/// `jobs/<id>/env.json`: the complete environment of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvFile {
    /// Version of this file.
    pub version: u32,
    /// Every variable; nothing else is inherited.
    pub vars: BTreeMap<String, String>,
}

fn default_grace_ms() -> u64 {
    5_000
}

fn default_journal_cap() -> u64 {
    DEFAULT_JOURNAL_CAP
}
