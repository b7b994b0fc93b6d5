//! The world of a soak: one environment with room for many jobs, a stand-in
//! for Codex, and the real one with a scripted model where there is Node.

use std::path::{Path, PathBuf};

use convoke_scripted_model::{Script, ScriptedModel, codex_config};
use convoke_test_support::environment::TestEnvironment;

use super::no_namespaces::NoNamespaces;
use crate::{build, deps, error::Error, tools};

/// Everything that runs belongs to it.
pub struct World {
    // Dropped first: what runs in it talks to the model.
    /// Homes, work folder, program.
    pub environment: TestEnvironment,
    /// The program under test.
    pub program: PathBuf,
    /// The scripted agent.
    pub agent: PathBuf,
    /// Folder of files with a line for each start of an agent.
    pub started: PathBuf,
    /// `PATH` with the real Codex, if there is one.
    pub codex_path: Option<String>,
    _model: Option<ScriptedModel>,
    _no_namespaces: Option<NoNamespaces>,
}

impl World {
    /// Builds the programs and makes the world; `jobs` are to live at once, in
    /// PID namespaces or not.
    ///
    /// # Errors
    /// A program does not compile, or a file cannot be written.
    pub fn new(jobs: u64, namespaces: bool) -> Result<Self, Error> {
        let agent = build::scripted_agent()?;
        let program = build::convoke()?;
        let codex = real_codex()?;
        let mut environment = TestEnvironment::new(&program);
        // A soak that breaks off leaves its evidence behind.
        environment.keep(true);
        environment.write_config(&config(jobs));
        let mut model = None;
        let mut codex_path = None;
        if let Some(folder) = codex.as_deref().and_then(Path::parent) {
            let server = ScriptedModel::start_blocking(Script::default())?;
            environment.write_codex_config(&codex_config(&server.base_url()));
            let path = environment.variables().get("PATH");
            let path = path.map_or("", String::as_str);
            codex_path = Some(format!("{}:{path}", folder.display()));
            model = Some(server);
        }
        environment.add_scripted_codex(&agent);
        let no_namespaces = match namespaces {
            true => None,
            false => Some(NoNamespaces::make()?),
        };
        if let Some(made) = &no_namespaces {
            let words = made.words();
            environment.start_through(&words.each_ref().map(String::as_str));
        }
        let started = environment.root().join("started");
        fs_err::create_dir(&started)?;
        Ok(Self {
            environment,
            program,
            agent,
            started,
            codex_path,
            _model: model,
            _no_namespaces: no_namespaces,
        })
    }
}

/// A third of the jobs has to wait in line, so that lines are met too.
fn config(jobs: u64) -> String {
    let slots = (jobs * 2 / 3).max(1);
    format!(
        "[limits]\ntotal = {slots}\nreaders = {slots}\nwriters = {slots}\n\n[runner]\ngrace = \"2s\"\n"
    )
}

fn real_codex() -> Result<Option<PathBuf>, Error> {
    if deps::has_node() {
        return tools::codex::install().map(Some);
    }
    eprintln!("NOTE: without the real Codex: there is no Node here, which it needs");
    Ok(None)
}
