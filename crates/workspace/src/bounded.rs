//! Runs a program to its end, or kills it when its time is over.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// First pause between two looks at a program that has closed its output: it
/// ends within microseconds as a rule. Doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Why a program has no result.
#[derive(Debug, thiserror::Error)]
pub enum BoundedError {
    /// It cannot be started.
    #[error("the program cannot be started")]
    Start(#[source] io::Error),
    /// Its output or its end cannot be read.
    #[error("the program cannot be read")]
    Read(#[source] io::Error),
    /// Its time was over; it was killed.
    #[error("the program took too long and was killed")]
    TimedOut,
}

/// Runs `command` without input in a process group of its own and collects
/// what it prints. At `deadline` the whole group is killed.
///
/// # Errors
/// The program cannot be started or read, or was killed.
pub fn output(command: &mut Command, deadline: Instant) -> Result<Output, BoundedError> {
    output_with_input(command, &[], deadline)
}

/// The same with `input` on its stdin.
///
/// # Errors
/// See [`output`].
pub fn output_with_input(
    command: &mut Command,
    input: &[u8],
    deadline: Instant,
) -> Result<Output, BoundedError> {
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(BoundedError::Start)?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // On a thread of its own: the program may print before it has read. A
        // failure shows in the program's own end.
        thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
    }
    let collected = collect(&mut child, deadline);
    if collected.is_err() {
        kill(child);
    }
    collected
}

fn collect(child: &mut Child, deadline: Instant) -> Result<Output, BoundedError> {
    let stdout = in_background(child.stdout.take());
    let stderr = in_background(child.stderr.take());
    Ok(Output {
        stdout: received(&stdout, deadline)?,
        stderr: received(&stderr, deadline)?,
        status: ended(child, deadline)?,
    })
}

/// Reads on a thread of its own, which ends with the pipe.
fn in_background(pipe: Option<impl Read + Send + 'static>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes));
        // Nobody listens any more once the time is over.
        let _ = sender.send(read.map(|_| bytes));
    });
    receiver
}

fn received(
    receiver: &Receiver<io::Result<Vec<u8>>>,
    deadline: Instant,
) -> Result<Vec<u8>, BoundedError> {
    receiver
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .map_err(|_| BoundedError::TimedOut)?
        .map_err(BoundedError::Read)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the standard library waits for a program for ever or not at all"
)]
fn ended(child: &mut Child, deadline: Instant) -> Result<ExitStatus, BoundedError> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(status) = child.try_wait().map_err(BoundedError::Read)? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            return Err(BoundedError::TimedOut);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Kills the group of a program that has not been waited for, so that its id
/// is still its own.
fn kill(mut child: Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // A program stuck in the kernel ends whenever it does; nobody waits for it
    // here.
    thread::spawn(move || child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_are_collected() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let deadline = Instant::now() + Duration::from_secs(60);
        let output = output(&mut command, deadline).expect("an end");
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn a_hung_program_is_killed_with_its_children() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let fifo = folder.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo runs").success());
        // The child of the shell is the one that holds the fifo: its end is
        // seen there when it is gone.
        let script = format!("sleep 600 >'{}' & wait", fifo.display());
        let held = fifo.clone();
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            fs_err::File::open(held)?.read_to_end(&mut bytes)
        });
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        let error = output(&mut command, Instant::now() + Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, BoundedError::TimedOut));
        // Lets the reader go on if the shell was killed before it came so far.
        let both = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&fifo);
        drop(both.expect("opened"));
        assert_eq!(reader.join().expect("no panic").expect("the end"), 0);
    }
}
