//! A world to measure in: the release program, its own homes, real Codex with
//! a scripted model.

use std::{path::PathBuf, time::Instant};

use convoke_scripted_model::{Script, ScriptedModel, codex_config};
use convoke_test_support::{census, environment::TestEnvironment, wait::wait_for};
use serde_json::Value;

use crate::{error::Error, folders, tools};

/// One measurement's world.
pub struct World {
    /// Homes, work folder, program.
    pub environment: TestEnvironment,
    /// Median of one fdatasync, milliseconds.
    pub fdatasync_ms: f64,
    /// Whether to do a tenth of the work.
    pub quick: bool,
    model: ScriptedModel,
}

/// Text before the script in prompts.
const PROMPT: &str = "Say that you are done.";

impl World {
    /// A fresh world.
    pub fn new(fdatasync_ms: f64, quick: bool) -> Result<Self, Error> {
        let model = ScriptedModel::start_blocking(Script::default())?;
        let mut environment = TestEnvironment::new(&program());
        environment.write_codex_config(&codex_config(&model.base_url()));
        let codex = tools::codex::install()?;
        if let Some(folder) = codex.parent() {
            environment.add_to_path(folder);
        }
        Ok(Self {
            environment,
            fdatasync_ms,
            quick,
            model,
        })
    }

    /// `full`, or a tenth of it.
    pub fn scaled(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }

    /// A prompt that real Codex answers with one message.
    pub fn no_op_prompt(&self) -> String {
        let _ = &self.model;
        format!("{PROMPT}\nSCRIPT: [{{\"say\": \"done\"}}]")
    }

    /// Puts a stand-in named `codex` at the front of PATH: it answers what the
    /// daemon asks an agent about itself, and ends each turn at once. Used
    /// where hundreds of starts are measured and the agent is not.
    pub fn use_instant_agent(&mut self) -> Result<(), Error> {
        self.use_agent("")
    }

    /// Likewise, with shell commands that print further events in between.
    pub fn use_agent(&mut self, commands: &str) -> Result<(), Error> {
        let folder = self.environment.root().join("bin");
        fs_err::create_dir_all(&folder)?;
        let agent = folder.join("codex");
        fs_err::write(&agent, INSTANT_AGENT.replace("@commands@", commands))?;
        use std::os::unix::fs::PermissionsExt;
        fs_err::set_permissions(&agent, std::fs::Permissions::from_mode(0o755))?;
        self.environment.add_to_path(&folder);
        Ok(())
    }

    /// Resident memory of a process, MiB.
    pub fn resident_mib(pid: i32) -> f64 {
        kib_of(&format!("/proc/{pid}/status"), "VmRSS:") / 1024.0
    }

    /// Memory that no other process shares, MiB.
    pub fn private_mib(pid: i32) -> f64 {
        let file = format!("/proc/{pid}/smaps_rollup");
        (kib_of(&file, "Private_Clean:") + kib_of(&file, "Private_Dirty:")) / 1024.0
    }

    /// Processor time of a process so far, milliseconds, in steps of 10.
    pub fn cpu_ms(pid: i32) -> f64 {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: f64 = rest
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|t| t.parse::<f64>().ok())
            .sum();
        // USER_HZ is 100 on every Linux this runs on (time(7)).
        ticks * 10.0
    }

    /// Processor time of a process with one thread so far, milliseconds. By the
    /// scheduler's account (proc(5), `schedstat`): one in ticks says nothing of a
    /// process that runs for microseconds.
    pub fn thread_cpu_ms(pid: i32) -> f64 {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        let nanos = stat.split(' ').next().and_then(|n| n.parse::<f64>().ok());
        nanos.unwrap_or(0.0) / 1_000_000.0
    }

    /// Waits until `condition` holds, looking often; milliseconds it took.
    pub fn wait_until(mut condition: impl FnMut() -> bool) -> f64 {
        let start = Instant::now();
        while !condition() {
            census::pause();
        }
        super::stats::ms_since(start)
    }

    /// Numbers of live jobs: (running, queued).
    pub fn load(&self) -> (u64, u64) {
        let status = self.environment.json(&["daemon", "status"]);
        let number = |key: &str| status[key].as_u64().unwrap_or(0);
        (number("running"), number("queued"))
    }

    /// Waits until the daemon has nothing left to do for an ended job: its
    /// environment is deleted, and what it took is made up for.
    pub fn settled(&self, job: &str) {
        let home = self.environment.state_home();
        let env = home.join(format!("jobs/{job}/env.json"));
        let ready = || fs_err::read_dir(home.join("spare")).map_or(0, Iterator::count);
        wait_for("the daemon to rest", || match (env.exists(), ready()) {
            (false, SPARE_FOLDERS..) => Ok(()),
            (there, ready) => Err(format!("environment: {there}, folders: {ready}")),
        });
    }

    /// The exit record of a job's first attempt.
    pub fn exit_record(&self, job: &str) -> Result<Value, Error> {
        let path = self
            .environment
            .state_home()
            .join(format!("runners/{job}.1/exit.json"));
        let text = fs_err::read_to_string(path)?;
        serde_json::from_str(&text).map_err(|source| Error::Output {
            command: "exit.json".into(),
            source,
        })
    }
}

/// Folders that a daemon at rest has ready, for jobs and for runners.
const SPARE_FOLDERS: usize = 16;

/// The released program.
pub fn program() -> PathBuf {
    folders::workspace().join("target/release/convoke")
}

fn kib_of(file: &str, key: &str) -> f64 {
    let text = fs_err::read_to_string(file).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|value| value.parse().ok())
        .unwrap_or(f64::NAN)
}

const INSTANT_AGENT: &str = r#"#!/bin/sh
case "$*" in
  --version) echo "codex-cli 0.169.0" ;;
  *"mcp list"*) echo "[]" ;;
  *) cat >/dev/null
     echo '{"type":"thread.started","thread_id":"0199a213-81c0-7800-8aa1-bbab2a035a53"}'
     echo '{"type":"turn.started"}'
     @commands@
     echo '{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"done"}}'
     echo '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}' ;;
esac
"#;
