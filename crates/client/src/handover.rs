//! Which daemon serves: that of the newest program that asked. A client that is
//! newer than the daemon has it hand over; one that is older uses it as it is.

use convoke_api::{
    daemon::{DaemonFile, StopRequest},
    paths,
};
use hyper::Method;
use semver::Version;

use crate::{guard, pool::Sender};

/// Whether a daemon is of an older program than this client, and may be asked
/// to hand over from here. What is not a version is left alone.
pub(crate) fn is_due(daemon: &DaemonFile) -> bool {
    let is_older = is_older(&daemon.program_version, env!("CARGO_PKG_VERSION"));
    is_older && guard::refusal().is_none()
}

fn is_older(daemon: &str, own: &str) -> bool {
    match (Version::parse(daemon), Version::parse(own)) {
        (Ok(daemon), Ok(own)) => daemon < own,
        _ => false,
    }
}

/// Asks for it; whether the daemon ends now. Its jobs go on.
pub(crate) async fn ask(sender: &mut Sender) -> bool {
    let body = serde_json::to_vec(&StopRequest { jobs: false }).unwrap_or_default();
    let request = crate::client::request(&Method::POST, paths::DAEMON_STOP, body.into());
    match sender.send_request(request).await {
        Ok(response) => response.status().is_success(),
        // It ended over it.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_older("0.9.0", "0.10.0"));
        assert!(is_older("0.2.0-beta.1", "0.2.0"));
        assert!(!is_older("0.10.0", "0.10.0"));
        assert!(!is_older("1.0.0", "0.10.0"));
        assert!(!is_older("unknown", "0.10.0"));
    }
}
