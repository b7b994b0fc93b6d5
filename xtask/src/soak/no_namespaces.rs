//! A user namespace in which no PID namespace can be made, so that runners
//! hold their agents by other means.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::error::Error;

/// What its first process does: it forbids, and lives until stdin ends.
const SCRIPT: &str =
    "echo 0 > /proc/sys/user/max_pid_namespaces && echo ready && exec cat > /dev/null";

/// The namespace; it lives as long as this.
#[derive(Debug)]
pub struct NoNamespaces(Child);

impl NoNamespaces {
    /// Makes it.
    ///
    /// # Errors
    /// The system allows no user namespaces.
    pub fn make() -> Result<Self, Error> {
        // Without words of the environment, so that its census leaves it alone.
        let mut child = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", SCRIPT])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start {
                command: "unshare --user".to_owned(),
                source,
            })?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let made = Self(child);
        match line.as_str() {
            "ready\n" => Ok(made),
            _ => Err(Error::Unexpected {
                what: "no user namespace can be made here".to_owned(),
                hint: Some("leave out --without-namespaces".to_owned()),
            }),
        }
    }

    /// The words that start a program in it.
    pub fn words(&self) -> [String; 5] {
        let pid = self.0.id().to_string();
        let words = ["nsenter", "--user", "--preserve-credentials", "--target"];
        let [enter, user, keep, target] = words.map(str::to_owned);
        [enter, user, keep, target, pid]
    }
}

impl Drop for NoNamespaces {
    fn drop(&mut self) {
        // Its stdin ends, and so does it; it is killed in case it does not.
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
