//! Takes back what strict jobs did that are to run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use convoke_api::error::{ApiError, RequestCode};
use convoke_core::{
    coordination::{Left, TakenBack},
    dispatcher::Input,
    finding::Finding,
    ids::JobId,
    job::Job,
};
use convoke_workspace::{
    attribution::Known,
    checkpoint::{self, Checkpoint},
    private_repository::{Edge, KeptState, PrivateRepository},
    rollback::{self, Part, Report, Taken},
    tree_diff,
};

use super::plan::{Changed, Member, Plan, Record};
use crate::{
    changes::{of_checkpoint, of_repository},
    checkpoints, clock, rollback as rollbacks, spans,
    state::Daemon,
    told,
};

/// Stands for all paths, of a job of which it is not known what it did.
pub(super) const WHOLE_TREE: &str = ".";

/// Most paths of each kind that are kept on record.
const MOST_PATHS: usize = 200;

/// Takes back what all jobs did that wait to run again in the tree of this one, and
/// has it on record before it answers.
///
/// # Errors
/// It cannot be done; what was done so far is left alone the next time.
pub async fn take_back(daemon: &Arc<Daemon>, job: &Job) -> Result<(), ApiError> {
    let mut jobs = waiting(daemon, &job.spec.tree);
    jobs.extend(given_up(daemon, &jobs));
    let done = {
        let _turn = checkpoints::turn(&job.spec.tree).await;
        let undoing = tokio::task::spawn_blocking({
            let (daemon, tree) = (Arc::clone(daemon), job.spec.tree.clone());
            move || perform(&daemon, &tree, jobs)
        });
        undoing
            .await
            .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))??
    };
    crate::test_hooks::reach("taken_back");
    for (job, taken) in done {
        daemon.submit(Input::Found {
            job,
            findings: vec![Finding::TakenBack(taken)],
            after: None,
        });
    }
    // No agent starts on what is not on record as taken back.
    daemon.all_committed().await;
    crate::test_hooks::reach("taken_back_committed");
    Ok(())
}

/// Jobs whose changes are to be taken back, in the order in which they run again.
fn waiting(daemon: &Daemon, tree: &Path) -> Vec<Job> {
    let dispatcher = daemon.dispatcher();
    let jobs = dispatcher.jobs();
    let mut jobs: Vec<Job> = jobs
        .filter(|job| job.spec.is_strict() && job.spec.tree == *tree && job.to_undo().is_some())
        .cloned()
        .collect();
    jobs.sort_by_key(|job| job.accepted_seq);
    jobs
}

/// Jobs that collided with these and were ended while they waited to run again: what
/// they did was to be taken back, too.
fn given_up(daemon: &Daemon, jobs: &[Job]) -> Vec<Job> {
    let clashes = jobs.iter().filter_map(|job| job.to_undo()?.clash.as_ref());
    let others: BTreeSet<&JobId> = clashes.flat_map(|clash| &clash.with).collect();
    let others = others
        .into_iter()
        .filter_map(|id| daemon.job(id).ok().flatten());
    others
        .filter(|job| job.is_over() && job.to_undo().is_some())
        .collect()
}

fn perform(
    daemon: &Arc<Daemon>,
    tree: &Path,
    jobs: Vec<Job>,
) -> Result<Vec<(JobId, TakenBack)>, ApiError> {
    let repository = checkpoints::open(daemon, tree).map_err(|error| of_repository(&error))?;
    let states = repository.states().map_err(|error| of_repository(&error))?;
    let members: Vec<Member> = jobs.iter().filter_map(|job| member(&states, job)).collect();
    let now = checkpoints::take(daemon, &repository).map_err(|error| of_checkpoint(&error))?;
    let Some(first) = members.iter().map(|member| member.from).min() else {
        return Err(ApiError::new(
            RequestCode::CheckpointMissing,
            format!("no state of {} before the jobs is kept", tree.display()),
        ));
    };
    let record = record(daemon, &repository, &states, first, &now)?;
    let undo = Undo {
        daemon,
        repository: &repository,
        record,
        before: &states[first].checkpoint,
        now,
    };
    undo.run(jobs, members)
}

/// The states around what is to be taken back of a job.
fn member(states: &[KeptState], job: &Job) -> Option<Member> {
    let last = job.to_undo()?.attempt;
    let attempts = job.undone_to() + 1..=last;
    let is_own = |state: &KeptState, edge| {
        let nth = state.nth().is_some_and(|nth| attempts.contains(&nth));
        state.writer == job.id.as_str() && state.edge == edge && nth
    };
    let from = states
        .iter()
        .position(|state| is_own(state, Edge::Before))?;
    let to = states
        .iter()
        .rposition(|state| is_own(state, Edge::After))?;
    Some(Member {
        job: job.id.to_string(),
        from,
        to,
    })
}

