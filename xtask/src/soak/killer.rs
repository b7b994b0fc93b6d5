//! Kills what belongs to the environment with SIGKILL, at random moments.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use convoke_test_support::census::{self, Process};

use super::{random::Random, stage::Stage};

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The daemon; the next request starts another one.
    Daemon,
    /// A runner.
    Runner,
    /// The first process of an agent's PID namespace.
    Init,
    /// An agent, or a process that one started.
    Agent,
    /// An MCP server.
    McpServer,
}

/// How often each is chosen.
const CHOICE: [(Victim, u64); 5] = [
    (Victim::Daemon, 25),
    (Victim::Runner, 27),
    (Victim::Init, 8),
    (Victim::Agent, 28),
    (Victim::McpServer, 12),
];

impl Victim {
    fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Runner => "runner",
            Self::Init => "namespace init",
            Self::Agent => "agent",
            Self::McpServer => "mcp server",
        }
    }
}

/// So many kills in a hundred are followed by another one at once: a daemon
/// that recovers, or a runner while no daemon looks.
const BURSTS: u64 = 25;
/// At most so long after it, milliseconds.
const AT_ONCE_MS: u64 = 300;

/// Kills as many as wanted over the time, evenly but not regularly.
pub fn kill_at_random(stage: &Stage, number: u64) {
    let mut random = Random::new(stage.plan.seed, number);
    let mut done = 0;
    while stage.goes_on() && done < stage.kills {
        let left = stage.until.saturating_duration_since(Instant::now());
        let mean = u64::try_from(left.as_millis()).unwrap_or(0) / (stage.kills - done).max(1);
        let longest = match done > 0 && random.percent(BURSTS) {
            true => AT_ONCE_MS,
            false => 2 * mean,
        };
        let wait = Duration::from_millis(random.below(longest + 1));
        stage.rest_until(Instant::now() + wait);
        let wanted = random.weighted(&CHOICE).unwrap_or(Victim::Agent);
        if stage.goes_on() && kill_one(stage, wanted, &mut random) {
            done += 1;
        }
    }
}

/// Kills one of a kind; false if there is none.
fn kill_one(stage: &Stage, wanted: Victim, random: &mut Random) -> bool {
    let processes = census::of_folder(stage.environment().root());
    let program = stage.world.program.display().to_string();
    let runners = runners(&processes, &program);
    let those: Vec<&Process> = processes
        .iter()
        .filter(|process| kind_of(process, &program, &runners) == Some(wanted))
        .collect();
    let Some(victim) = random.pick(&those) else {
        return false;
    };
    census::kill(victim.pid);
    stage.ledger.count(&format!("kill: {}", wanted.name()));
    true
}

/// Process ids of all runners, inits of namespaces among them.
fn runners(processes: &[Process], program: &str) -> BTreeSet<i32> {
    processes
        .iter()
        .filter(|process| subcommand(process, program) == Some("__runner"))
        .map(|process| process.pid)
        .collect()
}

fn kind_of(process: &Process, program: &str, runners: &BTreeSet<i32>) -> Option<Victim> {
    match subcommand(process, program) {
        Some("daemon") if process.command.contains(" run") => Some(Victim::Daemon),
        Some("__runner") => match parent(process.pid).is_some_and(|pid| runners.contains(&pid)) {
            true => Some(Victim::Init),
            false => Some(Victim::Runner),
        },
        Some("mcp") => Some(Victim::McpServer),
        Some(_) => None,
        None => is_agent(&process.command).then_some(Victim::Agent),
    }
}

/// The first word after the program's name and its state home, if it is our
/// program.
fn subcommand<'a>(process: &'a Process, program: &str) -> Option<&'a str> {
    let rest = process.command.strip_prefix(program)?;
    let mut words = rest.split_whitespace();
    match words.next() {
        Some("--home") => Some(words.nth(1).unwrap_or_default()),
        word => Some(word.unwrap_or_default()),
    }
}

/// Not a Codex that is only asked about itself: when that dies, the request is
/// rightly refused.
fn is_agent(command: &str) -> bool {
    let agent = command.contains("scripted-agent") || command.contains("/codex");
    agent && !command.contains(" mcp list") && !command.contains("--version")
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(command: &str) -> Option<Victim> {
        let process = Process {
            pid: -1,
            command: command.to_owned(),
        };
        kind_of(&process, "/t/convoke", &BTreeSet::new())
    }

    #[test]
    fn processes_are_told_apart() {
        assert_eq!(
            kind("/t/convoke --home /h daemon run --ready-on-stdout"),
            Some(Victim::Daemon)
        );
        assert_eq!(kind("/t/convoke daemon status"), None);
        assert_eq!(kind("/t/convoke __runner /h/r"), Some(Victim::Runner));
        assert_eq!(kind("/t/convoke mcp"), Some(Victim::McpServer));
        assert_eq!(kind("/t/convoke spawn -- /t/scripted-agent"), None);
        assert_eq!(kind("/t/scripted-agent --inline []"), Some(Victim::Agent));
        assert_eq!(kind("/bin/sh /h/bin/codex mcp list --json"), None);
        assert_eq!(kind("git status"), None);
    }
}
