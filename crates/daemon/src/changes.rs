//! What a job changed in its working tree: from the states that are kept around
//! it and around those that wrote beside it, and from what agents told.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use convoke_agents::claims;
use convoke_api::{
    changes::{
        Attribution, ChangeKind, ChangesQuery, Evidence, Gap, JobChanges, PathChange, SkippedPath,
    },
    error::{ApiError, RequestCode},
};
use convoke_core::{ids::JobId, job::Job, time::UnixMillis};
use convoke_workspace::{
    attribution::{self, Attributed, Known, Span},
    checkpoint::{Checkpoint, CheckpointError, Skipped},
    journal::{self, Record},
    private_repository::{Edge, KeptState, PrivateRepository, PrivateRepositoryError},
    tree_diff,
};

use crate::{
    apart, checkpoints, error_chain, results, spans,
    state::Daemon,
    strict,
    told::{self, Told, relative},
    views, wait, workplaces,
};

/// How long an answer waits for the state after a job that has just ended.
const SETTLES_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// What a job changed.
///
/// # Errors
/// There is no such job, or no state before it is kept.
pub async fn of_job(
    daemon: &Arc<Daemon>,
    id: &JobId,
    query: ChangesQuery,
) -> Result<JobChanges, ApiError> {
    let job = wait::settled(daemon, id, SETTLES_WITHIN).await?;
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let daemon = Arc::clone(daemon);
    let built = tokio::task::spawn_blocking(move || build(&daemon, &job, &query));
    built
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?
}

fn build(daemon: &Daemon, job: &Job, query: &ChangesQuery) -> Result<JobChanges, ApiError> {
    let claimed = job
        .end()
        .and_then(|end| end.final_message.as_deref())
        .and_then(claims::modified_files);
    if !checkpoints::are_kept(job) {
        return Ok(JobChanges {
            complete: job.is_over(),
            note: Some("its sandbox is read-only: it could change nothing".to_owned()),
            not_seen: claimed.clone().unwrap_or_default(),
            claimed,
            ..nothing(job)
        });
    }
    let repository = checkpoints::open(daemon, &job.spec.tree).map_err(|e| of_repository(&e))?;
    let seen = Seen::of(daemon, &repository, job)?;
    let found = seen.attributed(&repository, job.id.as_str())?;
    let between = |error: PrivateRepositoryError| of_repository(&error);
    let (from, to) = (&seen.before.checkpoint, &seen.end);
    let all = tree_diff::between(&repository, &from.tree, &to.tree, true).map_err(between)?;
    let mut changes = Vec::new();
    let mut outside = Vec::new();
    for change in all {
        let old = change.old_path.as_deref().and_then(|path| found.get(path));
        match found.get(&change.path).or(old) {
            Some(attributed) => {
                if attributed.is_outside {
                    outside.push(change.path.clone());
                }
                changes.push(view(change, attributed));
            }
            None => outside.push(change.path),
        }
    }
    let paths: Vec<String> = changes
        .iter()
        .flat_map(|change| [Some(&change.path), change.old_path.as_ref()])
        .flatten()
        .cloned()
        .collect();
    let patch =
        tree_diff::patch(&repository, &from.tree, &to.tree, Some(&paths)).map_err(between)?;
    let record = Record::read(&repository).map_err(between)?;
    let spans = seen.spans();
    let mut gaps = record.gaps(spans);
    let is_watched = job.spec.workspace.is_shared() && daemon.last_config().version_stands_ms > 0;
    if is_watched && record.is_missing(spans) {
        gaps.push(unwatched(spans));
    }
    let base_moved = apart::base_moved(daemon, &repository, job, (from, &paths))?;
    drop(repository);
    let (diff, artifact) = cut_diff(daemon, job, &patch, query.diff_limit)?;
    let skipped = skipped_between(&from.skipped, &to.skipped);
    let told = seen
        .known
        .reported
        .get(job.id.as_str())
        .cloned()
        .unwrap_or_default();
    let top = &seen.known.top;
    let claims = claimed_paths(claimed.as_deref(), top);
    Ok(JobChanges {
        complete: seen.is_settled && skipped.is_empty(),
        note: note(daemon, job, &seen),
        unreported: paths
            .iter()
            .filter(|path| !told.contains_key(*path) && !claims.contains(*path))
            .cloned()
            .collect(),
        not_seen: not_seen(claimed.as_deref(), top, &paths),
        changes,
        outside,
        base_moved,
        skipped,
        claimed,
        gaps: gaps.into_iter().map(gap).collect(),
        diff,
        truncated: artifact.is_some(),
        artifact,
        ..nothing(job)
    })
}

fn nothing(job: &Job) -> JobChanges {
    JobChanges {
        job_id: job.id.to_string(),
        workspace: views::workspace(job),
        top: job.spec.tree.display().to_string(),
        complete: false,
        note: None,
        changes: Vec::new(),
        outside: Vec::new(),
        base_moved: Vec::new(),
        skipped: Vec::new(),
        claimed: None,
        unreported: Vec::new(),
        not_seen: Vec::new(),
        gaps: Vec::new(),
        diff: String::new(),
        truncated: false,
        artifact: None,
    }
}

