//! The daemon itself: `GET /v1/daemon`, `POST /v1/daemon/stop`, and the file
//! that tells clients where it listens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Content of `daemon.json` in the state home: where the daemon listens. Only
/// the daemon computes addresses; clients read them here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFile {
    /// Version of this file.
    pub version: u32,
    /// Absolute path of the unix socket.
    pub socket: String,
    /// The daemon's process.
    pub pid: u32,
    /// Version of the program.
    pub program_version: String,
    /// Versions of the API it speaks.
    pub api_versions: Vec<u32>,
}

/// Name of [`DaemonFile`] within the state home.
pub const DAEMON_FILE: &str = "daemon.json";

/// Answer to `GET /v1/daemon`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonView {
    /// Its process.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// RFC 3339 instant of its start.
    pub started_at: String,
    /// The state home it serves.
    pub home: String,
    /// Where it listens.
    pub socket: String,
    /// Jobs that hold a slot.
    pub running: u32,
    /// Jobs whose runner the daemon is connected to.
    #[serde(default)]
    pub attached: u32,
    /// Jobs that wait.
    pub queued: u32,
    /// Resident memory, bytes, where the system tells.
    pub memory_bytes: Option<u64>,
}

/// Body of `POST /v1/daemon/stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StopRequest {
    /// End the jobs too; else they go on without the daemon.
    pub jobs: bool,
}

/// One setting with its origin: `GET /v1/config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingView {
    /// Its key, dotted.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Where it comes from: `default`, a file, or a variable.
    pub origin: String,
}

/// Answer to `GET /v1/config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigView {
    /// Every setting, in a fixed order.
    pub settings: Vec<SettingView>,
}
