//! A world whose `codex` plays one script per turn and keeps what it was told.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient};
use serde_json::{Value, json};

use crate::world::{scripted_agent, world};

/// Every file of a run that is over.
pub const ARTIFACTS: [&str; 11] = [
    "codex_exec.json",
    "events.jsonl",
    "last_message.json",
    "request.json",
    "result.json",
    "selected_skills.json",
    "skills_index.json",
    "stderr.log",
    "subagent_output.schema.json",
    "subagent_prompt.txt",
    "thread.json",
];

/// A last message of the form that is asked for.
pub fn message(summary: &str) -> String {
    json!({
        "summary": summary,
        "deliverables": [{"path": "a.txt", "description": "made"}],
        "open_questions": ["why?"],
        "next_actions": [],
    })
    .to_string()
}

/// The world.
pub struct DelegateWorld {
    world: TestEnvironment,
}

impl Deref for DelegateWorld {
    type Target = TestEnvironment;

    fn deref(&self) -> &TestEnvironment {
        &self.world
    }
}

impl DerefMut for DelegateWorld {
    fn deref_mut(&mut self) -> &mut TestEnvironment {
        &mut self.world
    }
}

impl DelegateWorld {
    /// A world whose agent plays these turns, the last one again and again.
    pub fn new(turns: &[Value]) -> Self {
        let mut world = world();
        let stage = world.root().join("stage");
        let bin = world.root().join("bin");
        for folder in [&stage, &bin] {
            fs_err::create_dir_all(folder).expect("made");
        }
        let text = format!(
            "#!/bin/sh\n\
             case \" $* \" in\n\
             *' --version '*) echo codex-cli 0.169.0; exit ;;\n\
             *' mcp list '*) echo '[]'; exit ;;\n\
             esac\n\
             cd {stage} || exit 1\n\
             echo \"$*\" >> turns\n\
             turn=$(wc -l < turns | tr -d ' ')\n\
             cat > \"prompt-$turn\"\n\
             [ -f \"turn-$turn.json\" ] || turn=$(cat last)\n\
             exec {agent} \"turn-$turn.json\"\n",
            stage = stage.display(),
            agent = scripted_agent().display()
        );
        let program = bin.join("codex");
        fs_err::write(&program, text).expect("written");
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("executable");
        world.add_to_path(&bin);
        let world = Self { world };
        world.plays(turns);
        world
    }

    /// Has the agent play these turns from now on.
    pub fn plays(&self, turns: &[Value]) {
        for (at, turn) in turns.iter().enumerate() {
            let path = self.stage().join(format!("turn-{}.json", at + 1));
            fs_err::write(path, turn.to_string()).expect("written");
        }
        fs_err::write(self.stage().join("last"), turns.len().to_string()).expect("written");
    }

    /// A turn that says something and completes.
    pub fn says(message: &str) -> Value {
        json!([{"do": "codex", "message": message}])
    }

    /// A turn that completes when the gate is open.
    pub fn gated(message: &str) -> Value {
        json!([{"do": "wait_file", "path": "gate"}, {"do": "codex", "message": message}])
    }

    /// Lets gated turns complete.
    pub fn open_gate(&self) {
        fs_err::write(self.stage().join("gate"), "").expect("the gate opens");
    }

    fn stage(&self) -> PathBuf {
        self.root().join("stage")
    }

    /// The command lines of the turns so far.
    pub fn turns(&self) -> Vec<String> {
        let text = fs_err::read_to_string(self.stage().join("turns")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What the agent was told in a turn, from 1.
    pub fn prompt(&self, turn: usize) -> String {
        fs_err::read_to_string(self.stage().join(format!("prompt-{turn}"))).expect("a prompt")
    }

    /// A client of the toolset.
    pub fn client(&self, options: &[&str]) -> McpClient {
        let options: Vec<&str> = ["--tools", "delegate"]
            .iter()
            .chain(options)
            .copied()
            .collect();
        McpClient::start(self, &options, "test")
    }

    /// The arguments of a run in the work folder.
    pub fn arguments(&self, task: &str) -> Value {
        json!({"cwd": self.work(), "task": task})
    }

    /// The folders of all runs.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs_err::read_dir(self.codex_home().join("delegator/runs")) else {
            return Vec::new();
        };
        entries.map(|entry| entry.expect("listed").path()).collect()
    }
}

/// The names in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("listed").file_name().display().to_string())
        .collect();
    names.sort();
    names
}

/// A file of JSON.
pub fn read(folder: &Path, name: &str) -> Value {
    let text = fs_err::read_to_string(folder.join(name)).expect("the file is there");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

/// Checks that the folder of an answer is whole and says the same.
pub fn check_whole(answer: &Value) -> PathBuf {
    let folder = PathBuf::from(answer["run_dir"].as_str().expect("a folder"));
    assert_eq!(names(&folder), ARTIFACTS, "{answer:#}");
    for name in ARTIFACTS.iter().filter(|name| name.ends_with(".json")) {
        read(&folder, name);
    }
    assert_eq!(&read(&folder, "result.json"), answer);
    let told: Vec<&str> = answer["artifacts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|artifact| artifact["name"].as_str().expect("a name"))
        .collect();
    let mut sorted = told.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ARTIFACTS);
    folder
}
