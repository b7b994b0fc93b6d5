//! The tables of `config.toml`, as they stand there. Unknown keys are errors.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) limits: LimitsTable,
    pub(super) policy: PolicyTable,
    pub(super) env: EnvTable,
    pub(super) codex: CodexTable,
    pub(super) hooks: HooksTable,
    pub(super) retention: RetentionTable,
    pub(super) retry: RetryTable,
    pub(super) runner: RunnerTable,
    pub(super) workspace: WorkspaceTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) total: Option<u32>,
    pub(super) readers: Option<u32>,
    pub(super) writers: Option<u32>,
    pub(super) queue: Option<usize>,
    pub(super) wall: Option<String>,
    pub(super) idle: Option<String>,
    pub(super) first_event: Option<String>,
    pub(super) output: Option<String>,
    pub(super) free_space: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PolicyTable {
    pub(super) max_sandbox: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EnvTable {
    pub(super) pass: Option<Vec<String>>,
    pub(super) set: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CodexTable {
    pub(super) binary: Option<PathBuf>,
    pub(super) profile: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HooksTable {
    pub(super) on_end: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetentionTable {
    pub(super) age: Option<String>,
    pub(super) jobs: Option<usize>,
    pub(super) size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetryTable {
    pub(super) attempts: Option<u32>,
    pub(super) pause: Option<String>,
    pub(super) longest_pause: Option<String>,
    pub(super) longest_wait: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WorkspaceTable {
    pub(super) checkpoints: Option<bool>,
    pub(super) largest_file: Option<String>,
    pub(super) version_stands: Option<String>,
    pub(super) violations: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) fallback: Option<String>,
    pub(super) coordination: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunnerTable {
    pub(super) grace: Option<String>,
    pub(super) orphan_ttl: Option<String>,
}
