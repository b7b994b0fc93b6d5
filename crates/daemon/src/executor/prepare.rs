//! Turns a job into the description of its runner.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use convoke_agents::{
    codex_exec::{
        command_line::{LaunchError, LaunchRequest, launch},
        prompt::{NeededResult, go_on, once_more, repair},
    },
    command,
    driver::{Interrupt, Launch},
};
use convoke_core::{
    failure::{Failure, FailureCode},
    ids::{JobId, RunnerId},
    job::Job,
    runner_protocol::{
        ContainmentPolicy, DEFAULT_JOURNAL_CAP, ExitRecord, FirstRung, Limits as RunnerLimits,
        MARK_JOB_ID, MARK_RUNNER_ID, OVERLAY_SPEC_VERSION, PROTOCOL_VERSION, RunnerSpec, StdinPlan,
        paths,
    },
    sandbox::Sandbox,
    spec::{AgentTask, AgentWork, Resume, Work},
};

use convoke_workspace::layer::{Layer, Standing};

use crate::{
    config::Config,
    discovery::{Environment, TurnSettings},
    error_chain, overlays, scope_folders,
    state::Daemon,
    workplaces::{self, Workplace},
};

/// Builds the description of the runner for one attempt.
///
/// # Errors
/// The failure with which the job ends: the agent is missing, the needed
/// results or the environment cannot be read.
pub async fn prepare(daemon: &Daemon, job: &Job, attempt: u32) -> Result<RunnerSpec, Failure> {
    if let Some(obstacle) = job.spec.run.as_ref().and_then(|run| run.obstacle.as_ref()) {
        return Err(Failure::new(FailureCode::Workspace, obstacle.clone()));
    }
    let config = daemon.last_config();
    let environment = daemon.home.read_env(&job.id).map_err(|error| {
        Failure::new(
            FailureCode::Internal,
            format!(
                "the environment of job {} cannot be read: {}",
                job.id,
                error_chain(&error)
            ),
        )
    })?;
    let place = workplaces::of(daemon, job);
    let layer = workplaces::layer(daemon, job);
    check_place(layer.as_ref(), "the working folder", &place.folder)?;
    scope_folders::make(daemon, job)
        .await
        .map_err(|(folder, error)| {
            Failure::new(
                FailureCode::Workspace,
                format!(
                    "the folder {}, which the job is to write in, cannot be made: {error}",
                    folder.display()
                ),
            )
        })?;
    check_folders(job, &place, layer.as_ref())?;
    let secret_work = daemon.home.read_secret_work(&job.id).unwrap_or_default();
    let launch = match secret_work.as_ref().unwrap_or(&job.spec.work) {
        Work::Command { argv } => command::launch(argv),
        Work::Agent(work) => agent_launch(daemon, &config, job, work, &environment).await?,
    };
    let runner = RunnerId::of_attempt(&job.id, attempt);
    Ok(runner_spec(daemon, &config, job, attempt, &runner, launch))
}

/// Checks that the job's folders are still those that were accepted: a link
/// put in their place meanwhile would let the worker write where it points.
fn check_folders(job: &Job, place: &Workplace, layer: Option<&Layer>) -> Result<(), Failure> {
    for folder in job.spec.scope.iter().flat_map(|scope| &scope.write) {
        check_place(layer, "the folder of its scope", &place.place_of(folder))?;
    }
    if let Work::Agent(work) = &job.spec.work {
        for folder in &work.add_dirs {
            check_place(layer, "the added folder", &place.place_of(folder))?;
        }
    }
    Ok(())
}

/// The same for a folder that the agent may see with a layer on top of its tree.
fn check_place(layer: Option<&Layer>, what: &str, accepted: &Path) -> Result<(), Failure> {
    let Some(layer) = layer.filter(|layer| accepted.starts_with(&layer.tree)) else {
        return check_folder(what, accepted);
    };
    check_folder("the working tree", &layer.tree)?;
    let shown = accepted.display();
    let failure = match layer.standing(accepted) {
        Ok(Standing::Folder) => return Ok(()),
        Ok(Standing::Missing) => (FailureCode::Workspace, "is gone".to_owned()),
        Ok(Standing::Other) => (
            FailureCode::Policy,
            "is no folder now, or leads elsewhere, which is not what was accepted".to_owned(),
        ),
        Err(error) => (FailureCode::Workspace, format!("cannot be used: {error}")),
    };
    Err(Failure::new(
        failure.0,
        format!("{what} {shown} {}", failure.1),
    ))
}

