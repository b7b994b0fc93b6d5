//! A hermetic world for one test: its own home, state home, work folder and
//! environment, and a census at the end that nothing was left running.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{census, wait::wait_for};

/// How long a command of the program may take in a test.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// One test's world. Dropping it stops its daemon and checks that no process of
/// it is left.
#[derive(Debug)]
pub struct TestEnvironment {
    root: tempfile::TempDir,
    program: PathBuf,
    variables: BTreeMap<String, String>,
    user: Option<u32>,
    through: Vec<String>,
}

impl TestEnvironment {
    /// A fresh world in which `program` is `convoke`. Its work folder is an
    /// empty git repository.
    ///
    /// # Panics
    /// The folders cannot be made.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        // Short, so that sockets fit below it.
        let root = tempfile::Builder::new()
            .prefix("cv")
            .tempdir_in("/tmp")
            .expect("a temp folder");
        let environment = Self {
            root,
            program: program.to_owned(),
            variables: BTreeMap::new(),
            user: None,
            through: Vec::new(),
        };
        for folder in [
            environment.home(),
            environment.work(),
            environment.codex_home(),
        ] {
            fs_err::create_dir_all(folder).expect("a folder of the test");
        }
        let mut environment = environment;
        environment.variables = environment.first_variables();
        environment.git(&["init", "-q", "-b", "main"]);
        environment.git(&["commit", "-q", "--allow-empty", "-m", "start"]);
        environment
    }

    fn first_variables(&self) -> BTreeMap<String, String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let text = |path: PathBuf| path.display().to_string();
        [
            ("HOME", text(self.home())),
            ("PATH", path),
            ("CONVOKE_HOME", text(self.state_home())),
            ("CODEX_HOME", text(self.codex_home())),
            ("LANG", "C.UTF-8".to_owned()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The folder that holds everything of the test.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Whether its folder stays when this is dropped; it does not unless asked
    /// for.
    pub fn keep(&mut self, keep: bool) {
        self.root.disable_cleanup(keep);
    }

    /// The user's home folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// The state home.
    #[must_use]
    pub fn state_home(&self) -> PathBuf {
        self.root().join("state")
    }

    /// Codex's folder.
    #[must_use]
    pub fn codex_home(&self) -> PathBuf {
        self.root().join("home/.codex")
    }

    /// The git repository the commands run in.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// The environment commands run in.
    #[must_use]
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Sets a variable for all later commands.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// Removes a variable for all later commands.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// Puts a folder at the front of PATH.
    pub fn add_to_path(&mut self, folder: &Path) {
        let path = self.variables.get("PATH").cloned().unwrap_or_default();
        self.set("PATH", format!("{}:{path}", folder.display()));
    }

    /// Puts a `codex` on the PATH that plays the script in the first line of its
    /// prompt, by the scripted agent at `agent`.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn add_scripted_codex(&mut self, agent: &Path) {
        let folder = self.root().join("bin");
        let program = folder.join("codex");
        let text = format!(
            "#!/bin/sh\n\
             case \" $* \" in\n\
             *' --version '*) echo codex-cli 0.169.0 ;;\n\
             *' mcp list '*) echo '[]' ;;\n\
             *) exec {} --stdin ;;\n\
             esac\n",
            agent.display()
        );
        fs_err::create_dir_all(&folder).expect("a folder");
        fs_err::write(&program, text).expect("a program");
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("its mode");
        self.add_to_path(&folder);
    }

    /// Writes the user's `config.toml`.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write_config(&self, text: &str) {
        let folder = self.home().join(".config/convoke");
        fs_err::create_dir_all(&folder).expect("the config folder");
        fs_err::write(folder.join("config.toml"), text).expect("the config file");
    }

    /// Writes Codex's `config.toml`.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write_codex_config(&self, text: &str) {
        fs_err::write(self.codex_home().join("config.toml"), text).expect("Codex's config file");
    }

    /// From now on everything in this world belongs to another user, as which
    /// all commands run; only root can ask for it.
    ///
    /// # Panics
    /// The folders cannot be given away.
    pub fn become_user(&mut self, uid: u32) {
        give_away(self.root(), uid).expect("the folders of the test are given away");
        self.user = Some(uid);
    }

    /// From now on all commands are started by these words, such as
    /// `nsenter -m -t 1`.
    pub fn start_through(&mut self, words: &[&str]) {
        self.through = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// A command in this world, in the work folder.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.through.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        if let Some(user) = self.user {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(user);
        }
        command
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// `convoke` with arguments.
    #[must_use]
    pub fn convoke(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.program);
        command.args(arguments);
        command
    }

    /// Runs `convoke` to its end.
    ///
    /// # Panics
    /// It cannot be started or takes longer than a minute.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(
            self.convoke(arguments),
            &format!("convoke {}", arguments.join(" ")),
        )
    }

    /// Runs `convoke` to its end with further variables, which only this
    /// command gets, and the daemon it may start.
    ///
    /// # Panics
    /// It cannot be started or takes longer than a minute.
    #[must_use]
    pub fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let mut command = self.convoke(arguments);
        command.envs(variables.iter().copied());
        Ran::of(command, &format!("convoke {}", arguments.join(" ")))
    }

    /// Runs `convoke`, which must succeed; answers its stdout without the last
    /// line break.
    ///
    /// # Panics
    /// It fails.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(
            ran.success(),
            "convoke {} failed: {ran}",
            arguments.join(" ")
        );
        ran.stdout.trim_end().to_owned()
    }

    /// Runs `convoke --format json`, which must succeed; answers its stdout.
    ///
    /// # Panics
    /// It fails or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["--format", "json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let text = self.ok(&all);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!(
                "convoke {} printed no JSON ({error}): {text}",
                all.join(" ")
            )
        })
    }

    /// Starts a command job and answers its id.
    ///
    /// # Panics
    /// It is refused.
    pub fn spawn_command(&self, options: &[&str], argv: &[&str]) -> String {
        let all: Vec<&str> = ["spawn"]
            .iter()
            .chain(options)
            .chain(&["--"])
            .chain(argv)
            .copied()
            .collect();
        self.ok(&all)
    }

    /// The state of a job.
    ///
    /// # Panics
    /// There is no such job.
    pub fn state(&self, job: &str) -> String {
        self.json(&["status", job])["state"]
            .as_str()
            .expect("a state")
            .to_owned()
    }

    /// Waits until a job is over and answers its state.
    ///
    /// # Panics
    /// It is not over within a minute.
    pub fn wait_end(&self, job: &str) -> String {
        let ran = self.run(&["wait", job, "--timeout", "60s"]);
        let state = self.state(job);
        assert!(
            ["completed", "failed", "cancelled"].contains(&state.as_str()),
            "job {job} is {state} after the wait: {ran}"
        );
        state
    }

    /// Waits until a job is in one of some states.
    ///
    /// # Panics
    /// It does not get there within half a minute.
    pub fn wait_state(&self, job: &str, states: &[&str]) {
        wait_for(&format!("job {job} to be {}", states.join(" or ")), || {
            let state = self.state(job);
            if states.contains(&state.as_str()) {
                Ok(())
            } else {
                Err(format!("it is {state}"))
            }
        });
    }

    /// All events of a job, read page by page.
    ///
    /// # Panics
    /// They cannot be read.
    pub fn events(&self, job: &str) -> Vec<Value> {
        let text = self.ok(&["--format", "json", "events", job]);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("an event a line"))
            .collect()
    }

    /// Process id of the daemon, if one serves.
    ///
    /// # Panics
    /// Its address file is not JSON.
    #[must_use]
    pub fn daemon_pid(&self) -> Option<i32> {
        let text = fs_err::read_to_string(self.state_home().join("daemon.json")).ok()?;
        let file: Value = serde_json::from_str(&text).expect("daemon.json is JSON");
        i32::try_from(file["pid"].as_i64()?).ok()
    }

    /// Kills the daemon with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// There is none.
    pub fn kill_daemon(&self) {
        let pid = self.daemon_pid().expect("a daemon runs");
        census::kill(pid);
        wait_for("the killed daemon to be gone", || census::gone(pid));
    }

    /// Runs git in the work folder.
    ///
    /// # Panics
    /// It fails.
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = self.command("git");
        command
            .args([
                "-c",
                "user.name=test",
                "-c",
                "user.email=test@example.invalid",
            ])
            .args(arguments);
        let ran = Ran::of(command, &format!("git {}", arguments.join(" ")));
        assert!(ran.success(), "git {} failed: {ran}", arguments.join(" "));
        ran.stdout
    }

    /// Processes that belong to this world.
    #[must_use]
    pub fn processes(&self) -> Vec<census::Process> {
        census::of_folder(self.root())
    }
}

