//! Runs a runner in a process and a folder of its own, and leaves nothing behind.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use convoke_core::runner_protocol::{
    ContainmentPolicy, Control, DaemonMessage, ExitRecord, JournalGap, JournalReader, Line,
    LineAssembler, Record, RunnerIdentity, RunnerMessage, RunnerSpec, Stream, decode_line,
    encode_line, paths,
};
use convoke_runner::sweep::{self, ProcessRef};
use rustix::event::{Timespec, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The ordinary user that root's tests become.
pub const NOBODY: u32 = 65_534;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How a test's runner is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub user: Option<u32>,
    pub policy: ContainmentPolicy,
}

/// Every combination of user and containment that is possible here.
pub fn settings() -> Vec<Setting> {
    let users = match is_root() {
        true => vec![None, Some(NOBODY)],
        false => vec![None],
    };
    let policies = [ContainmentPolicy::Best, ContainmentPolicy::NoNamespaces];
    users
        .into_iter()
        .flat_map(|user| policies.map(|policy| Setting { user, policy }))
        .collect()
}

pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Waits until `look` gives something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: 3_000_000,
        };
        let _ = poll(&mut [], Some(&tick));
    }
}

/// A runner to be started.
pub struct Plan {
    pub home: TempDir,
    pub spec: RunnerSpec,
    pub folder: PathBuf,
    user: Option<u32>,
    hook: Option<&'static str>,
}

impl Plan {
    /// A runner whose agent runs a script.
    pub fn new(script: Value) -> Self {
        Self::in_folder(TempDir::new().unwrap(), script)
    }