fn note(daemon: &Daemon, job: &Job, seen: &Seen) -> Option<String> {
    if !job.is_over() {
        return Some("the job is not over: these are its changes so far".to_owned());
    }
    (!seen.is_settled).then(|| match checkpoints::failure(daemon, &job.id) {
        Some(why) => {
            format!("the state after the job is not known ({why}): the present one is shown")
        }
        None => "the state after the job is not known yet: the present one is shown".to_owned(),
    })
}

/// What is known of a job's tree, from before it to after it.
pub struct Seen {
    /// The state before.
    pub before: KeptState,
    /// The state after; the present one while there is none.
    pub end: Checkpoint,
    /// Whether it is the one after.
    pub is_settled: bool,
    /// The states between the two and both of them, as far as they are kept.
    states: Vec<KeptState>,
    /// Who wrote already when the first of them was taken.
    writing: BTreeSet<String>,
    /// What else is known of those who wrote.
    pub known: Known,
}

impl Seen {
    /// Reads it. Blocking.
    ///
    /// # Errors
    /// No state before the job is kept, or the states cannot be read.
    pub fn of(
        daemon: &Daemon,
        repository: &PrivateRepository,
        job: &Job,
    ) -> Result<Self, ApiError> {
        if let Some(owner) = job.spec.workspace.own() {
            return Self::of_own_tree(daemon, repository, job, owner);
        }
        let states = repository.states().map_err(|error| of_repository(&error))?;
        let is_own =
            |state: &KeptState, edge| state.writer == job.id.as_str() && state.edge == edge;
        let first = strict::began(&states, job);
        let first = first.ok_or_else(|| not_kept(daemon, job))?;
        let is_open = repository.is_open(job.id.as_str());
        let last = match is_open.map_err(|error| of_repository(&error))? {
            true => None,
            false => states.iter().rposition(|state| is_own(state, Edge::After)),
        };
        // What came after a loss is not told by a state of an earlier attempt.
        let lost = states.iter().rposition(|state| is_own(state, Edge::Lost));
        let last = last.filter(|last| lost.is_none_or(|lost| lost < *last) && first <= *last);
        let writing = spans::writing_at(&states[..first]);
        let end = match last {
            Some(last) => states[last].checkpoint.clone(),
            None => checkpoints::take(daemon, repository).map_err(|e| of_checkpoint(&e))?,
        };
        let within = states[first..last.map_or(states.len(), |last| last + 1)].to_vec();
        let mut seen = Self {
            before: states[first].clone(),
            end,
            is_settled: last.is_some() && job.is_over(),
            states: within,
            writing,
            known: Known {
                top: repository.top().to_owned(),
                ..Known::default()
            },
        };
        for writer in seen.writers() {
            told::note(daemon, &writer, &mut seen.known);
        }
        Ok(seen)
    }

    /// The same of a job with a working tree of its own, in which nobody else wrote.
    fn of_own_tree(
        daemon: &Daemon,
        repository: &PrivateRepository,
        job: &Job,
        owner: &JobId,
    ) -> Result<Self, ApiError> {
        let states = repository
            .states_of_own_tree(owner.as_str())
            .map_err(|error| of_repository(&error))?;
        let base = states.first().ok_or_else(|| not_kept(daemon, job))?;
        let result = states.last().filter(|state| state.edge == Edge::Result);
        let result = result.filter(|_| job.is_over());
        let top = workplaces::of(daemon, job).top;
        let end = match (result, workplaces::existing(daemon, job)) {
            (Some(result), _) => result.checkpoint.clone(),
            (None, None) => {
                let message = format!(
                    "the working tree of job {} is gone, and no result of it is kept",
                    job.id
                );
                return Err(ApiError::new(RequestCode::CheckpointMissing, message)
                    .with_hint("start the job again"));
            }
            (None, Some(apart)) => {
                let state = apart.state(daemon, repository, owner, &base.checkpoint);
                state.map_err(|error| of_checkpoint(&error))?
            }
        };
        let before = KeptState {
            writer: job.id.to_string(),
            edge: Edge::Before,
            ..base.clone()
        };
        let told = Told::read(&daemon.home.job_events(&job.id), &top).changed;
        Ok(Self {
            states: vec![before.clone()],
            before,
            end,
            is_settled: result.is_some(),
            writing: BTreeSet::new(),
            known: Known {
                reported: BTreeMap::from([(job.id.to_string(), told)]),
                top,
                ..Known::default()
            },
        })
    }

    /// The states from which on something may have changed.
    fn spans(&self) -> &[KeptState] {
        match self.is_settled {
            true => self.states.split_last().map_or(&[], |(_, before)| before),
            false => &self.states,
        }
    }

    fn writers(&self) -> BTreeSet<String> {
        let began = self.states.iter().map(|state| state.writer.clone());
        began.chain(self.writing.iter().cloned()).collect()
    }

