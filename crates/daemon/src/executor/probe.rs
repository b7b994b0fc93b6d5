//! Finds out how well agents can be held here, by running a real runner.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use convoke_core::runner_protocol::{
    ContainmentPolicy, ContainmentReport, EnvFile, FirstRung, Limits, PROTOCOL_VERSION, RunnerSpec,
    StdinPlan,
};
use tokio::time::Instant;

use super::{lock, prepare::read_exit, runner_process};
use crate::state::Daemon;

/// How long the trial may take.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Time between two looks at the trial.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs `true` under a runner and answers how it was held.
///
/// # Errors
/// The trial could not be carried out.
pub async fn containment(daemon: &Daemon) -> io::Result<ContainmentReport> {
    let random = getrandom::u32().map_err(io::Error::other)?;
    let folder = daemon
        .home
        .root()
        .join(format!("runners/trial-{random:08x}"));
    fs_err::create_dir(&folder)?;
    let answer = trial(
        daemon,
        &folder,
        &daemon.sockets.join(format!("{random:08x}")),
    )
    .await;
    fs_err::remove_dir_all(&folder)?;
    answer
}

async fn trial(daemon: &Daemon, folder: &Path, socket: &Path) -> io::Result<ContainmentReport> {
    let env_file = folder.join("env.json");
    let environment = EnvFile {
        version: PROTOCOL_VERSION,
        vars: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
    };
    fs_err::write(&env_file, serde_json::to_vec(&environment)?)?;
    let spec = RunnerSpec {
        version: PROTOCOL_VERSION,
        runner_id: folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        job_id: "trial".to_owned(),
        attempt: 1,
        argv: vec!["true".to_owned()],
        cwd: "/".into(),
        env_file,
        extra_env: BTreeMap::new(),
        stdin: StdinPlan::default(),
        socket: socket.to_owned(),
        limits: Limits::default(),
        containment: ContainmentPolicy::Best,
        grace_ms: 100,
        orphan_ttl_ms: None,
        journal_cap_bytes: 1024 * 1024,
        interrupt: FirstRung::Sigterm,
        waiting: Vec::new(),
        hold: false,
        overlay: None,
    };
    let locked = lock::take(folder)?.ok_or_else(|| io::Error::other("the trial's lock is held"))?;
    runner_process::write_spec(folder, &spec).map_err(io::Error::other)?;
    runner_process::spawn(&daemon.program, folder, locked).map_err(io::Error::other)?;
    let deadline = Instant::now() + ENDS_WITHIN;
    while !lock::is_free(folder) {
        if Instant::now() > deadline {
            return Err(io::Error::other("the trial did not end within 5 s"));
        }
        tokio::time::sleep_until(Instant::now() + LOOK_EVERY).await;
    }
    read_exit(folder)
        .map(|exit| exit.containment)
        .ok_or_else(|| io::Error::other("the trial left no record"))
}
