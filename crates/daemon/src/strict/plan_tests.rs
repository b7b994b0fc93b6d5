use convoke_workspace::attribution::{AtWork, Span};

use super::*;

fn id(n: u64) -> String {
    JobId::from_random(n).to_string()
}

fn side(at: usize) -> Option<Side> {
    Some(Side {
        mode: "100644".to_owned(),
        object: format!("o{at}"),
    })
}

/// Each span lasts 10 s, and what changes in it changes in the middle.
fn record(spans: &[(&[u64], &[&str])]) -> Record {
    let spans = spans.iter().zip(0u64..).map(|((writers, changed), n)| {
        let at = usize::try_from(n).expect("few");
        let step = Step {
            when: Some((n * 10_000 + 5_000, n * 10_000 + 5_000)),
            before: side(at),
            after: side(at + 1),
            ..Step::default()
        };
        let changed = changed.iter();
        SpanBetween {
            at,
            span: Span {
                writers: writers.iter().map(|n| id(*n)).collect(),
                changed: changed
                    .map(|path| ((*path).to_owned(), vec![step.clone()]))
                    .collect(),
            },
        }
    });
    Record {
        spans: spans.collect(),
        ..Record::default()
    }
}

fn told(record: &mut Record, n: u64, path: &str, span: u64) {
    let told = record.known.reported.entry(id(n)).or_default();
    let at = span * 10_000 + 5_000;
    let at_work = told.entry(path.to_owned()).or_default();
    at_work.spans.push((at, Some(at)));
}

/// What is taken back, as the numbers of the contents before and after.
fn from_to(changed: &Changed) -> (Option<Side>, Option<Side>) {
    (changed.before.clone(), changed.after.clone())
}

fn member(n: u64, from: usize, to: usize) -> Member {
    Member {
        job: id(n),
        from,
        to,
    }
}

fn set(numbers: &[u64]) -> BTreeSet<String> {
    numbers.iter().map(|n| id(*n)).collect()
}

#[test]
fn what_all_of_them_did_is_taken_back_from_the_first_to_the_last() {
    let mut record = record(&[(&[1, 2], &["f", "user"]), (&[2], &["f"]), (&[], &["f"])]);
    told(&mut record, 1, "f", 0);
    told(&mut record, 2, "f", 1);
    let plan = Plan::of(&record, &[member(1, 0, 1), member(2, 0, 2)]);
    let f = &plan.changed["f"];
    assert_eq!(from_to(f), (side(0), side(2)));
    assert_eq!((f.is_mixed, &f.by), (false, &set(&[1, 2])));
    assert_eq!(plan.changed.len(), 1);
    // It may be anybody's: it stays.
    assert_eq!(plan.doubtful["user"], set(&[1, 2]));
    assert!(plan.inseparable().is_empty());
}

#[test]
fn what_another_one_did_before_stays() {
    let mut record = record(&[(&[1, 2], &["f"]), (&[2], &["f", "g"]), (&[3], &["f"])]);
    told(&mut record, 1, "f", 0);
    told(&mut record, 2, "f", 1);
    told(&mut record, 2, "g", 1);
    let plan = Plan::of(&record, &[member(2, 0, 2)]);
    let f = &plan.changed["f"];
    assert_eq!(from_to(f), (side(1), side(2)), "after what 1 did");
    assert!(!f.is_mixed);
    assert_eq!((&f.among, &f.since), (&set(&[]), &set(&[3])));
    assert_eq!(plan.changed["g"].by, set(&[2]));
}

#[test]
fn where_it_changed_again_and_again_it_does_not_matter_who_did_it() {
    let record = record(&[(&[1, 2], &["f"]), (&[1, 2], &["f", "once"])]);
    let plan = Plan::of(&record, &[member(1, 0, 2), member(2, 0, 2)]);
    assert_eq!(from_to(&plan.changed["f"]), (side(0), side(2)));
    assert_eq!(plan.changed["f"].by, set(&[1, 2]));
    assert_eq!(plan.doubtful["once"], set(&[1, 2]));
    // A third one may have been it.
    let plan = Plan::of(&record, &[member(1, 0, 2)]);
    assert!(plan.changed.is_empty());
}

#[test]
fn what_two_did_at_once_cannot_be_told_apart() {
    let mut record = record(&[(&[1, 2], &["f"]), (&[2], &["g"])]);
    told(&mut record, 1, "f", 0);
    told(&mut record, 2, "f", 0);
    let plan = Plan::of(&record, &[member(2, 0, 2)]);
    assert!(plan.changed["f"].is_mixed);
    let paths = BTreeSet::from(["f".to_owned()]);
    assert_eq!(plan.inseparable(), BTreeMap::from([(id(2), paths)]));
    // Together they can.
    let plan = Plan::of(&record, &[member(1, 0, 1), member(2, 0, 2)]);
    assert!(!plan.changed["f"].is_mixed && plan.inseparable().is_empty());
}

#[test]
fn an_edit_of_nobody_known_in_between_is_kept() {
    let mut record = record(&[(&[1], &["f"]), (&[], &["f"]), (&[1], &["f"])]);
    told(&mut record, 1, "f", 0);
    told(&mut record, 1, "f", 2);
    let plan = Plan::of(&record, &[member(1, 0, 3)]);
    let f = &plan.changed["f"];
    assert_eq!(from_to(f), (side(0), side(3)));
    assert!(f.is_mixed);
    assert!(plan.inseparable().is_empty());
    // What it did later than these states is not to be taken back.
    let plan = Plan::of(&record, &[member(1, 0, 1)]);
    assert_eq!(from_to(&plan.changed["f"]), (side(0), side(1)));
}

#[test]
fn what_changed_while_no_command_of_an_agent_ran_is_not_its_doing() {
    let mut record = record(&[(&[1], &["f", "user"]), (&[1], &["shell"])]);
    told(&mut record, 1, "f", 0);
    let spans = vec![(14_000, Some(16_000)), (5_000, Some(5_000))];
    record.known.at_work.insert(id(1), AtWork { spans });
    record.spans[0].span.changed.insert(
        "user".to_owned(),
        vec![Step {
            when: Some((8_000, 8_000)),
            ..Step::default()
        }],
    );
    let plan = Plan::of(&record, &[member(1, 0, 2)]);
    let paths: Vec<&String> = plan.changed.keys().collect();
    assert_eq!(paths, ["f"]);
    // Of this it told nothing: it may be the user's.
    assert_eq!(
        plan.doubtful,
        BTreeMap::from([("shell".to_owned(), set(&[1]))])
    );
}