/// What happened since the first of the jobs began.
fn record(
    daemon: &Daemon,
    repository: &PrivateRepository,
    states: &[KeptState],
    first: usize,
    now: &Checkpoint,
) -> Result<Record, ApiError> {
    let writing = spans::writing_at(&states[..first]);
    let spans = spans::between(repository, (first, &states[first..]), &writing, now)
        .map_err(|error| of_repository(&error))?;
    let mut record = Record {
        known: Known {
            top: repository.top().to_owned(),
            ..Known::default()
        },
        spans,
    };
    let writers = record.spans.iter().flat_map(|span| &span.span.writers);
    for writer in writers.collect::<BTreeSet<_>>() {
        told::note(daemon, writer, &mut record.known);
    }
    Ok(record)
}

struct Undo<'a> {
    daemon: &'a Arc<Daemon>,
    repository: &'a PrivateRepository,
    record: Record,
    /// The tree before the first of the jobs.
    before: &'a Checkpoint,
    now: Checkpoint,
}

/// Jobs that cannot run again, and what of them cannot be told apart.
type Inseparable = BTreeMap<String, BTreeSet<String>>;

impl Undo<'_> {
    fn run(
        &self,
        jobs: Vec<Job>,
        mut members: Vec<Member>,
    ) -> Result<Vec<(JobId, TakenBack)>, ApiError> {
        let is_member = |job: &&Job| members.iter().any(|one| one.job == job.id.as_str());
        // What it did up to its end is not known.
        let unknown = jobs.iter().filter(|job| !is_member(job));
        let mut stuck: Inseparable = unknown
            .map(|job| (job.id.to_string(), BTreeSet::from([WHOLE_TREE.to_owned()])))
            .collect();
        let all = Plan::of(&self.record, &members);
        // A job that stays is one of the others for those that are left.
        let plan = loop {
            let plan = Plan::of(&self.record, &members);
            let mut found = plan.inseparable();
            if found.is_empty() {
                found = self.unmergeable(&plan)?;
            }
            if found.is_empty() {
                break plan;
            }
            members.retain(|member| !found.contains_key(&member.job));
            stuck.extend(found);
        };
        let mut parts = self.parts(&plan.changed)?;
        let copied = all.changed.into_iter().filter(|(path, changed)| {
            let inseparable = stuck.values().any(|paths| paths.contains(path));
            inseparable && changed.by.iter().any(|job| stuck.contains_key(job))
        });
        let copied: BTreeMap<String, Changed> = copied
            .filter(|(path, _)| !plan.changed.contains_key(path))
            .map(|(path, changed)| {
                (
                    path,
                    Changed {
                        is_mixed: true,
                        ..changed
                    },
                )
            })
            .collect();
        parts.extend(self.parts(&copied)?);
        let first = jobs
            .first()
            .map_or_else(String::new, |job| job.id.to_string());
        let suffix = format!("before-{first}");
        let (report, undo) = self.write(&jobs, &parts, &suffix)?;
        let again: Vec<JobId> = jobs
            .iter()
            .filter(|job| !job.is_over() && !stuck.contains_key(job.id.as_str()))
            .map(|job| job.id.clone())
            .collect();
        let told = jobs.iter().filter(|job| !job.is_over()).map(|job| {
            let taken = taken_of(job, &again, (&plan, &stuck), &report, &undo);
            (job.id.clone(), taken)
        });
        Ok(told.collect())
    }

    /// Jobs whose changes other jobs have built upon.
    fn unmergeable(&self, plan: &Plan) -> Result<Inseparable, ApiError> {
        let parts = self.parts(&plan.changed)?;
        let report = self.take_back(&parts, ("", true))?;
        let stays = report.kept_both.iter().map(|kept| &kept.path);
        let stays = stays.chain(report.skipped.iter().map(|left| &left.path));
        let mut found = Inseparable::new();
        for path in stays {
            let changed = &plan.changed[path];
            if changed.since.is_empty() {
                continue;
            }
            for job in &changed.by {
                found.entry(job.clone()).or_default().insert(path.clone());
            }
        }
        Ok(found)
    }

    /// What each path was, and is.
    fn parts(&self, changed: &BTreeMap<String, Changed>) -> Result<Vec<Part>, ApiError> {
        let paths: Vec<&str> = changed.keys().map(String::as_str).collect();
        let mut now = tree_diff::sides(self.repository, &self.now.tree, &paths)
            .map_err(|error| of_repository(&error))?;
        let parts = changed.iter().map(|(path, changed)| Part {
            path: path.clone(),
            before: changed.before.clone(),
            after: changed.after.clone(),
            now: now.remove(path),
            is_mixed: changed.is_mixed,
        });
        Ok(parts.collect())
    }

    fn take_back(&self, parts: &[Part], how: (&str, bool)) -> Result<Report, ApiError> {
        let states = Taken {
            before: self.before,
            after: &self.now,
            now: &self.now,
        };
        let taken = |path: &str| crate::test_hooks::reach_of("path_taken_back", path);
        rollback::take_back_parts(self.repository, states, parts, how, taken)
            .map_err(|error| of_repository(&error))
    }

    /// Writes it, with a state before and after under the name of each job; answers
    /// also the names of those before.
    fn write(
        &self,
        jobs: &[Job],
        parts: &[Part],
        suffix: &str,
    ) -> Result<(Report, BTreeMap<JobId, String>), ApiError> {
        let failed = |error| of_repository(&error);
        if !checkpoint::is_whole(self.repository, &self.before.tree).map_err(failed)? {
            return Err(ApiError::new(
                RequestCode::CheckpointMissing,
                "objects of the state before the jobs are missing in its repository",
            ));
        }
        let keep = |writer: &str, edge, state: &Checkpoint| {
            checkpoints::record(self.daemon, self.repository, || {
                let at = clock::now().0;
                let kept = self.repository.keep(writer, (edge, 1), at, state.clone());
                kept.map_err(failed)
            })
        };
        let mut writers = Vec::new();
        let mut undo = BTreeMap::new();
        for job in jobs {
            let writer = rollbacks::free_name(self.repository, job, "rollback")?;
            undo.insert(job.id.clone(), keep(&writer, Edge::Before, &self.now)?);
            writers.push(writer);
        }
        let report = self.take_back(parts, (suffix, false));
        let after = checkpoints::take(self.daemon, self.repository);
        let after = after.unwrap_or_else(|_| self.now.clone());
        for writer in writers {
            keep(&writer, Edge::After, &after)?;
        }
        Ok((report?, undo))
    }
}

