//! Looks at what jobs need: agents, state folder, containment.

use std::{path::Path, sync::Arc};

use convoke_agents::codex_exec::probe::Login;
use convoke_api::{
    caller::Caller,
    doctor::{Check, DoctorReport, Verdict},
};

use convoke_store::folder_bytes;

use crate::{
    clock,
    config::Config,
    damage,
    discovery::{Codex, Environment, TurnSettings},
    disk_space, environment, error_chain, executor,
    state::Daemon,
};

/// Looks at everything, with the environment of the caller.
pub async fn examine(daemon: &Arc<Daemon>, caller: &Caller) -> DoctorReport {
    let mut checks = Vec::new();
    let config = match daemon.config() {
        Ok(config) => {
            checks.push(ok("config", "the configuration is valid".into()));
            config
        }
        Err(error) => {
            checks.push(broken("config", error_chain(&error), "correct the file"));
            daemon.last_config()
        }
    };
    let folder = Path::new(if caller.folder.is_empty() {
        "/"
    } else {
        &caller.folder
    });
    let environment = environment::of_job(&config, &Environment::new(), &caller.environment);
    checks.extend(codex(daemon, &config, &environment, folder).await);
    checks.push(state_folder(daemon));
    checks.push(kept_jobs(daemon).await);
    checks.push(damage_found(daemon));
    checks.push(daemon_check(daemon));
    checks.push(git());
    checks.push(containment(daemon).await);
    checks.push(overlays(daemon, folder).await);
    DoctorReport { checks }
}

/// What is kept, how much room it takes, and for how long.
async fn kept_jobs(daemon: &Arc<Daemon>) -> Check {
    const NAME: &str = "state.size";
    let measured = tokio::task::spawn_blocking({
        let daemon = Arc::clone(daemon);
        move || {
            let root = daemon.home.root();
            let bytes = |name: &str| folder_bytes(&root.join(name));
            let database = ["convoke.db", "convoke.db-wal"]
                .iter()
                .filter_map(|name| std::fs::metadata(root.join(name)).ok())
                .map(|meta| meta.len())
                .sum::<u64>();
            let counts = daemon.store.counts();
            let kept = (bytes("jobs"), bytes("runners"), bytes("trees"));
            (database, kept, counts)
        }
    });
    let Ok((database, (jobs, runners, trees), counts)) = measured.await else {
        return broken(
            NAME,
            "the room cannot be measured".into(),
            "look at the daemon's log",
        );
    };
    let counts = match counts {
        Ok(counts) => counts,
        Err(error) => return broken(NAME, error_chain(&error), "look at the daemon's log"),
    };
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let ended = counts.completed + counts.failed + counts.cancelled;
    let live = counts.queued + counts.running;
    ok(
        NAME,
        format!(
            "{ended} ended and {live} live jobs; database {}, events and artifacts {}, journals {}, states of working trees {}; \
             `convoke gc` and `[retention]` say what is kept",
            mib(database),
            mib(jobs),
            mib(runners),
            mib(trees)
        ),
    )
}

/// Damage of the last thirty days.
fn damage_found(daemon: &Daemon) -> Check {
    const NAME: &str = "state.damage";
    const RECENT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
    let now = clock::now();
    let recent: Vec<String> = damage::known(&daemon.home)
        .into_iter()
        .filter(|one| now.since(one.at) < RECENT_MS)
        .map(|one| format!("{}: {}; {}", one.at.to_rfc3339(), one.found, one.done))
        .collect();
    if recent.is_empty() {
        return ok(NAME, "none was found".into());
    }
    Check {
        name: NAME.into(),
        verdict: Verdict::Warning,
        message: recent.join("\n"),
        repair: Some(
            "check the disk; delete damage.jsonl in the state folder when you have seen this"
                .into(),
        ),
    }
}

async fn codex(
    daemon: &Daemon,
    config: &Config,
    environment: &Environment,
    folder: &Path,
) -> Vec<Check> {
    let found = daemon
        .discovery
        .codex(config.codex_binary.as_deref(), environment, folder)
        .await;
    let codex = match found {
        Ok(codex) => codex,
        Err(error) => {
            let repair = "install it (`npm install -g @openai/codex`) or name it as `codex.binary` in config.toml";
            return vec![broken("codex.found", error_chain(&error), repair)];
        }
    };
    let mut checks = vec![ok(
        "codex.found",
        format!("{} runs {}", codex.found.display(), codex.program.display()),
    )];
    checks.push(version(&codex));
    checks.push(login(daemon, &codex, environment, folder).await);
    checks.push(ok(
        "codex.home",
        format!("workers use {}", codex_home(environment)),
    ));
    checks.push(registration(daemon, &codex, environment, folder).await);
    checks
}

fn version(codex: &Codex) -> Check {
    let version = codex.capabilities.version;
    if codex.capabilities.tried {
        return ok("codex.version", format!("Codex {version}"));
    }
    Check {
        name: "codex.version".into(),
        verdict: Verdict::Warning,
        message: format!("Codex {version} is older than the versions this program was tried with"),
        repair: Some("update it: `npm install -g @openai/codex`".into()),
    }
}

