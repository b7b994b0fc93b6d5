//! Which processes belong to a test, by what the system says of them.

use std::{path::Path, time::Duration};

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: i32,
    /// Its arguments.
    pub command: String,
}

/// Processes whose arguments, environment or working folder name a folder.
/// Zombies do not count.
#[must_use]
pub fn of_folder(folder: &Path) -> Vec<Process> {
    let needle = folder.display().to_string();
    let own = std::process::id();
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(own) && !is_zombie(*pid))
        .filter_map(|pid| {
            let command = text_of(pid, "cmdline");
            let named = command.contains(&needle)
                || text_of(pid, "environ").contains(&needle)
                || fs_err::read_link(format!("/proc/{pid}/cwd"))
                    .is_ok_and(|cwd| cwd.starts_with(folder));
            named.then_some(Process { pid, command })
        })
        .collect()
}

fn text_of(pid: i32, file: &str) -> String {
    let bytes = fs_err::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .replace('\0', " ")
        .trim()
        .to_owned()
}

fn is_zombie(pid: i32) -> bool {
    let stat = text_of(pid, "stat");
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}

/// Kills a process with SIGKILL; one that is gone is no error.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Whether a process is gone; for [`wait_for`](crate::wait::wait_for). As long
/// as one of its threads lives it still holds its files and sockets, even when
/// it looks dead otherwise.
///
/// # Errors
/// It is still there.
pub fn gone(pid: i32) -> Result<(), String> {
    let threads = fs_err::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    if threads == 0 || (threads == 1 && is_zombie(pid)) {
        return Ok(());
    }
    Err(format!(
        "process {pid} is there: {}",
        text_of(pid, "cmdline")
    ))
}

/// A short rest between two looks at a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a bounded wait for a condition rests between two looks"
)]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
