//! The events of each job, as they stand in its file.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::soak::{ledger::Entry, plan, stage::Stage};

/// What the last event calls the states of jobs that are over.
const ENDS: [(&str, &str); 3] = [
    ("completed", "done"),
    ("failed", "failed"),
    ("cancelled", "canceled"),
];

/// None is lost, none came twice, the first says that the job was queued, the
/// last and only the last how it ended.
pub fn whole(stage: &Stage, jobs: &[Value]) -> usize {
    let mut looked_at = 0;
    for_each(stage, jobs, |entry, job, events| {
        looked_at += events.len();
        let id = job["jobId"].as_str();
        for what in faults(job, events) {
            stage.ledger.fail(&entry.job, id, what);
        }
    });
    looked_at
}

/// What an agent printed is in its events once and in order: all of it when the
/// job completed, else the beginning.
pub fn lines(stage: &Stage, jobs: &[Value]) -> usize {
    let mut looked_at = 0;
    for_each(stage, jobs, |entry, job, events| {
        let completed = job["state"] == "completed";
        let said = messages(events);
        let id = job["jobId"].as_str();
        let found = match &entry.job.says {
            Some(says) => once(&said, says, completed),
            None => in_order(&said, entry.job.lines, completed),
        };
        looked_at += 1;
        if let Err(what) = found {
            stage.ledger.fail(&entry.job, id, what);
        }
    });
    looked_at
}

/// Reads the file of each job. One that cannot be read is told by the first
/// check only.
fn for_each(stage: &Stage, jobs: &[Value], mut look: impl FnMut(&Entry, &Value, &[Value])) {
    let entries = stage.ledger.by_key();
    for job in jobs {
        let Some(entry) = job["label"].as_str().and_then(|label| entries.get(label)) else {
            continue;
        };
        let id = job["jobId"].as_str().unwrap_or_default();
        let home = stage.environment().state_home();
        let path = home.join("jobs").join(id).join("events.jsonl");
        let text = fs_err::read_to_string(&path).unwrap_or_default();
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_default())
            .collect();
        look(entry, job, &events);
    }
}

fn faults(job: &Value, events: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    if events.iter().any(Value::is_null) {
        faults.push("a line of its events is no JSON".to_owned());
    }
    let gap = events
        .iter()
        .zip(1_u64..)
        .find(|(event, number)| event["seq"] != *number);
    if let Some((event, number)) = gap {
        faults.push(format!(
            "its event {number} has the number {}",
            event["seq"]
        ));
    }
    let sources: BTreeSet<String> = events
        .iter()
        .map(|event| event["src"].to_string())
        .collect();
    if sources.len() != events.len() {
        let (count, distinct) = (events.len(), sources.len());
        faults.push(format!("its {count} events have {distinct} sources"));
    }
    if events.first().is_none_or(|event| event["type"] != "queued") {
        faults.push("its first event does not say that it was queued".to_owned());
    }
    let ends = events.iter().filter(|event| event["type"] == "final");
    let count = ends.count();
    if count != 1 {
        faults.push(format!("it has {count} events `final`"));
    }
    let last = events.last().cloned().unwrap_or_default();
    let state = job["state"].as_str().unwrap_or_default();
    let told = ENDS.iter().find(|(name, _)| *name == state);
    if last["type"] != "final" || told.is_some_and(|(_, word)| last["content"]["status"] != *word) {
        faults.push(format!("it is {state}, and its last event is {last}"));
    }
    faults
}

/// The lines of messages; lines that came together are one event.
fn messages(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter(|event| event["type"] == "message")
        .filter_map(|event| event["content"]["text"].as_str())
        .flat_map(|text| text.split('\n'))
        .collect()
}

fn once(said: &[&str], says: &str, completed: bool) -> Result<(), String> {
    let count = said.iter().filter(|text| **text == says).count();
    match count {
        0 if !completed => Ok(()),
        1 => Ok(()),
        _ => Err(format!("its message came {count} times")),
    }
}

fn in_order(said: &[&str], count: u32, completed: bool) -> Result<(), String> {
    let found: Vec<&str> = said
        .iter()
        // What is left of half a character.
        .map(|text| text.trim_end_matches('\u{fffd}'))
        .filter(|text| text.starts_with("line"))
        .collect();
    for (number, text) in (1..).zip(&found) {
        let right = plan::line(number);
        // An agent that was killed may have been in the middle of a line.
        let is_last = usize::try_from(number) == Ok(found.len());
        let torn = !completed && is_last && right.starts_with(text);
        if *text != right && !torn {
            return Err(format!("it printed `{text}` where `{right}` was due"));
        }
    }
    let all = usize::try_from(count).unwrap_or(usize::MAX);
    match found.len() {
        printed if printed > all => Err(format!("it printed {printed} lines of {all}")),
        printed if completed && printed < all => {
            Err(format!("it completed with {printed} of {all} lines"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lost_doubled_and_torn_lines_are_found() {
        let all = ["x", "line 1", "line 2\u{fffd}"];
        assert_eq!(in_order(&all, 2, true), Ok(()));
        assert!(in_order(&all, 3, true).is_err());
        assert_eq!(in_order(&all, 3, false), Ok(()));
        assert!(in_order(&["line 1", "line 1"], 2, true).is_err());
        assert!(in_order(&["line 2", "line 1"], 2, true).is_err());
        assert_eq!(in_order(&["line 1", "line"], 2, false), Ok(()));
        assert!(in_order(&["line 1", "line"], 2, true).is_err());
    }

    #[test]
    fn a_whole_file_has_no_faults_and_others_have() {
        let job = json!({"state": "completed"});
        let queued = json!({"seq": 1, "src": {"lifecycle": 1}, "type": "queued"});
        let end = json!({"seq": 2, "src": {"lifecycle": 2}, "type": "final",
            "content": {"status": "done"}});
        assert!(faults(&job, &[queued.clone(), end.clone()]).is_empty());
        assert!(!faults(&job, std::slice::from_ref(&queued)).is_empty());
        assert!(!faults(&job, &[queued, end.clone(), end]).is_empty());
        assert!(!faults(&job, &[]).is_empty());
    }
}
