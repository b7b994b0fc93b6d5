//! How much power a job gets: what was asked for, bounded by the caller's own,
//! the repository's ceiling and the user's policy.

use std::path::Path;

use convoke_api::error::{ApiError, RequestCode};
use convoke_core::sandbox::{Access, Sandbox};

/// Everything that bounds a job's power.
#[derive(Clone, Debug)]
pub struct Bounds<'a> {
    /// The caller's own sandbox, if it states one.
    pub caller: Option<Sandbox>,
    /// Folder of the caller's process, within which a writing job of a
    /// sandboxed caller must run.
    pub caller_folder: &'a Path,
    /// `policy.max_sandbox` of the user's configuration.
    pub policy: Sandbox,
    /// `policy.max_sandbox` of the repository.
    pub repository: Option<Sandbox>,
}

/// The sandbox a job gets, and a notice if a default was narrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What the agent may write.
    pub sandbox: Sandbox,
    /// Told to the caller when a default was narrowed.
    pub notice: Option<String>,
}

/// Bounds the sandbox of a job. `asked` was asked for by the call; `default`
/// applies otherwise.
///
/// # Errors
/// [`RequestCode::PowerExceeded`] when more was *asked for* than allowed; a
/// default is narrowed instead.
pub fn grant_sandbox(
    bounds: &Bounds<'_>,
    asked: Option<Sandbox>,
    default: Sandbox,
) -> Result<Grant, ApiError> {
    let (most, why, hint) = ceiling(bounds);
    match asked {
        Some(sandbox) if sandbox > most => Err(ApiError::new(
            RequestCode::PowerExceeded,
            format!("`sandbox` is {sandbox}, but {why} allows at most {most}"),
        )
        .with_hint(hint)),
        Some(sandbox) => Ok(Grant {
            sandbox,
            notice: None,
        }),
        // Full access is never a default.
        None => {
            let wanted = default.min(Sandbox::WorkspaceWrite);
            let sandbox = wanted.min(most);
            let notice = (sandbox < wanted).then(|| {
                format!("sandbox narrowed from {wanted} to {sandbox}: {why} allows no more")
            });
            Ok(Grant { sandbox, notice })
        }
    }
}

fn ceiling(bounds: &Bounds<'_>) -> (Sandbox, &'static str, &'static str) {
    let mut least = (
        bounds.policy,
        "the user's policy (`policy.max_sandbox`)",
        "ask for less, or raise `policy.max_sandbox` in the user's own config.toml",
    );
    if let Some(repository) = bounds.repository.filter(|most| *most < least.0) {
        least = (
            repository,
            "the repository's .convoke.toml (`policy.max_sandbox`)",
            "ask for less",
        );
    }
    if let Some(caller) = bounds.caller.filter(|most| *most < least.0) {
        least = (
            caller,
            "the caller's own sandbox",
            "ask for less, or run the calling session with more power",
        );
    }
    least
}

/// Checks that a writing job of a sandboxed caller stays within the caller's
/// own folder; a reading job may run anywhere.
///
/// # Errors
/// [`RequestCode::PowerExceeded`] naming the argument.
pub fn check_folder(
    bounds: &Bounds<'_>,
    sandbox: Sandbox,
    key: &str,
    folder: &Path,
) -> Result<(), ApiError> {
    let confined = bounds
        .caller
        .is_some_and(|caller| caller != Sandbox::DangerFullAccess);
    if !confined || sandbox == Sandbox::ReadOnly || folder.starts_with(bounds.caller_folder) {
        return Ok(());
    }
    Err(ApiError::new(
        RequestCode::PowerExceeded,
        format!(
            "`{key}` is {}, outside the calling session's folder {}: a sandboxed caller cannot have a writing job there",
            folder.display(),
            bounds.caller_folder.display()
        ),
    )
    .with_hint("ask for sandbox read-only, or start the calling session in that folder"))
}

/// Reader or writer: as asked, else by the sandbox.
#[must_use]
pub fn access_of(asked: Option<Access>, sandbox: Sandbox) -> Access {
    match (asked, sandbox) {
        (_, Sandbox::ReadOnly) => Access::Read,
        (Some(access), _) => access,
        (None, _) => Access::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(caller: Option<Sandbox>, policy: Sandbox) -> Bounds<'static> {
        Bounds {
            caller,
            caller_folder: Path::new("/repo"),
            policy,
            repository: None,
        }
    }

    #[test]
    fn a_wider_request_is_refused_and_a_wider_default_narrowed() {
        let bounds = bounds(Some(Sandbox::ReadOnly), Sandbox::DangerFullAccess);
        let refused = grant_sandbox(
            &bounds,
            Some(Sandbox::WorkspaceWrite),
            Sandbox::WorkspaceWrite,
        )
        .expect_err("refused");
        assert_eq!(refused.code, RequestCode::PowerExceeded);
        assert!(refused.message.contains("`sandbox`"));
        let grant = grant_sandbox(&bounds, None, Sandbox::WorkspaceWrite).expect("granted");
        assert_eq!(grant.sandbox, Sandbox::ReadOnly);
        assert!(grant.notice.is_some());
    }

    #[test]
    fn full_access_needs_request_and_policy() {
        let strict = bounds(None, Sandbox::WorkspaceWrite);
        assert!(
            grant_sandbox(
                &strict,
                Some(Sandbox::DangerFullAccess),
                Sandbox::WorkspaceWrite
            )
            .is_err()
        );
        let open = bounds(None, Sandbox::DangerFullAccess);
        let asked = grant_sandbox(
            &open,
            Some(Sandbox::DangerFullAccess),
            Sandbox::WorkspaceWrite,
        )
        .expect("granted");
        assert_eq!(asked.sandbox, Sandbox::DangerFullAccess);
        let default = grant_sandbox(&open, None, Sandbox::DangerFullAccess).expect("granted");
        assert_eq!(default.sandbox, Sandbox::WorkspaceWrite);
    }

    #[test]
    fn a_confined_writer_stays_in_the_callers_folder() {
        let confined = bounds(Some(Sandbox::WorkspaceWrite), Sandbox::WorkspaceWrite);
        let folder = |path| Path::new(path);
        assert!(
            check_folder(
                &confined,
                Sandbox::WorkspaceWrite,
                "workingDirectory",
                folder("/repo/a")
            )
            .is_ok()
        );
        assert!(
            check_folder(
                &confined,
                Sandbox::WorkspaceWrite,
                "workingDirectory",
                folder("/repository")
            )
            .is_err()
        );
        assert!(
            check_folder(
                &confined,
                Sandbox::ReadOnly,
                "workingDirectory",
                folder("/other")
            )
            .is_ok()
        );
        let free = bounds(None, Sandbox::WorkspaceWrite);
        assert!(
            check_folder(
                &free,
                Sandbox::WorkspaceWrite,
                "workingDirectory",
                folder("/other")
            )
            .is_ok()
        );
    }
}
