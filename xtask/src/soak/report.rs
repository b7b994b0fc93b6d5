//! What a soak came to, as tables and as JSON.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use serde_json::Value;

use super::{checks::Checked, ledger::Failure, monitor::Seen, stage::Stage};

/// Memory of the idle daemon may be so many times what it was early on.
pub const MOST_GROWTH: f64 = 2.0;
/// At most so many failures are printed.
const SHOWN: usize = 100;

/// Everything that is reported.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How long jobs were asked for, seconds.
    pub seconds: u64,
    /// Whether the real Codex took part.
    pub real_codex: bool,
    /// Requests: keys asked for and accepted.
    pub asked: usize,
    /// Keys that were answered.
    pub accepted: usize,
    /// Jobs by temper and outcome.
    pub outcomes: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Kills by kind.
    pub kills: BTreeMap<String, u64>,
    /// Cancellations by kind.
    pub cancels: BTreeMap<String, u64>,
    /// Requests that went otherwise than at first hoped.
    pub requests: BTreeMap<String, u64>,
    /// Calls of MCP tools that had to be repeated.
    pub calls: BTreeMap<String, u64>,
    /// Commands that failed without a documented reason and were repeated.
    pub odd_answers: BTreeMap<String, u64>,
    /// What was seen of the daemon.
    pub daemon: Seen,
    /// Its resident memory at the end, idle, MiB.
    pub late_mib: Option<f64>,
    /// Late by early memory.
    pub memory_ratio: Option<f64>,
    /// The census.
    pub census: Vec<Checked>,
    /// What went wrong.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Collects it.
    pub fn new(
        stage: &Stage,
        jobs: &[Value],
        daemon: Seen,
        late_mib: Option<f64>,
        census: Vec<Checked>,
    ) -> Self {
        let (asked, accepted) = stage.ledger.totals();
        let counts = |prefix: &str| stage.ledger.counts(prefix);
        Self {
            seed: stage.plan.seed,
            seconds: stage.until.duration_since(stage.began).as_secs(),
            real_codex: stage.world.codex_path.is_some(),
            asked,
            accepted,
            outcomes: outcomes(stage, jobs),
            kills: counts("kill: "),
            cancels: counts("cancel: "),
            requests: counts("request: "),
            calls: counts("call: "),
            odd_answers: counts("odd answer: "),
            daemon,
            late_mib,
            memory_ratio: ratio(&daemon, late_mib),
            census,
            failures: stage.ledger.failures(),
        }
    }

    /// The tables.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        self.put_outcomes(&mut text);
        for (title, counts) in [
            ("Kills", &self.kills),
            ("Cancellations", &self.cancels),
            ("Requests", &self.requests),
            ("MCP calls", &self.calls),
            ("Odd answers", &self.odd_answers),
        ] {
            let shown: Vec<String> = counts
                .iter()
                .map(|(what, n)| format!("{what} {n}"))
                .collect();
            put(&mut text, &format!("{title}: {}", join(&shown)));
        }
        let mib =
            |memory: Option<f64>| memory.map_or("?".to_owned(), |mib| format!("{mib:.1} MiB"));
        put(
            &mut text,
            &format!(
                "Daemon: {} restarts, {} jobs alive at most; memory {} early, {:.1} MiB at most, {} at the end (ratio {})",
                self.daemon.restarts,
                self.daemon.peak_live,
                mib(self.daemon.early_mib),
                self.daemon.peak_mib,
                mib(self.late_mib),
                self.memory_ratio
                    .map_or("?".to_owned(), |ratio| format!("{ratio:.2}")),
            ),
        );
        put(&mut text, "\nCensus");
        for checked in &self.census {
            let verdict = match checked.wrong {
                0 => "ok".to_owned(),
                wrong => format!("{wrong} WRONG"),
            };
            let (what, looked_at) = (checked.what, checked.looked_at);
            put(&mut text, &format!("  {what:42} {looked_at:>8}  {verdict}"));
        }
        text
    }

    /// The failures, for a person to look into.
    pub fn troubles(&self) -> String {
        let mut text = String::new();
        for failure in self.failures.iter().take(SHOWN) {
            let whose = match (&failure.key, failure.temper) {
                (Some(key), Some(temper)) => {
                    let id = failure.job.as_deref().unwrap_or("no id");
                    format!("job {id} [{key}], {temper}: ")
                }
                _ => String::new(),
            };
            put(&mut text, &format!("FAILURE {whose}{}", failure.what));
        }
        if self.failures.len() > SHOWN {
            put(
                &mut text,
                &format!("… and {} more", self.failures.len() - SHOWN),
            );
        }
        text
    }

    fn put_outcomes(&self, text: &mut String) {
        let total = |counts: &BTreeMap<String, u64>, word: &str| -> u64 {
            let those = counts.iter().filter(|(name, _)| name.starts_with(word));
            those.map(|(_, count)| count).sum()
        };
        put(
            text,
            &format!(
                "{:18} {:>6} {:>10} {:>7} {:>10}  failures by code",
                "Temper", "jobs", "completed", "failed", "cancelled"
            ),
        );
        for (temper, counts) in &self.outcomes {
            let codes: Vec<String> = counts
                .iter()
                .filter_map(|(name, n)| Some(format!("{} {n}", name.strip_prefix("failed: ")?)))
                .collect();
            put(
                text,
                &format!(
                    "{temper:18} {:>6} {:>10} {:>7} {:>10}  {}",
                    total(counts, ""),
                    total(counts, "completed"),
                    total(counts, "failed"),
                    total(counts, "cancelled"),
                    codes.join(", ")
                ),
            );
        }
        put(
            text,
            &format!(
                "{} keys asked for, {} accepted\n",
                self.asked, self.accepted
            ),
        );
    }
}

fn put(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn join(shown: &[String]) -> String {
    match shown {
        [] => "none".to_owned(),
        some => some.join(", "),
    }
}

/// Late by early memory.
pub fn ratio(daemon: &Seen, late_mib: Option<f64>) -> Option<f64> {
    Some(late_mib? / daemon.early_mib?)
}

fn outcomes(stage: &Stage, jobs: &[Value]) -> BTreeMap<&'static str, BTreeMap<String, u64>> {
    let states: BTreeMap<&str, &Value> = jobs
        .iter()
        .filter_map(|job| Some((job["label"].as_str()?, job)))
        .collect();
    let mut outcomes: BTreeMap<&'static str, BTreeMap<String, u64>> = BTreeMap::new();
    for entry in stage.ledger.entries() {
        let Some(job) = states.get(entry.job.key.as_str()) else {
            continue;
        };
        let state = job["state"].as_str().unwrap_or("?");
        let outcome = match (state, job["code"].as_str()) {
            ("failed", Some(code)) => format!("failed: {code}"),
            _ => state.to_owned(),
        };
        let counts = outcomes.entry(entry.job.temper.name()).or_default();
        *counts.entry(outcome).or_default() += 1;
    }
    outcomes
}
