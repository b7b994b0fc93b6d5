//! MCP clients: they ask for jobs with keys, wait for them, and go on with a
//! new server when theirs is killed.

use std::time::{Duration, Instant};

use convoke_test_support::mcp_client::McpClient;
use serde_json::{Value, json};

use super::{
    plan::Job,
    random::Random,
    stage::{Stage, rest},
};

/// How long one call may go without an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one wait takes at most, milliseconds.
const WAIT_MS: u64 = 4_000;
/// Running time of a job, milliseconds.
const LONGEST_MS: u64 = 120_000;
/// How long a job may be silent, milliseconds.
const IDLE_MS: u64 = 40_000;

/// One client.
struct Client<'a, 'b> {
    stage: &'a Stage<'b>,
    name: String,
    server: Option<McpClient>,
}

/// Starts jobs by MCP and waits for them until the time is over.
pub fn work(stage: &Stage, number: u64) {
    let mut random = Random::new(stage.plan.seed, number);
    let mut client = Client {
        stage,
        // Keys are an owner's own, and its name is part of the owner.
        name: format!("soak-{number}"),
        server: None,
    };
    while stage.goes_on() {
        let jobs: Vec<Job> = (0..random.between(1, 4))
            .map(|_| stage.plan.job(stage.next_index(), true))
            .collect();
        let mut ids: Vec<String> = jobs.iter().filter_map(|job| client.spawn(job)).collect();
        if random.percent(15)
            && let Some(id) = random.pick(&ids).cloned()
        {
            client.cancel(&id, random.percent(30));
        }
        while !ids.is_empty() && stage.goes_on() {
            client.wait(&mut ids);
        }
    }
}

impl Client<'_, '_> {
    fn spawn(&mut self, job: &Job) -> Option<String> {
        self.stage.ledger.asked(job);
        let mut env = json!({"SOAK_TOKEN": job.token});
        if let Some(path) = &job.path {
            env["PATH"] = Value::from(path.as_str());
        }
        let arguments = json!({
            "prompt": job.text, "label": job.key, "idempotencyKey": job.key,
            "sandbox": "read-only", "env": env,
            "timeoutMs": LONGEST_MS, "idleTimeoutMs": IDLE_MS,
        });
        let times = if job.repeated { 2 } else { 1 };
        let mut id = None;
        for _ in 0..times {
            match self.call("codex_spawn", &arguments) {
                Ok(answer) => {
                    let named = answer["jobId"].as_str().unwrap_or_default();
                    self.stage.ledger.answered(job.index, named);
                    id = Some(named.to_owned());
                }
                Err(error) => self.stage.ledger.fail(job, id.as_deref(), error),
            }
        }
        self.stage.one_more();
        id
    }

    fn cancel(&mut self, id: &str, force: bool) {
        self.stage.ledger.count("cancel: by MCP");
        self.stage.ledger.cancelled(id);
        if let Err(error) = self.call("codex_cancel", &json!({"jobId": id, "force": force})) {
            self.stage
                .ledger
                .fail_at_large(format!("cancel {id}: {error}"));
        }
    }

    /// Waits once, and takes the job that ended off the list.
    fn wait(&mut self, ids: &mut Vec<String>) {
        let arguments = json!({"jobIds": ids, "timeoutMs": WAIT_MS});
        match self.call("codex_wait_any", &arguments) {
            Ok(answer) => {
                if let Some(missing) = answer["missingJobIds"].as_array() {
                    let what = format!("accepted jobs are missing: {missing:?}");
                    self.stage.ledger.fail_at_large(what);
                    ids.clear();
                }
                let completed = answer["completedJobId"].as_str();
                ids.retain(|id| Some(id.as_str()) != completed);
            }
            Err(error) => {
                self.stage
                    .ledger
                    .fail_at_large(format!("wait for {ids:?}: {error}"));
                ids.clear();
            }
        }
    }

    /// Calls a tool until it answers: with a new server when the old one was
    /// killed, and again while the daemon is away.
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < deadline {
            match self.call_once(tool, arguments) {
                Ok(result) if result["isError"] != true => {
                    return Ok(result["structuredContent"].clone());
                }
                Ok(result) if result["structuredContent"]["retryable"] == true => {
                    self.stage.ledger.count("call: to be repeated");
                    last = result.to_string();
                }
                Ok(result) => return Err(format!("{tool} failed: {result}")),
                Err(error) => {
                    self.stage.ledger.count("call: server lost");
                    self.server = None;
                    last = error;
                }
            }
            rest(100);
        }
        let seconds = PATIENCE.as_secs();
        Err(format!("{tool} has no answer within {seconds} s: {last}"))
    }

    fn call_once(&mut self, tool: &str, arguments: &Value) -> Result<Value, String> {
        let server = match &mut self.server {
            Some(server) => server,
            none => none.insert(McpClient::try_start(
                self.stage.environment(),
                &[],
                &self.name,
            )?),
        };
        server.try_call(tool, arguments.clone())
    }
}
