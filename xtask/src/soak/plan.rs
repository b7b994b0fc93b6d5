//! What each job is, by the seed and its number alone.

use std::path::{Path, PathBuf};

use convoke_scripted_model::{Script, Step};
use serde_json::{Value, json};

use super::{random::Random, temper::Temper};

/// The stream of numbers that choose jobs; those of threads have small numbers.
const STREAM: u64 = 1 << 32;
/// The longest running time of a job.
pub const LONGEST: &str = "120s";
/// How long a job may be silent, unless its temper is silence.
const IDLE: &str = "40s";
/// How long those may be silent that are going to be.
const SHORT_IDLE: &str = "2s";
/// How long an agent rests at most between its first lines and the rest,
/// milliseconds: jobs are to live long enough to be killed.
const LONGEST_REST_MS: u64 = 10_000;
/// Bytes of the very long line.
const LONG_LINE: usize = 50 * 1024 * 1024;

/// What makes jobs out of a seed.
#[derive(Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Folder of the files into which agents write that they started.
    pub started: PathBuf,
    /// Folder and all of `PATH` of the real Codex, if it is there.
    pub codex_path: Option<String>,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number.
    pub index: u64,
    /// Its label and idempotency key.
    pub key: String,
    /// What its agent is like.
    pub temper: Temper,
    /// The secret in its environment.
    pub token: String,
    /// What the agent prints and does: a script or a prompt.
    pub text: String,
    /// Number of numbered lines it prints.
    pub lines: u32,
    /// A message it says once, if it is an agent.
    pub says: Option<String>,
    /// How long it may be silent.
    pub idle: &'static str,
    /// `PATH` it is to have instead of the requester's.
    pub path: Option<String>,
    /// When it is cancelled, milliseconds after its acceptance, and whether by
    /// force.
    pub cancel: Option<(u64, bool)>,
    /// How many earlier jobs it needs.
    pub needs: u64,
    /// The client that asks for it is killed after so many milliseconds.
    pub client_dies: Option<u64>,
    /// It is asked for again after it was accepted.
    pub repeated: bool,
}

impl Plan {
    /// The job with a number.
    pub fn job(&self, index: u64, by_mcp: bool) -> Job {
        let mut random = Random::new(self.seed, STREAM + index);
        let mut temper = random
            .weighted(Temper::weights(by_mcp))
            .unwrap_or(Temper::QuickSuccess);
        if temper == Temper::RealCodex && self.codex_path.is_none() {
            temper = Temper::CodexTurn;
        }
        let key = format!("soak-{}-{index}", self.seed);
        let acting = Acting::of(temper, &key, &mut random);
        Job {
            index,
            text: acting.text(&self.started.join(&key), &mut random),
            lines: acting.lines,
            says: acting.says,
            idle: acting.idle,
            token: format!("{TOKEN_MARK}{:016x}{:016x}", random.next(), random.next()),
            path: self
                .codex_path
                .clone()
                .filter(|_| temper == Temper::RealCodex),
            cancel: random
                .percent(12)
                .then(|| (random.below(3_000), random.percent(33))),
            needs: match random.percent(8) && !temper.is_codex() {
                true => random.between(1, 2),
                false => 0,
            },
            client_dies: random.percent(3).then(|| random.below(60)),
            repeated: random.percent(10),
            temper,
            key,
        }
    }
}

/// How every secret begins: with a character that is rare elsewhere, so that
/// files can be searched quickly.
pub const TOKEN_MARK: &str = "~soak-";

/// What an agent does.
struct Acting {
    steps: Vec<Value>,
    lines: u32,
    says: Option<String>,
    idle: &'static str,
    real: bool,
}

impl Acting {
    fn of(temper: Temper, key: &str, random: &mut Random) -> Self {
        let mut acting = Self {
            steps: Vec::new(),
            lines: 0,
            says: None,
            idle: IDLE,
            real: temper == Temper::RealCodex,
        };
        match temper {
            Temper::CodexTurn | Temper::CodexStays | Temper::CodexFails | Temper::RealCodex => {
                acting.codex(temper, key, random);
            }
            Temper::QuickFailure => acting.add(json!({"do": "exit", "code": 1})),
            Temper::Steady => {
                for _ in 0..random.between(4, 20) {
                    acting.print(random.between(1, 20));
                    acting.add(json!({"do": "sleep", "ms": random.between(20, 2_000)}));
                }
            }
            // Silence ends the latter two, so they rest in no other way.
            Temper::QuickSuccess | Temper::Stall | Temper::IgnoresSignals => {
                acting.print(random.between(1, 12));
                acting.program(temper, random);
            }
            _ => {
                acting.print(random.between(1, 12));
                acting.add(json!({"do": "sleep", "ms": random.below(LONGEST_REST_MS)}));
                acting.print(random.between(1, 4));
                acting.program(temper, random);
            }
        }
        acting
    }

