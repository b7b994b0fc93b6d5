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
        ContainmentReport, ExitCause, ExitRecord, PROTOCOL_VERSION, ProcessNote, paths,
    },
};
use convoke_runner::sweep;

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
    let record = ExitRecord {
        version: PROTOCOL_VERSION,
        runner_id: runner.to_string(),
        cause: ExitCause::Lost {
            message: "the runner died without a record: it was killed, or the machine went down"
                .to_owned(),
        },
        exit_code: None,
        signal: None,
        started: true,
        wall_ms: clock::now().0,
        mono_ms: 0,
        active_ms: 0,
        journal_len,
        last_command: 0,
        containment: ContainmentReport::none(),
        leftovers: leftovers
            .iter()
            .map(|process| ProcessNote {
                pid: process.pid,
                start_time: process.start_time,
                command: String::new(),
            })
            .collect(),
        output_bytes: 0,
    };
    write(folder, &record)?;
    Ok(record)
}

fn write(folder: &Path, record: &ExitRecord) -> io::Result<()> {
    let temporary = folder.join("exit.json.new");
    let mut file = crate::private_file::create(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join(paths::EXIT))?;
    File::open(folder)?.sync_all()
}
