//! The secrets of jobs are nowhere in the state home.

use std::{collections::BTreeMap, io::BufRead};

use convoke_test_support::files;
use serde_json::Value;

use crate::soak::{ledger::Entry, plan::TOKEN_MARK, random::Random, stage::Stage};

/// The secrets of so many jobs are looked for.
const SAMPLE: usize = 50;
/// Stream of the numbers that choose them.
const STREAM: u64 = 1 << 33;

/// Looks for the secrets of some jobs in every file.
pub fn nowhere(stage: &Stage, _jobs: &[Value]) -> usize {
    let sample = sample(stage);
    for path in files::below(&stage.environment().state_home()) {
        // What cannot be read is gone.
        let Ok(bytes) = fs_err::read(&path) else {
            continue;
        };
        for token in tokens(&bytes) {
            if let Some(entry) = sample.get(token) {
                let what = format!("its secret is in {}", path.display());
                let id = entry.ids.first().map(String::as_str);
                stage.ledger.fail(&entry.job, id, what);
            }
        }
    }
    sample.len()
}

/// Some jobs by their secrets.
fn sample(stage: &Stage) -> BTreeMap<Vec<u8>, Entry> {
    let mut random = Random::new(stage.plan.seed, STREAM);
    let mut entries = stage.ledger.entries();
    let mut sample = BTreeMap::new();
    while sample.len() < SAMPLE && !entries.is_empty() {
        let entry = entries.swap_remove(random.index(entries.len()));
        sample.insert(entry.job.token.clone().into_bytes(), entry);
    }
    sample
}

/// Everything in a file that looks like one of our secrets.
fn tokens(bytes: &[u8]) -> Vec<&[u8]> {
    let (first, rest_of_mark) = TOKEN_MARK.as_bytes().split_at(1);
    let length = rest_of_mark.len() + 32;
    let mut found = Vec::new();
    let mut rest = bytes;
    // Skipping to a byte is quick even where nothing is optimised.
    while rest.skip_until(first[0]).is_ok_and(|skipped| skipped > 0) {
        if rest.starts_with(rest_of_mark) && rest.len() >= length {
            let from = bytes.len() - rest.len() - 1;
            found.push(&bytes[from..from + 1 + length]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        let token = format!("{TOKEN_MARK}{}", "0123456789abcdef".repeat(2));
        let text = format!("~x {token}\n~soak-short{token}");
        let found = tokens(text.as_bytes());
        let ours = found.iter().filter(|found| **found == token.as_bytes());
        assert_eq!(ours.count(), 2);
        assert!(tokens(b"~soak-0").is_empty());
    }
}