/// `accepted` was canonical when the job was accepted.
fn check_folder(what: &str, accepted: &Path) -> Result<(), Failure> {
    let shown = accepted.display();
    match fs_err::canonicalize(accepted) {
        Ok(now) if now != accepted => Err(Failure::new(
            FailureCode::Policy,
            format!(
                "{what} {shown} leads to {} now, which is not what was accepted",
                now.display()
            ),
        )),
        Ok(now) if now.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(
            FailureCode::Workspace,
            format!("{what} {shown} is no folder any more"),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::new(
            FailureCode::Workspace,
            format!("{what} {shown} is gone"),
        )),
        Err(error) => Err(Failure::new(
            FailureCode::Workspace,
            format!("{what} {shown} cannot be used: {error}"),
        )),
    }
}

fn runner_spec(
    daemon: &Daemon,
    config: &Config,
    job: &Job,
    attempt: u32,
    runner: &RunnerId,
    launch: Launch,
) -> RunnerSpec {
    let marks = [
        (MARK_JOB_ID, job.id.as_str()),
        (MARK_RUNNER_ID, runner.as_str()),
    ];
    let overlay = workplaces::layer(daemon, job).map(|layer| {
        let work = workplaces::work_folder(&layer);
        overlays::planned(layer, work)
    });
    let full_access =
        job.spec.sandbox == Sandbox::DangerFullAccess && matches!(job.spec.work, Work::Agent(_));
    RunnerSpec {
        version: match overlay {
            Some(_) => OVERLAY_SPEC_VERSION,
            None => PROTOCOL_VERSION,
        },
        runner_id: runner.to_string(),
        job_id: job.id.to_string(),
        attempt,
        argv: launch.argv,
        cwd: workplaces::of(daemon, job).folder,
        env_file: daemon.home.job_env(&job.id),
        extra_env: marks
            .into_iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect::<BTreeMap<_, _>>(),
        stdin: StdinPlan {
            text: launch.stdin,
            keep_stdin_open: false,
        },
        socket: socket_of(daemon, runner),
        limits: limits(daemon, job, attempt),
        containment: if full_access {
            ContainmentPolicy::NoNamespaces
        } else {
            ContainmentPolicy::Best
        },
        grace_ms: config.grace_ms,
        orphan_ttl_ms: (config.orphan_ttl_ms > 0).then_some(config.orphan_ttl_ms),
        journal_cap_bytes: DEFAULT_JOURNAL_CAP,
        interrupt: match launch.interrupt {
            Interrupt::Int => FirstRung::Sigint,
            Interrupt::Term => FirstRung::Sigterm,
        },
        waiting: launch.waiting,
        // The runner starts while the state before is taken.
        hold: true,
        overlay,
    }
}

/// Where a runner listens: eight hexadecimal digits from its id, within the
/// folder of sockets.
fn socket_of(daemon: &Daemon, runner: &RunnerId) -> PathBuf {
    // FNV-1a; the name must only differ between the runners of one home, and
    // a runner refuses an address in use by binding.
    let hash = runner.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    daemon.sockets.join(format!("{hash:08x}"))
}

fn limits(daemon: &Daemon, job: &Job, attempt: u32) -> RunnerLimits {
    let limits = job.spec.limits;
    let set = |value: u64| (value > 0).then_some(value);
    let elapsed = (1..attempt)
        // What is undone took nothing of the time for what is done in its place.
        .filter(|earlier| !job.is_undone(*earlier))
        .map(|earlier| {
            daemon
                .home
                .runner_folder(&RunnerId::of_attempt(&job.id, earlier))
        })
        .filter_map(|folder| read_exit(&folder))
        .map(|exit| exit.active_ms)
        .sum();
    RunnerLimits {
        wall_ms: set(limits.wall_ms),
        idle_ms: set(limits.idle_ms),
        first_event_ms: set(limits.first_event_ms),
        output_bytes: set(limits.output_bytes),
        elapsed_ms: elapsed,
    }
}