/// Gives a folder and everything in it to another user.
fn give_away(path: &Path, uid: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid))?;
    if fs_err::symlink_metadata(path)?.is_dir() {
        for entry in fs_err::read_dir(path)? {
            give_away(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

impl TestEnvironment {
    /// What the daemon wrote down, for a test that has failed.
    fn tell_log(&self) {
        let log = fs_err::read_to_string(self.state_home().join("daemon.log"));
        eprintln!("the daemon's log:\n{}", log.unwrap_or_default());
        for process in self.processes() {
            eprintln!("process {}: {}", process.pid, process.command);
        }
    }
}

impl Drop for TestEnvironment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_log();
        }
        let mut stop = self.convoke(&["daemon", "stop", "--jobs"]);
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut left = self.processes();
        while !left.is_empty() && Instant::now() < deadline {
            census::pause();
            left = self.processes();
        }
        for process in &left {
            census::kill(process.pid);
        }
        if !left.is_empty() && !std::thread::panicking() {
            panic!("the test left processes behind: {left:#?}");
        }
    }
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed on stdout.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// It cannot be started or takes longer than a minute.
    #[must_use]
    pub fn of(mut command: Command, what: &str) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
        Self::ended(child, what)
    }

    /// Waits for a child, whose stdout and stderr are pipes.
    ///
    /// # Panics
    /// It takes longer than a minute.
    #[must_use]
    pub fn ended(child: Child, what: &str) -> Self {
        Self::try_ended(child, what).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same where a command that hangs is to be told and not to end all.
    ///
    /// # Errors
    /// It takes longer than a minute, and is killed, or cannot be waited for.
    pub fn try_ended(child: Child, what: &str) -> Result<Self, String> {
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(child.wait_with_output());
        });
        let Ok(output) = receiver.recv_timeout(COMMAND_WITHIN) else {
            census::kill(i32::try_from(pid).unwrap_or_default());
            return Err(format!(
                "{what} did not end within {} s",
                COMMAND_WITHIN.as_secs()
            ));
        };
        output
            .map(Self::from)
            .map_err(|error| format!("wait for {what}: {error}"))
    }

    /// Whether it ended with exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit code {:?}\nstdout:\n{}\nstderr:\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}
