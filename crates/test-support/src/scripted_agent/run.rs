//! Doing what a script says.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, Read as _, Write};
use std::process::Command;

use rustix::event::{Timespec, poll};
use rustix::process::{Signal, getpid, getppid, getuid, kill_process};

use super::codex;
use super::fork::fork;
use super::script::{Script, Step, Text};

/// How often a gate is looked at, in milliseconds.
const GATE_MS: u64 = 5;

/// Runs all steps; the exit code.
pub fn run(script: &Script) -> io::Result<u8> {
    for step in script {
        if let Some(code) = run_step(step)? {
            return Ok(code);
        }
    }
    Ok(0)
}

/// Runs one step; an exit code when it is the last.
fn run_step(step: &Step) -> io::Result<Option<u8>> {
    match step {
        Step::Out(text) => write_text(&mut io::stdout().lock(), text)?,
        Step::Err(text) => write_text(&mut io::stderr().lock(), text)?,
        Step::Sleep { ms } => pause(*ms),
        Step::Write { path, text, append } => {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .append(*append)
                .truncate(!append)
                .open(path)?;
            file.write_all(text.as_bytes())?;
        }
        Step::ReadStdin {} => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            say(&format!("stdin {}", bytes.len()))?;
        }
        Step::ReadLine {} => read_line()?,
        Step::Fork {
            mode,
            steps,
            hold_stdout,
            clear_env,
        } => fork(*mode, steps, *hold_stdout, *clear_env)?,
        Step::Ignore { signals } => signals.iter().try_for_each(|name| ignore(name))?,
        Step::Stall {} => loop {
            pause(60_000);
        },
        Step::Flood { bytes } => flood(*bytes)?,
        Step::PrintEnv {} => print_env()?,
        Step::PrintIds {} => print_ids()?,
        Step::Exit { code } => return Ok(Some(*code)),
        Step::KillSelf { signal } => kill_process(getpid(), signal_of(signal)?)?,
        Step::WaitFile { path } => {
            while !path.exists() {
                pause(GATE_MS);
            }
        }
        Step::Run { argv } => run_program(argv)?,
        Step::Codex {
            thread,
            message,
            commands,
            fail,
        } => {
            for line in codex::turn(thread, message, commands, fail.as_deref()) {
                say(&line.to_string())?;
            }
        }
        Step::Json { value } => say(&value.to_string())?,
    }
    Ok(None)
}

fn write_text(out: &mut impl Write, text: &Text) -> io::Result<()> {
    let mut bytes = text.text.clone().into_bytes();
    for pair in text.hex.as_bytes().chunks(2) {
        let digits = std::str::from_utf8(pair).map_err(io::Error::other)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(io::Error::other)?);
    }
    bytes.resize(bytes.len() + text.size, b'x');
    if text.newline {
        bytes.push(b'\n');
    }
    for _ in 0..text.repeat {
        out.write_all(&bytes)?;
    }
    out.flush()
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn read_line() -> io::Result<()> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line)? {
        0 => say("line-end"),
        _ => say(&format!("line {}", line.trim_end_matches('\n'))),
    }
}

fn flood(bytes: u64) -> io::Result<()> {
    let line = [b"f".repeat(79), vec![b'\n']].concat();
    let block = line.repeat(512);
    let mut out = io::stdout().lock();
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    while left > 0 {
        let n = left.min(block.len());
        out.write_all(&block[..n])?;
        left -= n;
    }
    out.flush()
}

fn print_env() -> io::Result<()> {
    let mut vars: Vec<String> = std::env::vars_os()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
        .collect();
    vars.sort();
    vars.iter().try_for_each(|line| say(line))
}

fn print_ids() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .map_or("?", str::trim);
    let parent = getppid().map_or(0, |pid| pid.as_raw_pid());
    say(&format!(
        "pid {} ppid {parent} uid {} caps {caps}",
        getpid().as_raw_pid(),
        getuid().as_raw()
    ))
}

fn run_program(argv: &[String]) -> io::Result<()> {
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("run: no program"))?;
    let status = Command::new(program).args(args).status()?;
    say(&format!("ran {}", status.code().unwrap_or(-1)))
}

fn ignore(name: &str) -> io::Result<()> {
    let number = signal_of(name)?.as_raw();
    // SAFETY: ignoring a signal installs no handler.
    match unsafe { libc::signal(number, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn signal_of(name: &str) -> io::Result<Signal> {
    Ok(match name {
        "INT" => Signal::INT,
        "TERM" => Signal::TERM,
        "HUP" => Signal::HUP,
        "QUIT" => Signal::QUIT,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "ABRT" => Signal::ABORT,
        _ => return Err(io::Error::other(format!("unknown signal {name}"))),
    })
}

/// Waits without being woken by anything but time.
fn pause(ms: u64) {
    let limit = Timespec {
        tv_sec: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
    };
    // An interrupted wait only ends early.
    let _ = poll(&mut [], Some(&limit));
}
