//! A world with a real Codex in it: its configuration with our registration,
//! coordinators that call our tools, workers they start, and the scripted model
//! that all of them talk to.

use std::{
    io::Write,
    ops::Deref,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use convoke_scripted_model::{RecordedRequest, Script, ScriptedModel, Shell, Step, codex_config};
use convoke_test_support::{
    environment::{Ran, TestEnvironment},
    wait::wait_for,
};
use serde_json::{Value, json};

use crate::world::world;

/// The name under which the coordinator has our server.
pub const SERVER: &str = "convoke";

/// How the prompt of every coordinator begins.
const COORDINATE: &str = "Coordinate.";

/// One test's world with Codex. It is the [`TestEnvironment`] too.
pub struct CodexWorld {
    // Dropped first: what runs in it talks to the model.
    world: TestEnvironment,
    /// The model of coordinators and workers.
    pub model: ScriptedModel,
    codex: PathBuf,
}

impl Deref for CodexWorld {
    type Target = TestEnvironment;

    fn deref(&self) -> &TestEnvironment {
        &self.world
    }
}

impl CodexWorld {
    /// A world in which our server is registered as recommended, and scripts
    /// stand in the prompts.
    pub fn new(codex: &Path) -> Self {
        Self::with_script(codex, Script::default())
    }

    /// The same with a script for prompts that hold none.
    pub fn with_script(codex: &Path, script: Script) -> Self {
        let world = Self::unregistered(codex, script);
        world.configure(&registration(SERVER, &world.program()));
        world
    }

    /// A world in which our server is not registered.
    pub fn unregistered(codex: &Path, script: Script) -> Self {
        let mut world = world();
        world.add_to_path(codex.parent().expect("Codex is in a folder"));
        let model = ScriptedModel::start_blocking(script).expect("the model starts");
        let world = Self {
            world,
            model,
            codex: codex.to_owned(),
        };
        world.configure("");
        world
    }

    /// The environment, to change it.
    pub fn environment(&mut self) -> &mut TestEnvironment {
        &mut self.world
    }

    /// Path of the program under test.
    pub fn program(&self) -> String {
        env!("CARGO_BIN_EXE_convoke").to_owned()
    }

    /// Writes Codex's configuration: the scripted model and `more`.
    pub fn configure(&self, more: &str) {
        self.write_codex_config(&format!("{}\n{more}", codex_config(&self.model.base_url())));
    }

    /// Runs a Codex in the work folder that plays `steps` to its end.
    pub fn coordinate(&self, sandbox: &str, steps: &[Step]) -> Coordinated {
        self.coordinate_with(&["-s", sandbox], steps)
    }

    /// The same with options for `codex exec`.
    pub fn coordinate_with(&self, options: &[&str], steps: &[Step]) -> Coordinated {
        let child = self.start_coordinator(options, steps);
        Coordinated::of(&Ran::ended(child, "codex exec"))
    }

    /// Runs a Codex that is told `words` and plays `steps` to its end.
    pub fn coordinate_told(&self, sandbox: &str, words: &str, steps: &[Step]) -> Coordinated {
        let words = format!("{COORDINATE}\n{words}");
        let child = self.start_codex(&["-s", sandbox], &prompt(&words, steps));
        Coordinated::of(&Ran::ended(child, "codex exec"))
    }

    /// Starts a Codex in the work folder that plays `steps`.
    pub fn start_coordinator(&self, options: &[&str], steps: &[Step]) -> Child {
        self.start_codex(options, &prompt(COORDINATE, steps))
    }

    fn start_codex(&self, options: &[&str], prompt: &str) -> Child {
        let mut command = self.command(&self.codex);
        command.args([
            "exec",
            "--json",
            "--color",
            "never",
            "--skip-git-repo-check",
        ]);
        let mut child = command
            .args(options)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // So that launcher and program can be killed at once.
            .process_group(0)
            .spawn()
            .expect("Codex starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        stdin
            .write_all(prompt.as_bytes())
            .expect("Codex reads its prompt");
        child
    }

    /// Starts a worker by the command line and answers its id.
    pub fn spawn_worker(&self, options: &[&str], steps: &[Step]) -> String {
        self.spawn_prompt(options, &prompt("Work.", steps))
    }

    /// Starts a worker with a prompt by the command line and answers its id.
    pub fn spawn_prompt(&self, options: &[&str], prompt: &str) -> String {
        let mut command = self.convoke(&["spawn"]);
        command.args(options).arg("-");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        stdin
            .write_all(prompt.as_bytes())
            .expect("the prompt is read");
        drop(stdin);
        let ran = Ran::ended(child, "convoke spawn");
        assert!(ran.success(), "the job is refused: {ran}");
        ran.stdout.trim().to_owned()
    }

    /// The model requests of workers with `text` in a prompt.
    pub fn requests_of(&self, text: &str) -> Vec<RecordedRequest> {
        self.requests(|users| {
            // A coordinator's prompt holds those of its workers.
            !users.iter().any(|user| user.starts_with(COORDINATE))
                && users.iter().any(|user| user.contains(text))
        })
    }

    /// The model requests of coordinators.
    pub fn coordinators_requests(&self) -> Vec<RecordedRequest> {
        self.requests(|users| users.iter().any(|user| user.starts_with(COORDINATE)))
    }

    fn requests(&self, are_its: impl Fn(&[&str]) -> bool) -> Vec<RecordedRequest> {
        let all = self.model.requests().into_iter();
        all.filter(|request| are_its(&request.messages("user")))
            .collect()
    }

    /// The result of a job in full; its exit code follows the job.
    pub fn result(&self, job: &str) -> Value {
        let ran = self.run(&["--format", "json", "result", "--full", job]);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no result: {ran}"))
    }

    /// Waits until a job has completed; its result in full.
    pub fn completed(&self, job: &str) -> Value {
        let state = self.wait_end(job);
        let result = self.result(job);
        assert_eq!(state, "completed", "{result:#}");
        result
    }

    /// Waits until a job has failed with a code; its status.
    pub fn failed(&self, job: &str, code: &str) -> Value {
        let state = self.wait_end(job);
        let status = self.json(&["status", job]);
        assert_eq!(state, "failed", "{status:#}");
        assert_eq!(status["code"], code, "{status:#}");
        status
    }

    /// Waits until no process of this world has `text` in its command.
    pub fn wait_no_process(&self, text: &str) {
        wait_for(&format!("no process to be called {text}"), || {
            let left: Vec<_> = self
                .processes()
                .into_iter()
                .filter(|process| process.command.contains(text))
                .collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:#?}"))
            }
        });
    }
}

/// The registration we recommend, under some name.
pub fn registration(name: &str, program: &str) -> String {
    format!(
        "[mcp_servers.{name}]\n\
         command = {program:?}\n\
         args = [\"mcp\"]\n\
         supports_parallel_tool_calls = true\n\
         tool_timeout_sec = 900\n\
         omit_tools_from = [\"deferred\", \"code_mode\"]\n\
         env_vars = [\"CODEX_HOME\", \"CONVOKE_HOME\"]\n"
    )
}

/// A prompt that says `words` and holds the script.
pub fn prompt(words: &str, steps: &[Step]) -> String {
    format!("{words}\n{}", Script::prompt_line(steps))
}

/// A call of one of our tools.
pub fn tool(name: &str, arguments: Value) -> Step {
    Step::mcp(SERVER, name, arguments)
}

/// Starts a worker that plays `steps`; the answer is kept under `name`.
pub fn spawn(name: &str, steps: &[Step]) -> Step {
    spawn_with(name, steps, json!({}))
}

/// The same with more arguments.
pub fn spawn_with(name: &str, steps: &[Step], more: Value) -> Step {
    let mut arguments = json!({"prompt": prompt(&format!("Worker {name}."), steps), "label": name});
    let all = arguments.as_object_mut().expect("an object");
    all.extend(more.as_object().cloned().unwrap_or_default());
    tool("codex_spawn", arguments).named(name)
}

/// Waits for the first of some jobs, given as references.
pub fn wait_any(name: &str, jobs: &[&str]) -> Step {
    let arguments = json!({"jobIds": jobs, "timeoutMs": 20_000});
    tool("codex_wait_any", arguments)
        .named(name)
        .until_not_null("completedJobId", 4)
}

/// What a coordinator did.
#[derive(Debug)]
pub struct Coordinated {
    /// Its exit code.
    pub code: Option<i32>,
    /// The calls it made, in the order of their ends.
    pub calls: Vec<ToolCall>,
    /// Its last message.
    pub said: Option<String>,
    /// Its Codex thread.
    pub thread: String,
    /// All it printed.
    pub output: String,
}

/// One call of an MCP tool.
#[derive(Debug)]
pub struct ToolCall {
    /// The bare name.
    pub tool: String,
    /// `completed` or `failed`.
    pub status: String,
    /// The structured content.
    pub facts: Value,
    /// The text.
    pub text: String,
    /// Why it could not be made.
    pub error: Value,
}

impl Coordinated {
    /// Reads what a Codex that has ended printed.
    pub fn of(ran: &Ran) -> Self {
        let mut coordinated = Self {
            code: ran.code,
            calls: Vec::new(),
            said: None,
            thread: String::new(),
            output: ran.to_string(),
        };
        for line in ran.stdout.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            coordinated.take(&event);
        }
        coordinated
    }

    fn take(&mut self, event: &Value) {
        if let Some(thread) = event["thread_id"].as_str() {
            self.thread = thread.to_owned();
        }
        let item = &event["item"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match (event["type"].as_str(), item["type"].as_str()) {
            (Some("item.completed"), Some("agent_message")) => {
                self.said = Some(text(&item["text"]))
            }
            (Some("item.completed"), Some("mcp_tool_call")) => self.calls.push(ToolCall {
                tool: text(&item["tool"]),
                status: text(&item["status"]),
                facts: item["result"]["structured_content"].clone(),
                text: text(&item["result"]["content"][0]["text"]),
                error: item["error"].clone(),
            }),
            _ => {}
        }
    }

    /// This, which must have ended well.
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.output);
        assert!(self.said.is_some(), "{}", self.output);
        self
    }

    /// The answer to the last call of a tool, which must have succeeded.
    pub fn answer(&self, tool: &str) -> &Value {
        &self.ok(tool).facts
    }

    /// The last call of a tool, which must have succeeded.
    pub fn ok(&self, tool: &str) -> &ToolCall {
        let call = self.call(tool);
        assert_eq!(call.status, "completed", "{call:#?}");
        call
    }

    /// The last call of a tool.
    pub fn call(&self, tool: &str) -> &ToolCall {
        let last = self.calls.iter().rfind(|call| call.tool == tool);
        last.unwrap_or_else(|| panic!("{tool} was not called: {}", self.output))
    }

    /// All calls of a tool.
    pub fn calls_of(&self, tool: &str) -> Vec<&ToolCall> {
        self.calls.iter().filter(|call| call.tool == tool).collect()
    }
}

/// A shell command that ends when a condition of the shell holds.
pub fn shell_until(condition: &str) -> Step {
    let cmd = format!("until {condition}; do sleep 0.02; done");
    Step::Shell(Shell {
        cmd,
        yield_time_ms: Some(30_000),
        ..Shell::default()
    })
}
