//! Settles an attempt whose runner died without a record.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use convoke_core::{
    ids::RunnerId,
    runner_protocol::{
        ContainmentReport, ExitCause, ExitRecord, PROTOCOL_VERSION, RunnerIdentity, paths,
    },
    time::UnixMillis,
};
use convoke_runner::sweep::{self, ProcessRef};

use crate::clock;

/// How long killed processes get to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Writes `exit.json` with the cause `lost` under the runner's lock and ends
/// what is left of the agent. Blocking.
///
/// `_lock` is the proof that no runner is alive and none can start meanwhile.
///
/// # Errors
/// The record cannot be written.
pub fn settle(folder: &Path, runner: &RunnerId, _lock: &File) -> io::Result<ExitRecord> {
    let leftovers = sweep::kill_and_wait(&sweep::find_by_mark(runner.as_str()), GONE_WITHIN);
    let journal_len = std::fs::metadata(folder.join(paths::JOURNAL)).map_or(0, |meta| meta.len());
    let message = "the runner died without a record: it was killed, or the machine went down";
    let record = ExitRecord {
        active_ms: active_ms(folder),
        journal_len,
        ..record(runner, message, &leftovers)
    };
    write(folder, &record)?;
    Ok(record)
}

/// The record of a runner whose folder was deleted while its agent ran. What is
/// left of the agent is ended; nothing is written. Blocking.
#[must_use]
pub fn of_deleted_folder(runner: &RunnerId) -> ExitRecord {
    let leftovers = sweep::kill_and_wait(&sweep::find_by_mark(runner.as_str()), GONE_WITHIN);
    record(
        runner,
        "the runner's folder was deleted while it ran",
        &leftovers,
    )
}

fn record(runner: &RunnerId, message: &str, leftovers: &[ProcessRef]) -> ExitRecord {
    ExitRecord {
        version: PROTOCOL_VERSION,
        runner_id: runner.to_string(),
        cause: ExitCause::Lost {
            message: message.to_owned(),
        },
        exit_code: None,
        signal: None,
        started: true,
        wall_ms: clock::now().0,
        wall_us: 0,
        mono_ms: 0,
        active_ms: 0,
        journal_len: 0,
        last_command: 0,
        containment: ContainmentReport::none(),
        leftovers: leftovers.to_vec(),
        output_bytes: 0,
    }
}

/// How long the attempt ran at least: from the runner's own stamp to its last
/// output. The dead runner cannot say it, and running time counts over all
/// attempts.
fn active_ms(folder: &Path) -> u64 {
    let began = std::fs::read(folder.join(paths::IDENTITY))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<RunnerIdentity>(&bytes).ok())
        .map(|runner| UnixMillis(runner.wall_ms));
    let last = std::fs::metadata(folder.join(paths::JOURNAL))
        .and_then(|meta| meta.modified())
        .map(UnixMillis::of);
    match (began, last) {
        (Some(began), Ok(last)) => last.since(began),
        _ => 0,
    }
}

fn write(folder: &Path, record: &ExitRecord) -> io::Result<()> {
    let temporary = folder.join("exit.json.new");
    let mut file = crate::private_file::create(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join(paths::EXIT))?;
    File::open(folder)?.sync_all()
}
