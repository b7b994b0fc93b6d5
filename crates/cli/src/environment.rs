//! Every environment variable that means something to the program, in one
//! list: the reference is written from it.

/// One variable.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Where the state home is.
pub const CONVOKE_HOME: &str = "CONVOKE_HOME";
/// Codex's own folder.
pub const CODEX_HOME: &str = "CODEX_HOME";
/// The user's home folder.
pub const HOME: &str = "HOME";

/// The list.
pub const ALL: &[Variable] = &[
    Variable {
        name: CONVOKE_HOME,
        meaning: "State home, unless `--home` is given. Default: `~/.local/state/convoke`",
    },
    Variable {
        name: HOME,
        meaning: "Home folder, below which the default state home, the configuration and Codex's folder are looked for",
    },
    Variable {
        name: CODEX_HOME,
        meaning: "Codex's folder; handed on to jobs. Default: `~/.codex`",
    },
    Variable {
        name: "CODEX_API_KEY",
        meaning: "Key with which Codex authenticates; handed on to jobs",
    },
    Variable {
        name: "CODEX_MCP_MAX_JOBS",
        meaning: "For `convoke mcp`: at most so many running jobs of its caller",
    },
    Variable {
        name: "CODEX_MCP_DEFAULT_SANDBOX",
        meaning: "For `convoke mcp`: sandbox of jobs that ask for none (`read-only`, `workspace-write` or `danger-full-access`)",
    },
    Variable {
        name: "CONVOKE_K_READ",
        meaning: "For the daemon: readers per shared working tree; overrides `limits.readers`",
    },
    Variable {
        name: "CONVOKE_K_WRITE",
        meaning: "For the daemon: writers per shared working tree; overrides `limits.writers`",
    },
    Variable {
        name: "CONVOKE_JOB_ID",
        meaning: "Set for every job: its id. A program that carries it never starts a daemon",
    },
    Variable {
        name: "CONVOKE_RUNNER_ID",
        meaning: "Set for every job: the id of its runner",
    },
    Variable {
        name: "NO_COLOR",
        meaning: "If set and not empty, output has no colour",
    },
    Variable {
        name: "CLICOLOR_FORCE",
        meaning: "If set and not `0`, output has colour even where it is no terminal",
    },
];

/// Variables a daemon started by us gets, beside `CONVOKE_*`: what it needs to
/// find its files, to run git, and to run the command configured for the end of
/// a job. No secrets: jobs get their environment from who asks for them.
const FOR_DAEMON: [&str; 15] = [
    HOME,
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
];

/// Marks of a job's processes, which a daemon must not carry.
const MARKS: [&str; 2] = ["CONVOKE_JOB_ID", "CONVOKE_RUNNER_ID"];

/// Whether a daemon started by us gets the variable.
pub fn is_for_daemon(name: &str) -> bool {
    let ours = name.starts_with("CONVOKE_") && !MARKS.contains(&name);
    ours || FOR_DAEMON.contains(&name)
}

/// The value of a variable; an empty one counts as not set.
pub fn value(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_gets_no_marks_and_no_secrets() {
        assert!(is_for_daemon("PATH"));
        assert!(is_for_daemon("CONVOKE_K_READ"));
        assert!(!is_for_daemon("CONVOKE_JOB_ID"));
        assert!(!is_for_daemon("CODEX_API_KEY"));
    }
}
