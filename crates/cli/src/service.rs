//! The systemd user unit of the daemon: the one text that the command prints
//! and that packages ship.

use std::path::Path;

/// Where packages put the program.
#[cfg(test)]
const PACKAGED: &str = "/usr/bin/convoke";

/// The unit for a program at an absolute path, for the default state home or
/// for another.
pub fn unit(program: &Path, home: Option<&Path>) -> String {
    let program = quoted(program);
    let home = home.map_or_else(String::new, |home| format!(" --home {}", quoted(home)));
    format!(
        "\
# systemd user unit of the convoke daemon.
# Install it as ~/.config/systemd/user/convoke.service, then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now convoke.service

[Unit]
Description=convoke: coding agents as durable background jobs
Documentation=man:convoke(1)

[Service]
Type=exec
ExecStart={program}{home} daemon run
Restart=on-failure
RestartSec=1s
# Jobs outlive the daemon: stopping or restarting it ends nothing but itself.
KillMode=process
# A job that runs out of memory is that job's failure, not the daemon's.
OOMPolicy=continue

[Install]
WantedBy=default.target
"
    )
}

/// A path as a word of a unit's command line.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("\"{escaped}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_unit_is_this_one() {
        let shipped = include_str!("../../../packaging/systemd/convoke.service");
        assert_eq!(shipped, unit(Path::new(PACKAGED), None));
    }

    #[test]
    fn odd_paths_are_quoted() {
        let text = unit(Path::new("/opt/a b/convoke"), Some(Path::new("/h/50%")));
        assert!(
            text.contains("ExecStart=\"/opt/a b/convoke\" --home \"/h/50%%\" daemon run\n"),
            "{text}"
        );
    }
}
