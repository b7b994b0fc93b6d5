//! `convoke doctor`: check the installation and say how to repair it.
//!
//! What can be seen without a daemon is looked at here; the daemon adds what it
//! alone knows.

mod registration;
mod state_home;

use convoke_api::{
    doctor::{Check, DoctorReport, DoctorRequest, Verdict},
    error::ApiError,
};

use crate::{
    caller,
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::End,
    output::{
        style::{self, styled},
        text::clean,
    },
    runtime,
};

/// Arguments of `convoke doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 1 when something does not work. Warnings are no errors.")]
pub struct Doctor {}

impl Doctor {
    /// Checks everything.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let home = context.home()?;
        let mut checks = vec![state_home::folder(&home)];
        let connection = context.connect()?;
        let request = DoctorRequest {
            caller: caller::this_process()?,
        };
        checks.extend(runtime::block_on(async {
            Ok(daemon(&connection, &request).await)
        })?);
        checks.extend(registration::checks());
        checks.push(state_home::room(&home));
        let report = DoctorReport {
            checks: without_repeats(checks),
        };
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&report)?;
        } else {
            printer.line(&words(&report))?;
        }
        let failed = report
            .checks
            .iter()
            .any(|check| check.verdict == Verdict::Error);
        Ok(if failed { End::Failure } else { End::Success })
    }
}

/// Whether the daemon answers, and what it says.
async fn daemon(connection: &Connection, request: &DoctorRequest) -> Vec<Check> {
    let report = match connection.doctor(request).await {
        Ok(report) => report,
        Err(error) => return vec![unreachable(&error.to_api_error())],
    };
    let mut checks = Vec::new();
    match connection.daemon().await {
        Ok(daemon) => {
            let reached = format!("process {} answers on {}", daemon.pid, daemon.socket);
            checks.push(ok("daemon.reachable", reached));
            checks.push(version(&daemon.version));
        }
        Err(error) => checks.push(unreachable(&error.to_api_error())),
    }
    checks.extend(report.checks);
    checks
}

fn unreachable(error: &ApiError) -> Check {
    let repair = error.hint.clone();
    Check {
        name: "daemon.reachable".to_owned(),
        verdict: Verdict::Error,
        message: error.message.clone(),
        repair: Some(
            repair.unwrap_or_else(|| "`convoke daemon run` in a terminal shows why".to_owned()),
        ),
    }
}

fn version(daemon: &str) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    if daemon == ours {
        return ok("daemon.version", format!("{ours}, as this program"));
    }
    let message = format!("the daemon is {daemon}, this program is {ours}");
    let repair = "`convoke daemon stop`; the next command starts the new one, jobs go on meanwhile";
    warning("daemon.version", message, repair)
}

/// The first check of a name counts.
fn without_repeats(checks: Vec<Check>) -> Vec<Check> {
    let mut kept: Vec<Check> = Vec::new();
    for check in checks {
        if kept.iter().all(|other| other.name != check.name) {
            kept.push(check);
        }
    }
    kept
}

fn words(report: &DoctorReport) -> String {
    let width = report
        .checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for check in &report.checks {
        let word = match check.verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Error => "error  ",
        };
        let word = styled(style::of_verdict(check.verdict), word);
        lines.push(format!(
            "{word}  {:width$}  {}",
            check.name,
            clean(&check.message)
        ));
        if let Some(repair) = check
            .repair
            .as_ref()
            .filter(|_| check.verdict != Verdict::Ok)
        {
            for line in clean(repair).lines() {
                lines.push(format!("{:width$}{line}", "", width = width + 11));
            }
        }
    }
    lines.join("\n")
}

fn ok(name: &str, message: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        verdict: Verdict::Ok,
        message: message.into(),
        repair: None,
    }
}

fn warning(name: &str, message: impl Into<String>, repair: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        verdict: Verdict::Warning,
        message: message.into(),
        repair: Some(repair.into()),
    }
}

fn error(name: &str, message: impl Into<String>, repair: impl Into<String>) -> Check {
    Check {
        verdict: Verdict::Error,
        ..warning(name, message, repair)
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    #[test]
    fn a_report() {
        let checks = vec![
            ok("state.home", "/h"),
            warning("daemon.version", "older", "stop it\nthen go on"),
            error("codex.binary", "there is none", "install it"),
            ok("state.home", "again"),
        ];
        let report = DoctorReport {
            checks: without_repeats(checks),
        };
        insta::assert_snapshot!(strip_str(&words(&report)), @r"
        ok       state.home      /h
        warning  daemon.version  older
                                 stop it
                                 then go on
        error    codex.binary    there is none
                                 install it
        ");
    }
}
