//! What all end-to-end tests start from.

use std::path::{Path, PathBuf};

use convoke_test_support::environment::TestEnvironment;

/// A fresh world with the program under test.
pub fn world() -> TestEnvironment {
    TestEnvironment::new(Path::new(env!("CARGO_BIN_EXE_convoke")))
}

/// The scripted agent.
pub fn scripted_agent() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_convoke"))
        .with_file_name("examples")
        .join("scripted-agent")
}

/// Starts a job of the scripted agent that plays `script` and answers its id.
pub fn spawn_scripted(
    world: &TestEnvironment,
    options: &[&str],
    script: &serde_json::Value,
) -> String {
    let agent = scripted_agent();
    let agent = agent.to_str().expect("the path is UTF-8");
    world.spawn_command(options, &[agent, "--inline", &script.to_string()])
}

/// Starts the daemon in a user namespace in which no PID namespace can be made, so
/// that runners hold their agents by other means. False, with a word on
/// stderr, where the system allows no user namespaces either.
pub fn forbid_namespaces(world: &mut TestEnvironment) -> bool {
    let script = "echo 0 > /proc/sys/user/max_pid_namespaces && exec \"$@\"";
    let words = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
    ];
    let possible = world
        .command(words[0])
        .args(&words[1..])
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        eprintln!("skipped: no user namespace can be made here");
        return false;
    }
    world.start_through(&words);
    world.ok(&["daemon", "start"]);
    world.start_through(&[]);
    true
}

/// Puts a program called `codex` on the PATH that only exists.
pub fn add_codex_stand_in(world: &mut TestEnvironment) {
    let folder = world.root().join("bin");
    fs_err::create_dir_all(&folder).expect("a folder");
    fs_err::os::unix::fs::symlink("/bin/false", folder.join("codex")).expect("a link");
    world.add_to_path(&folder);
}
