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
    use super::*;

    #[test]
    fn a_child_knows_its_parent() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line", "__runner"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        assert_eq!(parent(child.id()), Some(std::process::id()));
        assert_eq!(first_argument(child.id()).as_deref(), Some("-c"));
        drop(child.stdin.take());
        child.wait().expect("the child ends");
    }
}