async fn login(daemon: &Daemon, codex: &Codex, environment: &Environment, folder: &Path) -> Check {
    if environment.contains_key("CODEX_API_KEY") {
        return ok(
            "codex.login",
            "CODEX_API_KEY is handed on to workers".into(),
        );
    }
    match daemon.discovery.login(codex, environment, folder).await {
        Ok(Login::LoggedIn { how }) => ok("codex.login", how),
        Ok(Login::LoggedOut) => Check {
            name: "codex.login".into(),
            verdict: Verdict::Warning,
            message: format!("not logged in ({})", codex_home(environment)),
            repair: Some("`codex login`, or pass CODEX_API_KEY; a provider of your own in config.toml needs neither".into()),
        },
        Ok(Login::Unknown { answer }) => Check {
            name: "codex.login".into(),
            verdict: Verdict::Warning,
            message: format!("`codex login status` was not understood: {answer}"),
            repair: None,
        },
        Err(error) => broken("codex.login", error_chain(&error), "run `codex login status` by hand"),
    }
}

async fn registration(
    daemon: &Daemon,
    codex: &Codex,
    environment: &Environment,
    folder: &Path,
) -> Check {
    let turn = TurnSettings {
        profile: None,
        overrides: &[],
    };
    match daemon
        .discovery
        .registrations(codex, &turn, environment, folder, &daemon.program)
        .await
    {
        Ok(list) => match list.iter().find(|registration| registration.ours) {
            Some(ours) => ok(
                "codex.registration",
                format!("this program is registered as `{}`", ours.name),
            ),
            None => Check {
                name: "codex.registration".into(),
                verdict: Verdict::Warning,
                message: "this program is not registered with Codex as an MCP server".into(),
                repair: Some(format!(
                    "add to {}/config.toml: [mcp_servers.convoke] command = \"{}\", args = [\"mcp\"], \
                     supports_parallel_tool_calls = true, tool_timeout_sec = 900, \
                     omit_tools_from = [\"deferred\", \"code_mode\"], \
                     env_vars = [\"CODEX_HOME\", \"CONVOKE_HOME\"], a line each",
                    codex_home(environment),
                    daemon.program.display()
                )),
            },
        },
        Err(error) => broken(
            "codex.registration",
            error_chain(&error),
            "run `codex mcp list --json` by hand",
        ),
    }
}

fn codex_home(environment: &Environment) -> String {
    match (environment.get("CODEX_HOME"), environment.get("HOME")) {
        (Some(home), _) if !home.is_empty() => home.clone(),
        (_, Some(home)) => format!("{home}/.codex"),
        _ => "no Codex home: neither CODEX_HOME nor HOME is set".into(),
    }
}

fn state_folder(daemon: &Daemon) -> Check {
    let root = daemon.home.root();
    match disk_space::free(daemon) {
        Ok(free) => {
            let free = free >> 20;
            if free < 1024 {
                return Check {
                    name: "state.folder".into(),
                    verdict: Verdict::Warning,
                    message: format!("{} has {free} MiB left", root.display()),
                    repair: Some(
                        "free space: a job may write up to 512 MiB of output, and below `limits.free_space` none is accepted".into(),
                    ),
                };
            }
            ok(
                "state.folder",
                format!("{} ({free} MiB free)", root.display()),
            )
        }
        Err(error) => broken(
            "state.folder",
            format!("{}: {error}", root.display()),
            "check the folder",
        ),
    }
}

fn daemon_check(daemon: &Daemon) -> Check {
    let view = crate::status::of(daemon);
    ok(
        "daemon",
        format!(
            "pid {}, {} running, {} queued",
            view.pid, view.running, view.queued
        ),
    )
}

fn git() -> Check {
    match convoke_workspace::git::read(Path::new("/"), &["--version"]) {
        Ok(version) => ok("git", String::from_utf8_lossy(&version).trim().to_owned()),
        Err(error) => Check {
            name: "git".into(),
            verdict: Verdict::Warning,
            message: error_chain(&error),
            repair: Some("install git: without it, what a job changed is not known".into()),
        },
    }
}

/// Tries what the runner does to hold an agent's processes.
async fn containment(daemon: &Daemon) -> Check {
    match executor::containment(daemon).await {
        Ok(report) if report.rung == convoke_core::runner_protocol::Rung::PidNamespace => {
            ok("containment", "each agent runs in a process namespace of its own".into())
        }
        Ok(report) => Check {
            name: "containment".into(),
            verdict: Verdict::Warning,
            message: format!(
                "agents are held by {} only: {}",
                crate::executor::projection::rung_name(report.rung),
                report.detail
            ),
            repair: Some("allow user namespaces (Linux: `sysctl kernel.unprivileged_userns_clone=1`, or an AppArmor profile); agents are found and ended all the same".into()),
        },
        Err(error) => broken("containment", error.to_string(), "report it"),
    }
}

/// Tries what the runner does to lay a layer over the caller's tree.
async fn overlays(daemon: &Arc<Daemon>, folder: &Path) -> Check {
    const NAME: &str = "overlays";
    let tree = convoke_workspace::repository::top_level(folder);
    let tree = tree.unwrap_or_else(|| folder.to_owned());
    let shown = tree.display();
    match crate::overlays::obstacle(daemon, &tree).await {
        None => ok(NAME, format!("jobs can work in layers over {shown}")),
        Some(why) => Check {
            name: NAME.into(),
            verdict: Verdict::Warning,
            message: format!("no overlay is possible over {shown}: {why}"),
            repair: Some(
                "nothing, if no job asks for `overlay`; `workspace.fallback` says what such jobs get instead"
                    .into(),
            ),
        },
    }
}

fn ok(name: &str, message: String) -> Check {
    Check {
        name: name.into(),
        verdict: Verdict::Ok,
        message,
        repair: None,
    }
}

fn broken(name: &str, message: String, repair: &str) -> Check {
    Check {
        name: name.into(),
        verdict: Verdict::Error,
        message,
        repair: Some(repair.into()),
    }
}
