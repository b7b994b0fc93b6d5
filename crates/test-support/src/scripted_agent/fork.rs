//! Starting further processes from a script.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::script::{ForkMode, Script, Step};

/// Starts this program again with its own steps.
pub fn fork(mode: ForkMode, steps: &Script, hold: bool, clear_env: bool) -> io::Result<()> {
    let text = match mode {
        ForkMode::DoubleFork => {
            let inner = Step::Fork {
                mode: ForkMode::Setsid,
                steps: steps.clone(),
                hold_stdout: hold,
                clear_env,
            };
            serde_json::to_string(&vec![inner])?
        }
        ForkMode::Group | ForkMode::Setsid => serde_json::to_string(steps)?,
    };
    let mut command = Command::new(std::env::current_exe()?);
    // A program that embeds the scripted agent is told by the first word.
    command.args(own_words()).arg("--inline").arg(text);
    command.stdin(Stdio::null());
    if !hold {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    if clear_env {
        command.env_clear();
    }
    if mode == ForkMode::Setsid {
        // SAFETY: setsid is allowed between fork and exec.
        unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
    }
    let mut child = command.spawn()?;
    if mode == ForkMode::DoubleFork {
        child.wait()?;
    }
    Ok(())
}

/// The words between the program's name and the script, as this process got them.
fn own_words() -> Vec<String> {
    std::env::args()
        .skip(1)
        .take_while(|word| word == "agent")
        .collect()
}