    fn program(&mut self, temper: Temper, random: &mut Random) {
        match temper {
            Temper::NonZeroExit => {
                self.add(json!({"do": "exit", "code": random.between(2, 120)}));
            }
            Temper::Flood => {
                self.add(
                    json!({"do": "flood", "bytes": random.between(1, 6) * 1_000_000 / 80 * 80}),
                );
                self.print(3);
            }
            Temper::Stall => self.fall_silent(),
            Temper::ForkTree => self.fork_tree(random),
            Temper::IgnoresSignals => {
                self.add(json!({"do": "ignore", "signals": ["INT", "TERM", "HUP", "QUIT"]}));
                self.fall_silent();
            }
            Temper::NoFinalNewline => self.print_last(""),
            Temper::HalfCharacter => self.print_last("e282"),
            Temper::LongLine => {
                self.add(json!({"do": "out", "size": LONG_LINE}));
                self.print(3);
            }
            Temper::HeldStdout => {
                let stall = json!([{"do": "stall"}]);
                self.add(
                    json!({"do": "fork", "mode": "setsid", "hold_stdout": true, "steps": stall}),
                );
            }
            Temper::KillsItself => {
                let signal = if random.percent(50) { "KILL" } else { "TERM" };
                self.add(json!({"do": "kill_self", "signal": signal}));
            }
            _ => {}
        }
    }

    fn fork_tree(&mut self, random: &mut Random) {
        let stall = json!([{"do": "stall"}]);
        let deaf = json!([{"do": "ignore", "signals": ["TERM", "HUP"]}, {"do": "stall"}]);
        let inner = json!([{"do": "fork", "mode": "double_fork", "steps": deaf}, {"do": "stall"}]);
        self.add(json!({"do": "fork", "mode": "group", "steps": stall}));
        self.add(json!({"do": "fork", "mode": "setsid", "steps": inner}));
        self.add(json!({"do": "fork", "mode": "double_fork", "steps": stall}));
        self.add(json!({"do": "sleep", "ms": random.below(3_000)}));
        self.print(2);
    }

    fn codex(&mut self, temper: Temper, key: &str, random: &mut Random) {
        let says = format!("done {key}");
        self.says = Some(says.clone());
        let thinks = random.below(LONGEST_REST_MS);
        if temper == Temper::RealCodex {
            let steps = [Step::DelayMs(thinks), Step::say(says)];
            self.steps = vec![Value::from(Script::prompt_line(&steps))];
            return;
        }
        self.add(json!({"do": "sleep", "ms": thinks}));
        let mut turn = json!({"do": "codex", "message": says, "commands": ["true", "false"]});
        if temper == Temper::CodexFails {
            turn["fail"] = Value::from("the model gave up");
        }
        self.add(turn);
        if temper == Temper::CodexStays {
            self.add(json!({"do": "stall"}));
        }
    }

    fn add(&mut self, step: Value) {
        self.steps.push(step);
    }

    /// Further numbered lines.
    fn print(&mut self, count: u64) {
        let count = u32::try_from(count).unwrap_or(1);
        let numbers = self.lines + 1..=self.lines + count;
        let lines: Vec<String> = numbers.map(line).collect();
        self.lines += count;
        self.add(json!({"do": "out", "text": lines.join("\n")}));
    }

    /// One more numbered line, with some bytes and no newline after it.
    fn print_last(&mut self, hex: &str) {
        self.lines += 1;
        self.add(json!({"do": "out", "text": line(self.lines), "hex": hex, "newline": false}));
    }

    fn fall_silent(&mut self) {
        self.idle = SHORT_IDLE;
        self.add(json!({"do": "stall"}));
    }

    /// The script; it begins by noting the start, and some show their secrets.
    fn text(&self, started: &Path, random: &mut Random) -> String {
        if self.real {
            let script = self.steps.first().and_then(Value::as_str);
            return format!("Say that you are done.\n{}", script.unwrap_or_default());
        }
        let note = json!({"do": "write", "path": started, "text": "started\n", "append": true});
        let mut steps = vec![note];
        // Codex prints nothing but its events.
        if random.percent(25) && self.says.is_none() {
            steps.push(json!({"do": "print_env"}));
        }
        steps.extend(self.steps.iter().cloned());
        Value::from(steps).to_string()
    }
}

/// A numbered line.
pub fn line(number: u32) -> String {
    format!("line {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            seed: 3,
            started: PathBuf::from("/started"),
            codex_path: Some("/codex:/bin".to_owned()),
        }
    }

    #[test]
    fn a_job_is_the_same_each_time_and_all_tempers_come() {
        let (first, second) = (plan().job(5, false), plan().job(5, false));
        assert_eq!(first.text, second.text);
        assert_eq!(first.token, second.token);
        let met: std::collections::BTreeSet<Temper> = (0..5_000)
            .map(|index| plan().job(index, false).temper)
            .collect();
        assert_eq!(met.len(), Temper::weights(false).len());
    }

    #[test]
    fn scripts_can_be_read() {
        for index in 0..500 {
            let job = plan().job(index, false);
            if job.temper != Temper::RealCodex {
                serde_json::from_str::<convoke_test_support::scripted_agent::Script>(&job.text)
                    .unwrap();
            }
        }
    }
}