/// The runner's record of its end, if it has written one.
#[must_use]
pub fn read_exit(folder: &Path) -> Option<ExitRecord> {
    let bytes = std::fs::read(folder.join(paths::EXIT)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

async fn agent_launch(
    daemon: &Daemon,
    config: &Config,
    job: &Job,
    work: &AgentWork,
    environment: &Environment,
) -> Result<Launch, Failure> {
    let folder = &job.spec.working_directory;
    let missing =
        |error: &dyn std::error::Error| Failure::new(FailureCode::AgentMissing, error_chain(error));
    let codex = daemon
        .discovery
        .codex(config.codex_binary.as_deref(), environment, folder)
        .await
        .map_err(|error| missing(&error))?;
    let turn = TurnSettings {
        profile: work.profile.as_deref(),
        overrides: &work.config_overrides,
    };
    let registrations = daemon
        .discovery
        .registrations(&codex, &turn, environment, folder, &daemon.program)
        .await
        .map_err(|error| Failure::new(FailureCode::AgentFailed, error_chain(&error)))?;
    let repeated = continuation(job, work);
    // An attempt that goes on in its own conversation finds there what was
    // handed down.
    let results = match &repeated {
        Some(_) => Vec::new(),
        None => needed_results(daemon, &job.spec.needs)?,
    };
    let again = match &repeated {
        Some(_) => None,
        None => rerun(job, work),
    };
    let work = repeated.as_ref().or(again.as_ref()).unwrap_or(work);
    let resumed = resumed(daemon, job, work)?;
    let schema = write_schema(daemon, job, work)?;
    let place = workplaces::of(daemon, job);
    let scope = job.spec.scope.as_ref().map(|scope| place.scope(scope));
    // Those of the tree are in the working tree too.
    let mut placed = work.clone();
    for folder in &mut placed.add_dirs {
        *folder = place.place_of(folder);
    }
    let request = LaunchRequest {
        program: &codex.program,
        capabilities: &codex.capabilities,
        work: &placed,
        sandbox: job.spec.sandbox,
        scope: scope.as_ref(),
        working_directory: &place.folder,
        thread: resumed.thread.as_deref(),
        earlier_prompt: resumed.earlier_prompt.as_deref(),
        output_schema: schema.as_deref(),
        needs_repository: job
            .spec
            .run
            .as_ref()
            .is_some_and(|run| run.needs_repository),
        registrations: &registrations,
        results: &results,
    };
    launch(&request).map_err(|error| {
        let code = match error {
            LaunchError::Override(_) => FailureCode::Policy,
            _ => FailureCode::AgentFailed,
        };
        Failure::new(
            code,
            format!("the turn cannot be started: {}", error_chain(&error)),
        )
    })
}

/// The work of an attempt that goes on in the conversation of a failed one;
/// none for the first, and where the failed one had no conversation.
fn continuation(job: &Job, work: &AgentWork) -> Option<AgentWork> {
    let failed = job.past.iter().rev().find(|past| past.counted)?;
    if failed.clash.is_some() {
        return None;
    }
    let is_prompt = matches!(work.task, AgentTask::Prompt { .. });
    let prompt = match &work.output_schema {
        Some(schema) if failed.cause.code == FailureCode::InvalidOutput => {
            repair(&failed.cause.message, &schema.to_string())
        }
        _ => go_on(failed.cause.code.as_str()),
    };
    (job.thread.is_some() && is_prompt).then(|| AgentWork {
        task: AgentTask::Prompt { prompt },
        ..work.clone()
    })
}

/// The work of an attempt in place of one that was undone: the same, and why it is
/// done once more; none if nothing was.
fn rerun(job: &Job, work: &AgentWork) -> Option<AgentWork> {
    let taken = job.taken_back()?;
    let AgentTask::Prompt { prompt } = &work.task else {
        return None;
    };
    let kept = taken.kept_both.iter().map(|kept| kept.path.as_str());
    let left = taken.left.iter().map(|left| left.path.as_str());
    let stays: Vec<&str> = kept.chain(left).collect();
    Some(AgentWork {
        task: AgentTask::Prompt {
            prompt: once_more(prompt, &stays),
        },
        ..work.clone()
    })
}

/// What a job goes on from.
#[derive(Default)]
struct Resumed {
    thread: Option<String>,
    earlier_prompt: Option<String>,
}

fn resumed(daemon: &Daemon, job: &Job, work: &AgentWork) -> Result<Resumed, Failure> {
    if matches!(work.task, AgentTask::Review { .. }) {
        // A review has no conversation; it is done anew.
        return Ok(Resumed::default());
    }
    if let Some(thread) = &job.thread {
        return Ok(Resumed {
            thread: Some(thread.clone()),
            earlier_prompt: None,
        });
    }
    match &work.resume {
        None => Ok(Resumed::default()),
        Some(Resume::Thread(thread)) => Ok(Resumed {
            thread: Some(thread.clone()),
            earlier_prompt: None,
        }),
        Some(Resume::Job(earlier)) => {
            let earlier = read_job(daemon, earlier)?;
            let Work::Agent(work) = &earlier.spec.work else {
                return Ok(Resumed::default());
            };
            let has_talked = earlier.thread.is_some();
            // One that never came to talk leaves what it would have gone on from.
            let before = resumed(daemon, &earlier, work)?;
            let own_prompt = match &work.task {
                AgentTask::Prompt { prompt } if !has_talked => Some(prompt.clone()),
                _ => None,
            };
            Ok(Resumed {
                thread: before.thread,
                earlier_prompt: own_prompt.or(before.earlier_prompt),
            })
        }
    }
}

fn needed_results(daemon: &Daemon, needs: &[JobId]) -> Result<Vec<NeededResult>, Failure> {
    needs
        .iter()
        .map(|need| {
            let needed = read_job(daemon, need)?;
            Ok(NeededResult {
                label: needed.spec.label.clone(),
                job: need.clone(),
                message: needed.end().and_then(|end| end.final_message.clone()),
            })
        })
        .collect()
}

fn read_job(daemon: &Daemon, id: &JobId) -> Result<Job, Failure> {
    let internal = |message: String| Failure::new(FailureCode::Internal, message);
    daemon
        .job(id)
        .map_err(|error| internal(format!("job {id} cannot be read: {}", error_chain(&error))))?
        .ok_or_else(|| internal(format!("job {id} is not there any more")))
}

/// Writes the output schema where the agent reads it.
fn write_schema(daemon: &Daemon, job: &Job, work: &AgentWork) -> Result<Option<PathBuf>, Failure> {
    let Some(schema) = &work.output_schema else {
        return Ok(None);
    };
    let path = daemon
        .home
        .job_artifacts(&job.id)
        .join("output.schema.json");
    crate::private_file::write(&path, schema.to_string().as_bytes()).map_err(|error| {
        Failure::new(
            FailureCode::Internal,
            format!("the output schema cannot be written: {error}"),
        )
    })?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_replaced_by_a_link_is_refused() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let root = fs_err::canonicalize(temp.path()).expect("canonical");
        let (accepted, other) = (root.join("a/b"), root.join("other"));
        fs_err::create_dir_all(&accepted).expect("created");
        fs_err::create_dir_all(other.join("b")).expect("created");
        assert_eq!(check_folder("the working folder", &accepted), Ok(()));

        // A folder above is enough.
        fs_err::rename(root.join("a"), root.join("moved")).expect("moved");
        let gone = check_folder("the working folder", &accepted).unwrap_err();
        assert_eq!(gone.code, FailureCode::Workspace);
        std::os::unix::fs::symlink(&other, root.join("a")).expect("linked");
        let refused = check_folder("the working folder", &accepted).unwrap_err();
        assert_eq!(refused.code, FailureCode::Policy);
        assert!(refused.message.contains("other/b"), "{}", refused.message);
    }
}
