//! Parents of processes and their command lines.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
pub(crate) use linux::{first_argument, parent};
#[cfg(target_os = "macos")]
pub(crate) use macos::{first_argument, parent};

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_child_knows_its_parent() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo runs; read line", "__runner"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        // A process that is just being executed has no arguments yet.
        let mut said = [0; 5];
        let stdout = child.stdout.as_mut().expect("stdout is a pipe");
        stdout.read_exact(&mut said).expect("sh says that it runs");
        assert_eq!(parent(child.id()), Some(std::process::id()));
        assert_eq!(first_argument(child.id()).as_deref(), Some("-c"));
        drop(child.stdin.take());
        child.wait().expect("the child ends");
    }
}
