//! Paths that two jobs changed while both were at work in one working tree.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use convoke_api::{
    changes::{Conflict, ConflictHunk, ConflictKind, Conflicts, ConflictsQuery},
    error::{ApiError, RequestCode},
};
use convoke_core::{
    dispatcher::Input,
    finding::{self, Finding},
    ids::JobId,
    job::Job,
    lifecycle::JournalPoint,
    sandbox::Access,
};
use convoke_workspace::{
    attribution::Known,
    overlaps::{self, Overlap, OverlapKind, SpanBetween},
    private_repository::{Edge, KeptState, PrivateRepository},
    repository,
};
use sha2::{Digest as _, Sha256};

use crate::{
    api_errors,
    changes::{of_checkpoint, of_repository},
    checkpoints, forecast, spans,
    state::Daemon,
    strict, told, wait, workplaces,
};

/// Most conflicts that are told of a tree.
const MOST_CONFLICTS: usize = 200;

/// Most conflicts that are told of when a job ends.
const MOST_TOLD: usize = 50;

/// How long the end of a job waits for a look.
const LOOKS_FOR: Duration = Duration::from_secs(5);

/// Most jobs of a tree that are compared when none are named, the latest ones.
const MOST_JOBS: usize = 50;

/// The conflicts of some jobs, or of a working tree.
///
/// # Errors
/// A job is not known, or the states cannot be read.
pub async fn of(daemon: &Arc<Daemon>, query: ConflictsQuery) -> Result<Conflicts, ApiError> {
    let mut conflicts = Vec::new();
    for (tree, jobs) in trees(daemon, &query)? {
        let _turn = checkpoints::turn(Path::new(&tree)).await;
        let daemon = Arc::clone(daemon);
        let found = tokio::task::spawn_blocking(move || {
            let tree = Path::new(&tree);
            let mut found = of_tree(&daemon, tree, jobs.as_ref(), MOST_CONFLICTS)?;
            found.extend(coming(&daemon, tree, jobs.as_ref())?);
            Ok::<_, ApiError>(found)
        });
        let found = found
            .await
            .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?;
        conflicts.extend(found?);
    }
    Ok(Conflicts { conflicts })
}

/// Looks whether a writer that ends collided with others, and lets the dispatcher
/// know: each job that is live has it on record then, and fewer writers may be at
/// once in a tree where that happens. Waits for that as long as is reasonable; it
/// goes on by itself after that. `point` is the end of the job's journal.
pub async fn look(daemon: &Arc<Daemon>, job: &Job, point: JournalPoint) {
    if job.spec.access != Access::Write || !checkpoints::are_kept(job) {
        return;
    }
    let trees = checkpoints::folder(daemon);
    if PrivateRepository::was_alone(&trees, &job.spec.tree, job.id.as_str()) {
        return tell(daemon, job, point, &[]);
    }
    let looking = daemon.tasks.spawn({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        async move {
            match collisions(&daemon, &job).await {
                Ok(Some(found)) => tell(&daemon, &job, point, &found),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(job = %job.id, %error.message, "it is not known whether the job collided with another");
                }
            }
        }
    });
    let deadline = tokio::time::Instant::now() + LOOKS_FOR;
    // A look that panicked has told nothing; there is nothing to wait for.
    let _ = tokio::time::timeout_at(deadline, looking).await;
}

/// Collisions of a job with those that ended before it or go on; none if nothing
/// is kept of it.
///
/// # Errors
/// The states cannot be read.
pub async fn collisions(
    daemon: &Arc<Daemon>,
    job: &Job,
) -> Result<Option<Vec<Conflict>>, ApiError> {
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let looking = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || {
            let tree = &job.spec.tree;
            if let Some(owner) = job.spec.workspace.own() {
                let own = BTreeSet::from([owner.to_string()]);
                return coming(&daemon, tree, Some(&own)).map(Some);
            }
            if !PrivateRepository::exists(&checkpoints::folder(&daemon), tree) {
                return Ok(None);
            }
            let met = {
                let repository = checkpoints::open(&daemon, tree);
                let repository = repository.map_err(|error| of_repository(&error))?;
                repository.has_met_others(job.id.as_str())
            };
            match met.map_err(|error| of_repository(&error))? {
                None => Ok(None),
                Some(false) => Ok(Some(Vec::new())),
                Some(true) => {
                    let own = BTreeSet::from([job.id.to_string()]);
                    of_tree(&daemon, tree, Some(&own), MOST_TOLD).map(Some)
                }
            }
        }
    });
    let found = looking.await;
    found.map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?
}