    pub fn in_folder(home: TempDir, script: Value) -> Self {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let runner_id = format!("test-{}-{number}", std::process::id());
        let folder = home.path().join("runners").join(&runner_id);
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir(home.path().join("work")).unwrap();
        let env = home.path().join("env.json");
        let vars = json!({"version": 1, "vars": {"PATH": "/usr/bin:/bin", "OWN": "yes"}});
        fs::write(&env, vars.to_string()).unwrap();
        let spec = serde_json::from_value(json!({
            "version": 1, "runner_id": runner_id, "job_id": "job", "attempt": 1,
            "argv": [harness(), "agent", "--inline", script.to_string()],
            "cwd": home.path().join("work"), "env_file": env,
            "extra_env": {"CONVOKE_RUNNER_ID": runner_id, "CONVOKE_JOB_ID": "job"},
            "socket": home.path().join("s"), "grace_ms": 10_000
        }))
        .unwrap();
        Self {
            home,
            spec,
            folder,
            user: None,
            hook: None,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut RunnerSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    pub fn setting(mut self, setting: Setting) -> Self {
        self.user = setting.user;
        self.spec.containment = setting.policy;
        self
    }

    /// Ends the runner at a named point.
    pub fn hook(mut self, point: &'static str) -> Self {
        self.hook = Some(point);
        self
    }

    pub fn start(self) -> Run {
        fs::write(
            self.folder.join(paths::SPEC),
            serde_json::to_vec(&self.spec).unwrap(),
        )
        .unwrap();
        let lock = File::create(self.folder.join(paths::LOCK)).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        if let Some(user) = self.user {
            give(self.home.path(), user);
        }
        let mut command = Command::new(harness());
        command.arg("__runner").arg(&self.folder).stdin(lock);
        command.stdout(Stdio::null()).env_clear();
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        if let Some(point) = self.hook {
            command.env("CONVOKE_TEST_STOP_AT", point);
        }
        let child = command.spawn().unwrap();
        Run {
            home: self.home,
            folder: self.folder,
            spec: self.spec,
            child,
            ended: false,
        }
    }
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// The program that is both runner and scripted agent.
pub fn harness() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let folder = me.parent().and_then(Path::parent).unwrap();
    let path = folder.join("examples").join("runner-harness");
    assert!(path.exists(), "build the examples: {}", path.display());
    path
}

/// A running runner. Dropped, it takes everything of its own along.
pub struct Run {
    pub home: TempDir,
    pub folder: PathBuf,
    pub spec: RunnerSpec,
    pub child: Child,
    ended: bool,
}

impl Run {
    pub fn work(&self, name: &str) -> PathBuf {
        self.home.path().join("work").join(name)
    }

    /// Lets a script go on that waits for this file.
    pub fn open_gate(&self, name: &str) {
        fs::write(self.work(name), "").unwrap();
    }

    /// Waits for the runner's end; whether it ended with 0.
    pub fn wait(&mut self) -> bool {
        let child = &mut self.child;
        let status = wait_for("the runner's end", || child.try_wait().unwrap());
        self.ended = true;
        status.success()
    }

    /// Waits for the end; the exit record, with nothing left running.
    pub fn finish(&mut self) -> ExitRecord {
        assert!(self.wait(), "the runner failed");
        let record = self.exit().expect("an exit record");
        assert_eq!(record.leftovers, [], "leftovers");
        self.assert_clean();
        record
    }

    pub fn exit(&self) -> Option<ExitRecord> {
        let bytes = fs::read(self.folder.join(paths::EXIT)).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    pub fn identity(&self) -> RunnerIdentity {
        let path = self.folder.join(paths::IDENTITY);
        let bytes = wait_for("runner.json", || fs::read(&path).ok());
        serde_json::from_slice(&bytes).unwrap()
    }

    pub fn assert_clean(&self) {
        assert_eq!(self.marked(), [], "processes left");
    }

    pub fn marked(&self) -> Vec<ProcessRef> {
        sweep::find_by_mark(&self.spec.runner_id)
    }

    pub fn wait_clean(&self) {
        wait_for("every process to go", || {
            self.marked().is_empty().then_some(())
        });
    }

    pub fn records(&self) -> Vec<Record> {
        let bytes = fs::read(self.folder.join(paths::JOURNAL)).unwrap_or_default();
        let mut reader = JournalReader::new(0);
        reader.set_gap(self.gap());
        let mut records = Vec::new();
        loop {
            let from = usize::try_from(reader.read_from()).unwrap();
            reader.feed(&bytes[from.min(bytes.len())..]);
            let before = reader.offset();
            while let Some(record) = reader.next_record().unwrap() {
                records.push(record);
            }
            if reader.offset() == before {
                return records;
            }
        }
    }

    pub fn gap(&self) -> Option<JournalGap> {
        let bytes = fs::read(self.folder.join(paths::JOURNAL_GAP)).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    pub fn controls(&self) -> Vec<Control> {
        self.records()
            .iter()
            .filter(|record| record.header.stream == Stream::Ctl)
            .map(|record| serde_json::from_slice(&record.data).unwrap())
            .collect()
    }

    pub fn lines(&self) -> Vec<Line> {
        let mut assembler = LineAssembler::new();
        let mut lines: Vec<Line> = self
            .records()
            .iter()
            .flat_map(|record| assembler.push(record))
            .collect();
        lines.extend(assembler.finish());
        lines
    }

    /// The lines of stdout as text.
    pub fn stdout(&self) -> Vec<String> {
        self.lines()
            .into_iter()
            .filter(|line| line.stream == Stream::Out)
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
            .collect()
    }

    /// Waits until stdout holds this line.
    pub fn wait_line(&self, text: &str) {
        wait_for(text, || {
            self.stdout().iter().any(|line| line == text).then_some(())
        });
    }

    /// Connects and says hello.
    pub fn connect(&self) -> Daemon {
        let path = &self.spec.socket;
        let stream = wait_for("the socket", || UnixStream::connect(path).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut daemon = Daemon { stream, reader };
        daemon.send(&DaemonMessage::Hello { version: 1 });
        daemon
    }

    /// Sends one stop command and waits for the end.
    pub fn stop(&mut self, force: bool) -> ExitRecord {
        let mut daemon = self.connect();
        daemon.send(&DaemonMessage::Stop {
            id: 1,
            force,
            reason: "test".to_owned(),
            grace_ms: None,
        });
        self.finish()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        sweep::kill_and_wait(&self.marked(), PATIENCE);
    }
}

/// The daemon's side of the socket.
pub struct Daemon {
    pub stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Daemon {
    pub fn send(&mut self, message: &DaemonMessage) {
        self.stream.write_all(&encode_line(message)).unwrap();
    }

    /// The next message; none at the end of the connection.
    pub fn next(&mut self) -> Option<RunnerMessage> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            // Cut off: the runner ended while its socket was full.
            Ok(_) if !line.ends_with(b"\n") => None,
            Ok(_) => Some(decode_line(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("socket: {error}"),
        }
    }

    /// The next message that is no `len`.
    pub fn answer(&mut self) -> Option<RunnerMessage> {
        loop {
            match self.next() {
                Some(RunnerMessage::Len { .. }) => {}
                other => return other,
            }
        }
    }
}

/// Blocks a file really takes on disk, in bytes.
pub fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}
