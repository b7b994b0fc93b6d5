//! A real Codex as coordinator: its configuration, its start, its events.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
};

use convoke_scripted_model::{ScriptedModel, codex_config};
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    sync::mpsc::Sender,
};

use super::{cast, scratch::Scratch, screen};
use crate::error::Error;

/// Runs the coordinator to its end; its last message.
///
/// # Errors
/// It cannot be started, or its turn fails.
pub async fn run(
    codex: &Path,
    convoke: &Path,
    scratch: &Scratch,
    say: Sender<String>,
) -> Result<String, Error> {
    let model = ScriptedModel::start(cast::coordinator()).await?;
    let config = configuration(&model.base_url(), convoke);
    fs::write(scratch.codex_home().join("config.toml"), config)?;
    tell(
        &say,
        "A real Codex coordinates, real Codex processes work; the model is scripted.",
    )
    .await;
    tell(&say, &format!("user: {}", cast::TASK)).await;
    let mut codex = start(codex, scratch)?;
    let last_word = follow(&mut codex, &say).await?;
    let status = codex.0.wait().await?;
    model.shutdown().await;
    last_word.ok_or_else(|| failed(status, scratch))
}

/// The configuration we recommend, beside the scripted model.
fn configuration(base_url: &str, convoke: &Path) -> String {
    format!(
        "{}\n\
         [mcp_servers.{}]\n\
         command = {:?}\n\
         args = [\"mcp\"]\n\
         supports_parallel_tool_calls = true\n\
         tool_timeout_sec = 900\n\
         omit_tools_from = [\"deferred\", \"code_mode\"]\n\
         env_vars = [\"CODEX_HOME\", \"CONVOKE_HOME\"]\n",
        codex_config(base_url),
        cast::SERVER,
        convoke.display().to_string()
    )
}

/// A running Codex; it is told to end when this is dropped early. The npm
/// program is a launcher: killing it would leave the real one running.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let id = self
            .0
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            // If it is gone already, all is well.
            let _ = kill_process(id, Signal::TERM);
        }
    }
}

fn start(codex: &Path, scratch: &Scratch) -> Result<Running, Error> {
    let errors = fs::File::create(scratch.root().join("coordinator.stderr"))?;
    let child = Command::new(codex)
        .args(["exec", "--json", "--sandbox", "workspace-write", "-C"])
        .arg(scratch.repository())
        .arg("-")
        .env_clear()
        .envs(scratch.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors.into_parts().0)
        .spawn();
    let command = "codex exec --json".to_owned();
    child
        .map(Running)
        .map_err(|source| Error::Start { command, source })
}

/// Hands the task over and tells what the coordinator does; its last message,
/// if its turn ends well.
async fn follow(codex: &mut Running, say: &Sender<String>) -> Result<Option<String>, Error> {
    let mut stdin = codex.0.stdin.take().expect("stdin is piped");
    stdin.write_all(cast::TASK.as_bytes()).await?;
    // Codex reads to the end before it begins.
    drop(stdin);
    let stdout = codex.0.stdout.take().expect("stdout is piped");
    let mut lines = BufReader::new(stdout).lines();
    let mut last_word = None;
    let mut completed = false;
    while let Some(line) = lines.next_line().await? {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        completed |= event["type"] == "turn.completed";
        if let Some(message) = message_in(&event) {
            last_word = Some(message.to_owned());
        }
        if let Some(line) = told(&event) {
            tell(say, &line).await;
        }
    }
    Ok(last_word.filter(|_| completed))
}

fn message_in(event: &Value) -> Option<&str> {
    let item = &event["item"];
    (event["type"] == "item.completed" && item["type"] == "agent_message")
        .then(|| item["text"].as_str())?
}

/// A line for an event worth telling.
fn told(event: &Value) -> Option<String> {
    let item = &event["item"];
    match (event["type"].as_str()?, item["type"].as_str()) {
        ("item.started", Some("mcp_tool_call")) => Some(screen::shortened(&format!(
            "coordinator: {} {}",
            item["tool"].as_str().unwrap_or_default(),
            gist(&item["arguments"])
        ))),
        ("item.completed", Some("mcp_tool_call")) if item["status"] == "failed" => {
            let why = item["result"]["content"][0]["text"].as_str();
            let why = why.map_or_else(|| item["error"].to_string(), str::to_owned);
            Some(format!("coordinator: the call failed: {why}"))
        }
        ("turn.failed", _) => Some(format!("coordinator: failed: {}", event["error"])),
        _ => None,
    }
}

/// What distinguishes a call: the label or the jobs.
fn gist(arguments: &Value) -> String {
    for name in ["label", "jobId", "jobIds"] {
        match &arguments[name] {
            Value::Null => {}
            Value::String(text) => return text.clone(),
            Value::Array(jobs) => {
                let jobs: Vec<&str> = jobs.iter().filter_map(Value::as_str).collect();
                return jobs.join(", ");
            }
            other => return other.to_string(),
        }
    }
    String::new()
}

async fn tell(say: &Sender<String>, line: &str) {
    // Nobody listens any more only when the demo is over.
    let _ = say.send(line.to_owned()).await;
}

fn failed(status: ExitStatus, scratch: &Scratch) -> Error {
    let file = scratch.root().join("coordinator.stderr");
    Error::Unexpected {
        what: format!("the coordinator failed ({status})"),
        hint: Some(format!("see above and {}", file.display())),
    }
}