fn tell(daemon: &Daemon, job: &Job, point: JournalPoint, found: &[Conflict]) {
    let mut told: BTreeMap<JobId, Vec<Finding>> = BTreeMap::new();
    let found: Vec<&Conflict> = found
        .iter()
        .filter(|conflict| is_certain(conflict))
        .collect();
    for conflict in found.iter().filter(|conflict| !conflict.resolved) {
        let jobs: Vec<JobId> = conflict
            .job_ids
            .iter()
            .filter_map(|id| JobId::parse(id))
            .collect();
        let finding = Finding::Conflict(finding::Conflict {
            id: conflict.id.clone(),
            kind: conflict.kind.as_str().to_owned(),
            path: conflict.path.clone(),
            jobs: jobs.clone(),
        });
        for id in jobs {
            // Who goes on in a working tree of another's is who is told.
            let id = match job.spec.workspace.own() == Some(&id) {
                true => job.id.clone(),
                false => id,
            };
            told.entry(id).or_default().push(finding.clone());
        }
    }
    for (id, findings) in told {
        let after = match daemon.live.get(&id) {
            _ if id == job.id => Some(point),
            Some(live) if daemon.dispatcher().job(&id).is_some() => live.output().point,
            _ => continue,
        };
        daemon.submit(Input::Found {
            job: id,
            findings,
            after,
        });
    }
    if !job.spec.workspace.is_shared() {
        return;
    }
    daemon.submit(Input::WriterEnded {
        tree: job.spec.tree.clone(),
        overlapped: found.iter().any(|conflict| !conflict.resolved),
    });
}

/// Whether jobs certainly collided. What may be one is shown to whoever asks, and
/// troubles nobody else.
fn is_certain(conflict: &Conflict) -> bool {
    conflict.kind != ConflictKind::Possible
}

/// The trees to look at, and of which jobs; of all where none are named.
type Trees = BTreeMap<String, Option<BTreeSet<String>>>;

fn trees(daemon: &Daemon, query: &ConflictsQuery) -> Result<Trees, ApiError> {
    let mut trees = Trees::new();
    let names = query.jobs.iter().flat_map(|jobs| jobs.split(','));
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        let job = job(daemon, name)?;
        let tree = job.spec.tree.display().to_string();
        let jobs = trees.entry(tree).or_insert_with(|| Some(BTreeSet::new()));
        // Those that go on in one working tree count as the one it was made for.
        let id = job.spec.workspace.own().unwrap_or(&job.id);
        jobs.get_or_insert_default().insert(id.to_string());
    }
    if trees.is_empty() {
        let folder = query.folder.as_deref().ok_or_else(|| {
            ApiError::invalid(
                "`jobs` or `folder` is needed: of which jobs, or of which working tree",
            )
        })?;
        let folder = fs_err::canonicalize(folder)
            .map_err(|error| ApiError::invalid(format!("`folder` cannot be used: {error}")))?;
        let top = repository::top_level(&folder).unwrap_or(folder);
        trees.insert(top.display().to_string(), None);
    }
    Ok(trees)
}

fn job(daemon: &Daemon, name: &str) -> Result<Job, ApiError> {
    let unknown = || api_errors::unknown_job(daemon, name);
    let id = wait::resolve(daemon, name)?.ok_or_else(unknown)?;
    let job = daemon
        .job(&id)
        .map_err(|error| api_errors::of_store(&error))?;
    job.ok_or_else(unknown)
}