    /// Whose the changes are, seen from one writer, by path.
    ///
    /// # Errors
    /// States cannot be compared.
    pub fn attributed(
        &self,
        repository: &PrivateRepository,
        writer: &str,
    ) -> Result<BTreeMap<String, Attributed>, ApiError> {
        let spans = spans::between(repository, (0, &self.states), &self.writing, &self.end)
            .map_err(|error| of_repository(&error))?;
        let spans: Vec<Span> = spans.into_iter().map(|between| between.span).collect();
        Ok(attribution::of_job(writer, &spans, &self.known))
    }
}

fn claimed_paths(claimed: Option<&[String]>, top: &Path) -> BTreeSet<String> {
    let paths = claimed.unwrap_or_default();
    paths
        .iter()
        .filter_map(|path| relative(path, top))
        .collect()
}

fn not_seen(claimed: Option<&[String]>, top: &Path, seen: &[String]) -> Vec<String> {
    let paths = claimed.unwrap_or_default().iter();
    paths
        .filter(|path| relative(path, top).is_none_or(|path| !seen.contains(&path)))
        .cloned()
        .collect()
}

fn view(change: tree_diff::Change, attributed: &Attributed) -> PathChange {
    PathChange {
        path: change.path,
        old_path: change.old_path,
        kind: match change.kind {
            tree_diff::ChangeKind::Add => ChangeKind::Add,
            tree_diff::ChangeKind::Modify => ChangeKind::Modify,
            tree_diff::ChangeKind::Delete => ChangeKind::Delete,
            tree_diff::ChangeKind::Rename => ChangeKind::Rename,
            tree_diff::ChangeKind::Mode => ChangeKind::Mode,
        },
        attribution: match attributed.is_certain() {
            true => Attribution::Job,
            false => Attribution::Ambiguous,
        },
        with: attributed.with.iter().cloned().collect(),
        evidence: attributed
            .evidence
            .iter()
            .map(|evidence| match evidence {
                attribution::Evidence::Reported => Evidence::Reported,
                attribution::Evidence::OnlyWriter => Evidence::OnlyWriter,
                attribution::Evidence::InScope => Evidence::InScope,
                attribution::Evidence::AtWork => Evidence::AtWork,
            })
            .collect(),
    }
}

/// The time of some states, in all or part of which nobody watched.
fn unwatched(states: &[KeptState]) -> journal::Gap {
    let time = |state: Option<&KeptState>| state.map_or(0, |state| state.at);
    journal::Gap {
        from: time(states.first()),
        to: time(states.last()),
        reason: "not all of it was watched".to_owned(),
    }
}

/// A gap as sent.
#[must_use]
pub fn gap(gap: journal::Gap) -> Gap {
    let time = |ms: u64| UnixMillis(ms).to_rfc3339();
    Gap {
        from: time(gap.from),
        to: time(gap.to),
        reason: gap.reason,
    }
}

/// Paths whose content is not kept and that are not as they were.
fn skipped_between(before: &[Skipped], after: &[Skipped]) -> Vec<SkippedPath> {
    let changed = after.iter().filter(|one| !before.contains(one));
    changed
        .map(|one| SkippedPath {
            path: one.path.clone(),
            reason: one.reason.as_str().to_owned(),
        })
        .collect()
}

/// A patch that is longer than asked for is cut at a line, and kept whole in a
/// file.
fn cut_diff(
    daemon: &Daemon,
    job: &Job,
    patch: &[u8],
    limit: Option<u64>,
) -> Result<(String, Option<String>), ApiError> {
    let text = String::from_utf8_lossy(patch);
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    if text.len() <= limit {
        return Ok((text.into_owned(), None));
    }
    let path = daemon.home.job_artifacts(&job.id).join("changes.diff");
    results::keep(&path, patch)?;
    let cut = results::cut(&text, limit);
    let end = cut.rfind('\n').map_or(cut.len(), |at| at + 1);
    Ok((cut[..end].to_owned(), Some(path.display().to_string())))
}

fn not_kept(daemon: &Daemon, job: &Job) -> ApiError {
    let why = match checkpoints::failure(daemon, &job.id) {
        Some(why) => why,
        None if job.attempts == 0 => "it has not started".to_owned(),
        None => {
            "it ran with `workspace.checkpoints = false`, or before states were kept".to_owned()
        }
    };
    ApiError::new(
        RequestCode::CheckpointMissing,
        format!(
            "no state of {} before job {} is kept: {why}",
            job.spec.tree.display(),
            job.id
        ),
    )
    .with_hint("`convoke result` shows which files changed while the job ran, by whomever")
}

/// The private repository cannot be used.
#[must_use]
pub fn of_repository(error: &PrivateRepositoryError) -> ApiError {
    ApiError::new(RequestCode::StateUnavailable, error_chain(error))
        .with_hint("look at the folder `trees` of the state home; git must be installed")
}

/// The state of the tree cannot be taken.
#[must_use]
pub fn of_checkpoint(error: &CheckpointError) -> ApiError {
    match error {
        CheckpointError::Repository(error) => of_repository(error),
        CheckpointError::TooLarge { .. } => {
            ApiError::new(RequestCode::CheckpointMissing, error_chain(error))
        }
    }
}
