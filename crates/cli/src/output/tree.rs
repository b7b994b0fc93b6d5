//! Jobs as a tree: below the job that started them, else below the first job
//! they need.

use std::collections::{HashMap, HashSet};

use convoke_api::job::JobView;

/// The jobs in the order of the tree, each with the lines that lead to it.
/// Roots and siblings keep their order.
pub fn arrange(jobs: &[JobView]) -> Vec<(String, &JobView)> {
    let known: HashMap<&str, usize> = jobs
        .iter()
        .enumerate()
        .map(|(index, job)| (job.job_id.as_str(), index))
        .collect();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut roots = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        match parent(job, &known) {
            Some(parent) if parent != index => children.entry(parent).or_default().push(index),
            _ => roots.push(index),
        }
    }
    let mut walk = Walk {
        jobs,
        children,
        seen: HashSet::new(),
        rows: Vec::new(),
    };
    for root in roots {
        walk.visit(root, "", "");
    }
    // A ring cannot come from the daemon; if one does, its jobs are shown too.
    for index in 0..jobs.len() {
        walk.visit(index, "", "");
    }
    walk.rows
}

fn parent(job: &JobView, known: &HashMap<&str, usize>) -> Option<usize> {
    let candidates = job.parent_job_id.iter().chain(&job.needs);
    candidates
        .filter_map(|id| known.get(id.as_str()))
        .next()
        .copied()
}

struct Walk<'a> {
    jobs: &'a [JobView],
    children: HashMap<usize, Vec<usize>>,
    seen: HashSet<usize>,
    rows: Vec<(String, &'a JobView)>,
}

impl Walk<'_> {
    /// Adds a job with its branch, and its children below `trunk`.
    fn visit(&mut self, index: usize, branch: &str, trunk: &str) {
        if !self.seen.insert(index) {
            return;
        }
        self.rows.push((branch.to_owned(), &self.jobs[index]));
        let children = self.children.remove(&index).unwrap_or_default();
        let count = children.len();
        for (position, child) in children.into_iter().enumerate() {
            let (branch, below) = if position + 1 == count {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            self.visit(
                child,
                &format!("{trunk}{branch}"),
                &format!("{trunk}{below}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::job::sample;

    fn job(id: &str, parent: Option<&str>, needs: &[&str]) -> JobView {
        JobView {
            job_id: id.to_owned(),
            parent_job_id: parent.map(str::to_owned),
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            ..sample()
        }
    }

    fn shown(jobs: &[JobView]) -> String {
        let rows = arrange(jobs).into_iter();
        rows.map(|(branch, job)| format!("{branch}{}\n", job.job_id))
            .collect()
    }

    #[test]
    fn parents_and_needs() {
        let jobs = [
            job("f", None, &["elsewhere"]),
            job("e", Some("d"), &[]),
            job("d", Some("a"), &[]),
            job("c", None, &["b", "a"]),
            job("b", Some("a"), &["f"]),
            job("a", None, &[]),
        ];
        insta::assert_snapshot!(shown(&jobs), @r"
        f
        a
        ├─ d
        │  └─ e
        └─ b
           └─ c
        ");
    }

    #[test]
    fn rings_end() {
        let jobs = [
            job("a", Some("b"), &[]),
            job("b", Some("a"), &[]),
            job("c", Some("c"), &[]),
        ];
        assert_eq!(arrange(&jobs).len(), 3);
    }
}