/// What became of the changes of one job.
fn taken_of(
    job: &Job,
    again: &[JobId],
    (plan, stuck): (&Plan, &Inseparable),
    report: &Report,
    undo: &BTreeMap<JobId, String>,
) -> TakenBack {
    let id = job.id.as_str();
    let inseparable = stuck.get(id);
    let is_own = |path: &str| match inseparable {
        Some(paths) => paths.contains(path),
        None => {
            let changed = plan.changed.get(path);
            changed.is_some_and(|changed| changed.by.contains(id))
        }
    };
    let restored = report.restored.iter().filter(|path| is_own(path));
    let kept_both = report.kept_both.iter().filter(|kept| is_own(&kept.path));
    let skipped = report.skipped.iter().filter(|left| is_own(&left.path));
    let doubtful = plan.doubtful.iter().filter(|(_, by)| by.contains(id));
    let left = skipped.cloned().chain(doubtful.map(|(path, by)| {
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        Left {
            path: path.clone(),
            reason: format!(
                "it is not known whether {} or somebody else changed it",
                by.join(" or ")
            ),
        }
    }));
    let left: Vec<Left> = left.collect();
    // On what they collided over and could not be taken back it would go on wrongly.
    let clash = job.to_undo().and_then(|past| past.clash.as_ref());
    let contested = left
        .iter()
        .map(|left| &left.path)
        .filter(|path| clash.is_some_and(|clash| clash.paths.contains(path)));
    let contested: BTreeSet<String> = contested.cloned().collect();
    let inseparable = match inseparable {
        None if contested.is_empty() => None,
        None => Some(&contested),
        some => some,
    };
    TakenBack {
        attempt: job.to_undo().map_or(0, |past| past.attempt),
        jobs: match inseparable {
            Some(_) => vec![job.id.clone()],
            None => again.to_vec(),
        },
        restored: restored.take(MOST_PATHS).cloned().collect(),
        kept_both: kept_both.take(MOST_PATHS).cloned().collect(),
        left: left.into_iter().take(MOST_PATHS).collect(),
        inseparable: inseparable
            .into_iter()
            .flatten()
            .take(MOST_PATHS)
            .cloned()
            .collect(),
        checkpoint: undo.get(&job.id).cloned(),
    }
}
