//! The skill that ships with the program, shown and installed.

use convoke_test_support::environment::TestEnvironment;

use crate::world::world;

fn installed(world: &TestEnvironment) -> std::path::PathBuf {
    world.codex_home().join("skills/convoke-orchestration")
}

#[test]
fn it_is_shown() {
    let world = world();
    assert!(
        world
            .ok(&["skill", "show"])
            .starts_with("---\nname: convoke-orchestration\n")
    );
    for (part, words) in [
        ("runbook", "# Runbook"),
        ("quick-reference", "## Numbers"),
        ("drills", "# Drills"),
    ] {
        assert!(world.ok(&["skill", "show", part]).contains(words), "{part}");
    }
    assert_eq!(world.run(&["skill", "show", "poem"]).code, Some(2));
    assert!(!world.state_home().exists(), "nothing was made");
}

#[test]
fn it_is_installed_where_agents_find_it() {
    let world = world();
    let said = world.ok(&["skill", "install"]);
    assert_eq!(said, format!("installed {}", installed(&world).display()));
    let text = fs_err::read_to_string(installed(&world).join("SKILL.md")).expect("the skill");
    assert_eq!(text.trim_end(), world.ok(&["skill", "show"]));
    assert!(installed(&world).join("references/drills.md").exists());
    assert!(
        world
            .ok(&["skill", "install", "--codex"])
            .starts_with("up to date")
    );
    world.ok(&["skill", "install", "--claude", "--repo"]);
    for folder in [
        world.home().join(".claude/skills"),
        world.work().join(".agents/skills"),
    ] {
        assert!(
            folder.join("convoke-orchestration/SKILL.md").exists(),
            "{}",
            folder.display()
        );
    }
    let names: Vec<_> = fs_err::read_dir(world.codex_home().join("skills"))
        .expect("the skills")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["convoke-orchestration"]);
}

#[test]
fn what_was_changed_is_kept() {
    let world = world();
    world.ok(&["skill", "install"]);
    let file = installed(&world).join("SKILL.md");
    fs_err::write(&file, "mine").expect("changed");
    let refused = world.run(&["skill", "install"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("--replace"), "{refused}");
    assert_eq!(fs_err::read_to_string(&file).expect("read"), "mine");
    let done = world.json(&["skill", "install", "--replace"]);
    let kept = done[0]["kept"][0].as_str().expect("a backup");
    let text = fs_err::read_to_string(std::path::Path::new(kept).join("SKILL.md"));
    assert_eq!(text.expect("read"), "mine");
    assert!(!std::path::Path::new(kept).starts_with(world.codex_home().join("skills")));
}

#[test]
fn an_older_skill_that_contradicts_it_is_named() {
    let world = world();
    let old = world
        .codex_home()
        .join("skills/codex-subagent-orchestrator");
    fs_err::create_dir_all(&old).expect("made");
    fs_err::write(old.join("SKILL.md"), "old").expect("written");
    // Nothing is written anywhere, not even where nothing is in the way.
    let refused = world.run(&["skill", "install", "--codex", "--claude"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(
        refused.stderr.contains("contradicts this skill"),
        "{refused}"
    );
    assert!(old.exists() && !installed(&world).exists());
    assert!(!world.home().join(".claude/skills").exists());
    let done = world.json(&["skill", "install", "--replace"]);
    assert!(!old.exists() && installed(&world).exists());
    let kept = std::path::Path::new(done[0]["kept"][0].as_str().expect("a backup"));
    assert_eq!(
        fs_err::read_to_string(kept.join("SKILL.md")).expect("read"),
        "old"
    );
}

#[test]
fn outside_of_a_repository_there_is_none_to_install_it_in() {
    let world = world();
    fs_err::remove_dir_all(world.work().join(".git")).expect("no repository any more");
    let refused = world.run(&["skill", "install", "--repo"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("in no git repository"), "{refused}");
}
