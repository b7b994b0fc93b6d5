//! The settings in force, as they are shown.

use serde_json::{Value, json};

use super::file::Config;

/// One setting as shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Dotted key.
    pub key: &'static str,
    /// Value in force.
    pub value: Value,
    /// `default`, a file, or a variable.
    pub origin: String,
}

impl Config {
    /// Every setting with its origin, in a fixed order.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let values: [(&'static str, Value); 31] = [
            ("limits.total", json!(self.caps.total)),
            ("limits.readers", json!(self.caps.readers)),
            ("limits.writers", json!(self.caps.writers)),
            ("limits.queue", json!(self.queue_limit)),
            ("limits.wall", show_ms(self.limits.wall_ms)),
            ("limits.idle", show_ms(self.limits.idle_ms)),
            ("limits.first_event", show_ms(self.limits.first_event_ms)),
            ("limits.output", json!(self.limits.output_bytes)),
            ("limits.free_space", json!(self.free_space)),
            ("retention.age", show_ms(self.retention.age_ms)),
            ("retention.jobs", json!(self.retention.jobs)),
            ("retention.size", json!(self.retention.bytes)),
            ("retry.attempts", json!(self.retry.attempts)),
            ("retry.pause", show_ms(self.retry.pause_ms)),
            ("retry.longest_pause", show_ms(self.retry.longest_pause_ms)),
            ("retry.longest_wait", show_ms(self.retry.longest_wait_ms)),
            ("policy.max_sandbox", json!(self.max_sandbox.as_str())),
            ("env.pass", json!(self.env_pass)),
            // Values may be secret; the names are enough to know.
            ("env.set", json!(self.env_set.keys().collect::<Vec<_>>())),
            ("codex.binary", json!(self.codex_binary)),
            ("codex.profile", json!(self.codex_profile)),
            ("hooks.on_end", json!(self.on_end)),
            ("runner.grace", show_ms(self.grace_ms)),
            ("runner.orphan_ttl", show_ms(self.orphan_ttl_ms)),
            ("workspace.checkpoints", json!(self.checkpoints)),
            ("workspace.largest_file", json!(self.largest_file)),
            ("workspace.version_stands", show_ms(self.version_stands_ms)),
            ("workspace.kind", json!(self.workspace.as_str())),
            ("workspace.fallback", json!(self.fallback.as_str())),
            ("workspace.coordination", json!(self.coordination.as_str())),
            ("workspace.violations", json!(self.on_violation.as_str())),
        ];
        values
            .into_iter()
            .map(|(key, value)| Setting {
                key,
                value,
                origin: self
                    .origins
                    .get(key)
                    .cloned()
                    .unwrap_or_else(|| "default".into()),
            })
            .collect()
    }
}

fn show_ms(ms: u64) -> Value {
    if ms == 0 {
        return json!("0");
    }
    let duration = jiff::SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    json!(format!("{duration:#}"))
}
