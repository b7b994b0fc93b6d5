//! Where a job is to work.

use std::path::Path;

use convoke_api::{
    changes::WorkspaceKind,
    error::{ApiError, RequestCode},
    spawn::JobRequest,
};
use convoke_core::{ids::JobId, sandbox::Sandbox, spec::Workspace};

use super::build::Context;
use crate::{apply, config::Fallback, overlays, views};

/// Where it works, and what is to be said of it. Who goes on where another job stops
/// goes on in its working tree or layer, unless that is one of another tree; once it is
/// decided what becomes of what was done there, in a new one.
///
/// # Errors
/// What was asked for is not possible, and nothing else may take its place.
pub async fn of_request(
    context: &Context<'_>,
    request: &JobRequest,
    (id, tree, sandbox): (&JobId, &Path, Sandbox),
) -> Result<(Workspace, Option<String>), ApiError> {
    let before = context.continuation.map(|c| &c.previous);
    let apart =
        before.filter(|before| before.spec.tree == tree && !before.spec.workspace.is_shared());
    let own = apart.filter(|before| apply::settled(context.daemon, before).is_none());
    if let Some(own) = own {
        return Ok((own.spec.workspace.clone(), None));
    }
    let kind = apart.map(|before| views::workspace(before));
    let kind = request.workspace.or(kind);
    match kind.unwrap_or(context.config.workspace) {
        WorkspaceKind::Shared => Ok((Workspace::Shared, None)),
        WorkspaceKind::Worktree => Ok((Workspace::Worktree { of: id.clone() }, None)),
        WorkspaceKind::Overlay => {
            // An agent with full access is not held in a namespace, in which alone the
            // layer would be.
            let is_free = request.argv.is_none() && sandbox == Sandbox::DangerFullAccess;
            let obstacle = match is_free {
                true => Some("an agent with danger-full-access runs in no namespace".to_owned()),
                false => overlays::obstacle(context.daemon, tree).await,
            };
            match obstacle {
                None => Ok((Workspace::Overlay { of: id.clone() }, None)),
                Some(obstacle) => instead(context, (id, tree), &obstacle),
            }
        }
    }
}

fn instead(
    context: &Context<'_>,
    (id, tree): (&JobId, &Path),
    obstacle: &str,
) -> Result<(Workspace, Option<String>), ApiError> {
    let why = format!("no overlay is possible over {}: {obstacle}", tree.display());
    match context.config.fallback {
        Fallback::Worktree => Ok((
            Workspace::Worktree { of: id.clone() },
            Some(format!("{why}; the job gets a working tree of its own")),
        )),
        Fallback::Fail => Err(ApiError::new(RequestCode::Workspace, why).with_hint(
            "ask for `worktree`, or set `workspace.fallback = \"worktree\"`; `convoke doctor` looks at what overlays need",
        )),
    }
}