/// When a job wrote: the places of its first and its last state.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    from: usize,
    /// None while it writes.
    to: Option<usize>,
    /// Whether what it did was taken back so that it runs again.
    is_undone: bool,
    /// Of two jobs, where the second one began: what was taken back of one of them
    /// since was part of what they did.
    met: usize,
}

fn of_tree(
    daemon: &Daemon,
    tree: &Path,
    chosen: Option<&BTreeSet<String>>,
    most: usize,
) -> Result<Vec<Conflict>, ApiError> {
    if !PrivateRepository::exists(&checkpoints::folder(daemon), tree) {
        return Ok(Vec::new());
    }
    let repository = checkpoints::open(daemon, tree).map_err(|error| of_repository(&error))?;
    let states = repository.states().map_err(|error| of_repository(&error))?;
    let lifetimes = lifetimes(&states, &strict::undone(daemon, &states));
    let latest: Vec<&String> = lifetimes.iter().rev().map(|(job, _)| job).collect();
    let is_chosen = |job: &String| match chosen {
        Some(chosen) => chosen.contains(job),
        None => latest.iter().take(MOST_JOBS).any(|one| *one == job),
    };
    let mut pairs = Vec::new();
    for (at, (second, later)) in lifetimes.iter().enumerate().rev() {
        for (first, earlier) in lifetimes[..at].iter().rev() {
            let met = earlier.to.is_none_or(|end| end > later.from) && first != second;
            if met && (is_chosen(first) || is_chosen(second)) {
                let to = earlier.to.zip(later.to).map(|(one, other)| one.max(other));
                let from = earlier.from;
                let is_undone = earlier.is_undone || later.is_undone;
                let both = Lifetime {
                    from,
                    to,
                    is_undone,
                    met: later.from,
                };
                pairs.push(([first, second], both));
            }
        }
    }
    let mut window = Window::of(daemon, &repository, &states, &pairs)?;
    let mut conflicts = Vec::new();
    for (pair, both) in pairs {
        if conflicts.len() >= most {
            break;
        }
        let overlaps = window.overlaps(pair, both, most - conflicts.len())?;
        if overlaps.is_empty() {
            continue;
        }
        let resolved = both.is_undone || taken_back(&states[both.met..], pair);
        let shown = |overlap| conflict(overlap, pair, resolved);
        conflicts.extend(overlaps.into_iter().map(shown));
    }
    Ok(conflicts)
}

/// Conflicts to come of jobs with working trees of their own.
fn coming(
    daemon: &Daemon,
    tree: &Path,
    chosen: Option<&BTreeSet<String>>,
) -> Result<Vec<Conflict>, ApiError> {
    if workplaces::made_from(daemon, tree).is_empty() {
        return Ok(Vec::new());
    }
    let repository = checkpoints::open(daemon, tree).map_err(|error| of_repository(&error))?;
    let mut found = forecast::of_tree(daemon, &repository, tree, chosen)?;
    found.truncate(MOST_CONFLICTS);
    Ok(found)
}

/// Jobs and when they wrote, in the order in which they began; apart from that when
/// they did what was taken back since.
fn lifetimes(states: &[KeptState], undone: &HashMap<String, u32>) -> Vec<(String, Lifetime)> {
    let mut lifetimes: Vec<(String, Lifetime)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, state) in states.iter().enumerate() {
        // Rollbacks are no jobs.
        if JobId::parse(&state.writer).is_none() {
            continue;
        }
        let to = (state.edge != Edge::Before).then_some(at);
        let last = undone.get(&state.writer).copied().unwrap_or(0);
        let is_undone = state.nth().is_some_and(|nth| nth <= last);
        let place = places.get(state.writer.as_str()).copied();
        // A loss belongs to what it ended.
        let is_of =
            |place: &usize| state.nth().is_none() || lifetimes[*place].1.is_undone == is_undone;
        if let Some(place) = place.filter(is_of) {
            lifetimes[place].1.to = to;
        } else {
            places.insert(&state.writer, lifetimes.len());
            let lifetime = Lifetime {
                from: at,
                to,
                is_undone,
                met: at,
            };
            lifetimes.push((state.writer.clone(), lifetime));
        }
    }
    lifetimes
}

