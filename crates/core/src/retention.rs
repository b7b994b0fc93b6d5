//! Which ended jobs are forgotten. Pure: the daemon measures and deletes.

use std::collections::HashSet;

use crate::{ids::JobId, time::UnixMillis};

/// What is kept; 0 means no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Milliseconds after its end for which a job is kept.
    pub age_ms: u64,
    /// Ended jobs that are kept at most.
    pub jobs: usize,
    /// Bytes that the folders of ended jobs may take.
    pub bytes: u64,
    /// Milliseconds after its end for which a job is kept whatever the bounds
    /// say: whoever waited for it may still read its result.
    pub grace_ms: u64,
}

/// A job that is over and for which nothing is left to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The job.
    pub job: JobId,
    /// When it ended.
    pub finished_at: UnixMillis,
    /// Bytes of its folders.
    pub bytes: u64,
}

impl Retention {
    /// Which of `ended` are to be forgotten, the one that ended first first.
    /// Those in `needed` stay: a live job refers to them. They count all the
    /// same.
    #[must_use]
    pub fn to_forget(
        &self,
        now: UnixMillis,
        mut ended: Vec<Candidate>,
        needed: &HashSet<JobId>,
    ) -> Vec<Candidate> {
        ended.sort_by(|a, b| (a.finished_at, &a.job).cmp(&(b.finished_at, &b.job)));
        let mut jobs = ended.len();
        let mut bytes: u64 = ended.iter().map(|candidate| candidate.bytes).sum();
        let mut chosen = Vec::new();
        for candidate in ended {
            let age = now.since(candidate.finished_at);
            let too_old = self.age_ms > 0 && age > self.age_ms;
            let too_many = self.jobs > 0 && jobs > self.jobs;
            let too_large = self.bytes > 0 && bytes > self.bytes;
            let may_go = now >= candidate.finished_at
                && age >= self.grace_ms
                && !needed.contains(&candidate.job);
            if may_go && (too_old || too_many || too_large) {
                jobs -= 1;
                bytes = bytes.saturating_sub(candidate.bytes);
                chosen.push(candidate);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    /// Jobs 1 to 5, which ended 5 to 1 hours ago and take 10 bytes each.
    fn chosen(retention: Retention, needed: &[u64]) -> Vec<u64> {
        let id = |n| JobId::from_random(n);
        let ended = (1..=5)
            .map(|n| Candidate {
                job: id(n),
                finished_at: UnixMillis(NOW.0 - (6 - n) * 3_600_000),
                bytes: 10,
            })
            .rev()
            .collect();
        let needed = needed.iter().copied().map(id).collect();
        let chosen = retention.to_forget(NOW, ended, &needed);
        let number = |job: &JobId| (1..=5).find(|n| id(*n) == *job).expect("one of them");
        chosen.iter().map(|one| number(&one.job)).collect()
    }

    #[test]
    fn each_bound_takes_the_oldest() {
        let none = Retention::default();
        assert_eq!(chosen(none, &[]), Vec::<u64>::new());
        let age_ms = 3 * 3_600_000;
        assert_eq!(chosen(Retention { age_ms, ..none }, &[]), [1, 2]);
        assert_eq!(chosen(Retention { jobs: 2, ..none }, &[]), [1, 2, 3]);
        assert_eq!(chosen(Retention { bytes: 30, ..none }, &[]), [1, 2]);
    }

    #[test]
    fn what_is_needed_stays_and_others_go_for_it() {
        let two = Retention {
            jobs: 2,
            ..Retention::default()
        };
        assert_eq!(chosen(two, &[1, 3]), [2, 4, 5]);
    }

    #[test]
    fn what_has_just_ended_stays() {
        let one = |finished_at| Candidate {
            job: JobId::from_random(1),
            finished_at,
            bytes: 1,
        };
        let strict = Retention {
            age_ms: 1,
            grace_ms: 60_000,
            ..Retention::default()
        };
        let goes = |at| {
            !strict
                .to_forget(NOW, vec![one(at)], &HashSet::new())
                .is_empty()
        };
        assert!(goes(UnixMillis(NOW.0 - 60_000)));
        assert!(!goes(UnixMillis(NOW.0 - 59_999)));
        // The clock was set back since.
        assert!(!goes(NOW.plus(1)));
    }
}
