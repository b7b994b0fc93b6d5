//! `cargo xtask demo`: the main job, with real parts.
//!
//! A real Codex is the coordinator. It calls our MCP tools to start three real
//! Codex workers in a scratch repository, waits for the first, collects,
//! cancels the one that takes long, and reports. Only the model is not real:
//! it plays a script, so that no account is needed and it ends the same way
//! each time.
//!
//! `cast` says what the coordinator and the workers do, `coordinator` runs it
//! with Codex, `by_hand` without Node with the scripted agent and the CLI,
//! `scratch` holds the folders, `screen` shows the jobs live, `report` the end.

mod by_hand;
mod cast;
mod cli;
mod coordinator;
mod report;
mod scratch;
mod screen;

use std::{path::PathBuf, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use crate::{build, deps, error::Error, tools};
use cli::Cli;
use scratch::Scratch;
use screen::Screen;

/// How often the jobs are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The whole takes some 15 seconds; after this time something hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Let a Codex coordinator start, wait for and cancel Codex workers in a scratch repository
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Remove the scratch folder at the end
    #[arg(long)]
    clean: bool,
    /// Use the scripted agent and the CLI even if there is Node
    #[arg(long)]
    without_codex: bool,
}

/// Who plays.
enum Players {
    /// Codex as coordinator and workers: its `codex` program.
    Codex(PathBuf),
    /// The scripted agent as worker: its program. The CLI coordinates.
    ScriptedAgent(PathBuf),
}

impl Demo {
    /// Runs the task.
    ///
    /// # Errors
    /// Something needed is missing, or the outcome is not as it must be.
    pub fn run(self) -> Result<(), Error> {
        deps::required()?;
        let players = self.players()?;
        println!("Building convoke …");
        let convoke = build::convoke()?;
        let scratch = Scratch::create(match &players {
            Players::Codex(codex) => Some(codex),
            Players::ScriptedAgent(_) => None,
        })?;
        let cli = Cli::new(convoke, &scratch);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let played = runtime.block_on(async {
            let last_word = play(&players, &scratch, &cli).await?;
            report::show(&cli, &scratch, &last_word).await
        });
        let program = cli.program().to_owned();
        // Ends the daemon and what may still run.
        drop(cli);
        match self.clean && played.is_ok() {
            true => scratch.remove()?,
            false => report::how_to_go_on(&program, &scratch),
        }
        played
    }

    fn players(&self) -> Result<Players, Error> {
        let reason = match (self.without_codex, deps::has_node()) {
            (false, true) => return tools::codex::install().map(Players::Codex),
            (true, _) => "as asked",
            (false, false) => "there is no Node here, which Codex needs",
        };
        println!("NOTE: without Codex ({reason}).");
        println!("      The same jobs run as commands, played by the scripted agent, and the");
        println!("      convoke CLI does what the coordinator would do.\n");
        build::scripted_agent().map(Players::ScriptedAgent)
    }
}

/// Runs the coordinator and shows the jobs meanwhile; the coordinator's last
/// message.
async fn play(players: &Players, scratch: &Scratch, cli: &Cli<'_>) -> Result<String, Error> {
    let (say, mut said) = mpsc::channel(64);
    let coordinator = async {
        match players {
            Players::Codex(codex) => coordinator::run(codex, cli.program(), scratch, say).await,
            Players::ScriptedAgent(agent) => by_hand::run(agent, cli, scratch, say).await,
        }
    };
    tokio::pin!(coordinator);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut screen = Screen::new();
    let deadline = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(line) = said.recv() => screen.say(&line),
            _ = looks.tick() => screen.show(&cli.jobs().await?),
            done = &mut coordinator => {
                while let Ok(line) = said.try_recv() {
                    screen.say(&line);
                }
                screen.show(&cli.jobs().await?);
                return done.map(|last_word| screen.with_labels(&last_word));
            }
            _ = tokio::signal::ctrl_c() => return Err(unexpected("interrupted")),
            _ = terminate.recv() => return Err(unexpected("terminated")),
            _ = hangup.recv() => return Err(unexpected("the terminal is gone")),
            () = tokio::time::sleep_until(deadline) => {
                return Err(unexpected(&format!("not over after {} s", PATIENCE.as_secs())));
            }
        }
    }
}

/// An error in plain words.
fn unexpected(what: &str) -> Error {
    Error::Unexpected {
        what: what.to_owned(),
        hint: None,
    }
}