/// What changed while any of some pairs of jobs wrote.
struct Window<'a> {
    daemon: &'a Daemon,
    repository: &'a PrivateRepository,
    /// In the order of their places.
    spans: Vec<SpanBetween>,
    /// What else is known of jobs, as far as it was needed.
    known: Known,
    /// Jobs that were looked at.
    asked: BTreeSet<String>,
}

impl<'a> Window<'a> {
    fn of(
        daemon: &'a Daemon,
        repository: &'a PrivateRepository,
        states: &[KeptState],
        pairs: &[([&String; 2], Lifetime)],
    ) -> Result<Self, ApiError> {
        let from = pairs.iter().map(|(_, both)| both.from).min();
        let from = from.unwrap_or(states.len());
        let to = pairs
            .iter()
            .try_fold(from, |last, (_, both)| both.to.map(|to| last.max(to)));
        let (states, before) = match to {
            Some(to) => (&states[from..states.len().min(to + 1)], &states[..from]),
            None => (&states[from..], &states[..from]),
        };
        let end = match (to, states.last()) {
            (None, _) => {
                Some(checkpoints::take(daemon, repository).map_err(|error| of_checkpoint(&error))?)
            }
            (Some(_), last) => last.map(|last| last.checkpoint.clone()),
        };
        let spans = match end {
            Some(end) => {
                let writing = spans::writing_at(before);
                spans::between(repository, (from, states), &writing, &end)
                    .map_err(|error| of_repository(&error))?
            }
            None => Vec::new(),
        };
        Ok(Self {
            daemon,
            repository,
            spans,
            known: Known {
                top: repository.top().to_owned(),
                ..Known::default()
            },
            asked: BTreeSet::new(),
        })
    }

    /// What both changed from the beginning of the first to the end of the last.
    fn overlaps(
        &mut self,
        pair: [&String; 2],
        both: Lifetime,
        most: usize,
    ) -> Result<Vec<Overlap>, ApiError> {
        let place = |at| self.spans.partition_point(|span| span.at < at);
        let to = both.to.map_or(self.spans.len(), place);
        let spans = &self.spans[place(both.from)..to];
        let writers = spans.iter().flat_map(|one| &one.span.writers);
        for writer in writers {
            if self.asked.insert(writer.clone()) {
                told::note(self.daemon, writer, &mut self.known);
            }
        }
        let pair = pair.map(String::as_str);
        overlaps::between(self.repository, pair, spans, &self.known, most)
            .map_err(|error| of_repository(&error))
    }
}

/// The name of a conflict: the same for the same jobs and path.
#[must_use]
pub fn name_of(jobs: &[String], path: &str) -> String {
    let hash = Sha256::digest(format!("{}\0{path}", jobs.join("\0")));
    let id: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("c{id}")
}

/// Whether the changes of one of them were taken back since.
fn taken_back(states: &[KeptState], pair: [&String; 2]) -> bool {
    states.iter().any(|state| {
        let of = state.writer.split_once(".rollback-");
        of.is_some_and(|(job, _)| pair.iter().any(|one| *one == job))
    })
}

fn conflict(overlap: Overlap, pair: [&String; 2], resolved: bool) -> Conflict {
    let [first, second] = pair;
    let hunks = pair
        .into_iter()
        .zip(overlap.hunks)
        .flat_map(|(job, hunks)| {
            hunks.into_iter().map(|hunk| ConflictHunk {
                job_id: job.clone(),
                start: hunk.start,
                lines: hunk.lines,
            })
        });
    Conflict {
        id: name_of(&[first.clone(), second.clone()], &overlap.path),
        kind: match overlap.kind {
            OverlapKind::Overwrote(_) => ConflictKind::StaleOverwrite,
            OverlapKind::Both => ConflictKind::Overlap,
            OverlapKind::Possible => ConflictKind::Possible,
        },
        job_ids: match overlap.kind {
            OverlapKind::Overwrote(0) => vec![second.clone(), first.clone()],
            _ => vec![first.clone(), second.clone()],
        },
        hunks: hunks.collect(),
        path: overlap.path,
        resolved,
    }
}
