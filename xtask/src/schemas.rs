//! `cargo xtask schemas`: the generated files below `docs`.
//!
//! | File | From |
//! |---|---|
//! | `docs/api/openapi.json` | the wire types |
//! | `docs/cli.md`, `docs/man/*.1` | the command line (`convoke __generate`) |
//! | `docs/mcp/jobs.tools.json` | what `convoke mcp` answers to `tools/list` |
//! | `docs/mcp/delegate.tools.json` | the same with `--tools delegate` |

use std::{
    collections::BTreeSet,
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fs_err as fs;
use serde_json::{Value, json};

use crate::{build, command, error::Error, folders};

/// Files and folders that hold nothing but generated files, below `docs`.
const GENERATED: [&str; 5] = [
    "api/openapi.json",
    "cli.md",
    "man",
    "mcp/jobs.tools.json",
    "mcp/delegate.tools.json",
];

/// Write the generated files: OpenAPI, command-line reference, manual pages, tool list
#[derive(Debug, clap::Args)]
pub struct Schemas {
    /// Only check that they are up to date
    #[arg(long)]
    check: bool,
}

impl Schemas {
    /// Runs the task.
    ///
    /// # Errors
    /// They cannot be generated; with `--check` also: they are not up to date.
    pub fn run(self) -> Result<(), Error> {
        let convoke = build::convoke()?;
        if self.check {
            return check(&convoke);
        }
        let docs = folders::workspace().join("docs");
        let pages = docs.join("man");
        if pages.is_dir() {
            // Pages of commands that are gone go too.
            fs::remove_dir_all(&pages)?;
        }
        generate(&convoke, &docs)
    }
}

/// Compares the committed files with what would be generated now.
///
/// # Errors
/// [`Error::Stale`] names those that differ, are missing or are too many.
pub fn check(convoke: &Path) -> Result<(), Error> {
    let fresh = tempfile::tempdir()?;
    generate(convoke, fresh.path())?;
    let docs = folders::workspace().join("docs");
    let mut names = BTreeSet::new();
    for root in [docs.as_path(), fresh.path()] {
        for name in GENERATED {
            collect(root, Path::new(name), &mut names)?;
        }
    }
    let files: Vec<String> = names
        .into_iter()
        .filter(|name| content(&docs.join(name)) != content(&fresh.path().join(name)))
        .map(|name| format!("docs/{}", name.display()))
        .collect();
    match files.is_empty() {
        true => Ok(()),
        false => Err(Error::Stale { files }),
    }
}

/// Writes all generated files below a folder.
fn generate(convoke: &Path, folder: &Path) -> Result<(), Error> {
    command::output(Command::new(convoke).arg("__generate").arg(folder))?;
    for folder in ["api", "mcp"].map(|name| folder.join(name)) {
        fs::create_dir_all(folder)?;
    }
    let openapi = convoke_api::openapi::document();
    fs::write(folder.join("api/openapi.json"), pretty(&openapi))?;
    for toolset in ["jobs", "delegate"] {
        fs::write(
            folder.join(format!("mcp/{toolset}.tools.json")),
            pretty(&tools_list(convoke, toolset)?),
        )?;
    }
    Ok(())
}

/// What the MCP server answers to `tools/list`.
fn tools_list(convoke: &Path, toolset: &str) -> Result<Value, Error> {
    // Not the home of whoever runs this: its settings must not show.
    let home = tempfile::tempdir()?;
    let mut command = Command::new(convoke);
    command
        .args(["mcp", "--tools", toolset])
        .env_clear()
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let shown = command::shown(&command);
    let mut server = command.spawn().map_err(|source| Error::Start {
        command: shown.clone(),
        source,
    })?;
    let answers = server.stdout.take().expect("stdout is piped");
    let mut requests = server.stdin.take().expect("stdin is piped");
    for message in handshake() {
        writeln!(requests, "{message}")?;
    }
    let tools = answer(BufReader::new(answers), &shown);
    // The end of its stdin ends the server.
    drop(requests);
    server.wait()?;
    tools
}

fn handshake() -> [Value; 3] {
    let hello = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "xtask", "version": "0"},
    });
    [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
    ]
}

/// The result of the request with id 2.
fn answer(lines: impl io::BufRead, command: &str) -> Result<Value, Error> {
    for line in lines.lines() {
        let mut message: Value = serde_json::from_str(&line?).map_err(|source| Error::Output {
            command: command.to_owned(),
            source,
        })?;
        if message["id"] == 2 && message["result"]["tools"].is_array() {
            return Ok(json!({"tools": message["result"]["tools"].take()}));
        }
    }
    Err(Error::Unexpected {
        what: format!("`{command}` ended without a list of tools"),
        hint: None,
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Adds a file, or all files below a folder, by their paths below the root.
fn collect(root: &Path, name: &Path, names: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let path = root.join(name);
    if path.is_dir() {
        for entry in fs::read_dir(&path)? {
            collect(root, &name.join(entry?.file_name()), names)?;
        }
    } else if path.exists() {
        names.insert(name.to_owned());
    }
    Ok(())
}

/// A file's content; none when it is not there or cannot be read.
fn content(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}
