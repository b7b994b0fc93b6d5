use std::{os::unix::fs::symlink, path::Path};

use super::*;

struct Scene {
    temp: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("a temp folder");
        for folder in ["home", "codex", "repo/sub"] {
            fs_err::create_dir_all(temp.path().join(folder)).expect("created");
        }
        Self { temp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn skill(&self, folder: &str, text: &str) -> PathBuf {
        let path = self.path(folder).join("SKILL.md");
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs_err::write(&path, text).expect("written");
        path
    }

    fn index(&self) -> SkillIndex {
        self.index_of(true, true)
    }

    fn index_of(&self, repo: bool, global: bool) -> SkillIndex {
        let places = Places {
            folder: self.path("repo/sub"),
            top_level: Some(self.path("repo")),
            codex_home: Some(self.path("codex")),
            home: Some(self.path("home")),
        };
        let mut index = index(&places, repo, global);
        // The machine that runs the tests may have some of its own.
        index.skills.retain(|skill| !skill.path.starts_with("/etc"));
        index
    }
}

fn text(name: &str) -> String {
    format!("---\nname: {name}\ndescription: about {name}\n---\n# {name}\n")
}

fn names(index: &SkillIndex) -> Vec<&str> {
    index
        .skills
        .iter()
        .map(|skill| skill.name.as_str())
        .collect()
}

#[test]
fn every_root_is_read_and_the_nearest_wins() {
    let scene = Scene::new();
    scene.skill("repo/sub/.agents/skills/a", &text("a"));
    scene.skill("repo/.codex/skills/b", &text("b"));
    scene.skill("codex/skills/c", &text("c"));
    scene.skill("codex/skills/.system/d", &text("d"));
    scene.skill("home/.agents/skills/deep/er/e", &text("e"));
    let hidden = scene.skill("home/.agents/skills/b", &text("b"));
    scene.skill("codex/plugins/cache/m/p/1.0/skills/f", &text("f"));
    scene.skill("codex/plugins/cache/m/off/1.0/skills/g", &text("g"));
    let config = "[plugins.\"p@m\"]\nenabled = true\n[plugins.\"off@m\"]\nenabled = false\n";
    fs_err::write(scene.path("codex/config.toml"), config).expect("written");
    let index = scene.index();
    assert_eq!(names(&index), ["a", "b", "c", "e", "p:f", "d"]);
    assert_eq!(index.skills[1].origin, Origin::Repo);
    assert_eq!(index.hidden.len(), 1);
    assert_eq!(index.hidden[0].path, hidden);
    assert_eq!(index.warnings, Vec::<String>::new());
    assert_eq!(
        names(&scene.index_of(false, true)),
        ["c", "b", "e", "p:f", "d"]
    );
    assert_eq!(names(&scene.index_of(true, false)), ["a", "b"]);
}

#[test]
fn yaml_is_yaml_and_the_name_may_be_that_of_the_folder() {
    let scene = Scene::new();
    scene.skill(
        "codex/skills/folded",
        "---\r\ndescription: >-\r\n  one: \"two\"\r\n  three\r\nmetadata: {x: [1, 2]}\r\n---\r\n# One\r\n```\r\n# code\r\n```\r\n## Two\r\n",
    );
    scene.skill(
        "codex/skills/out",
        "---\nname: out\ndescription: d\ndelegator_exclude: true\n---\n",
    );
    let index = scene.index();
    assert_eq!(names(&index), ["folded"]);
    assert_eq!(index.skills[0].description, "one: \"two\" three");
    assert_eq!(index.skills[0].headings, ["One", "Two"]);
}

/// Whatever is wrong with one skill is told and leaves the others alone.
#[test]
fn poisoned_skills_harm_nothing() {
    let scene = Scene::new();
    scene.skill("repo/.agents/skills/good", &text("good"));
    let poison = [
        ("bad-yaml", "---\nname: [\n---\n".to_owned()),
        ("laughs", laughs()),
        (
            "no-end",
            format!("---\nname: x\n{}", "a: b\n".repeat(10_000)),
        ),
        ("no-front", "# nothing".to_owned()),
        ("no-text", "---\nname: no-text\n---\n".to_owned()),
        ("up", text("../../../etc/passwd")),
        (
            "line",
            "---\nname: \"a\\nb\"\ndescription: d\n---\n".to_owned(),
        ),
        (
            "huge",
            format!("{}{}", text("huge"), "x".repeat(5 * 1024 * 1024)),
        ),
    ];
    for (folder, text) in &poison {
        scene.skill(&format!("repo/.agents/skills/{folder}"), text);
    }
    scene.skill("repo/.agents/skills/a\n- evil", &text("evil"));
    let binary = scene.path("repo/.agents/skills/binary/SKILL.md");
    fs_err::create_dir_all(binary.parent().expect("a folder")).expect("created");
    fs_err::write(&binary, [0xff, 0xfe, 0x00]).expect("written");
    let index = scene.index();
    assert_eq!(names(&index), ["good"]);
    for folder in poison.iter().map(|(folder, _)| *folder).chain(["binary"]) {
        let told = index
            .warnings
            .iter()
            .filter(|text| text.contains(&format!("/{folder}/SKILL.md")));
        assert_eq!(told.count(), 1, "{folder}: {:#?}", index.warnings);
    }
    assert!(
        index.warnings.iter().all(|text| !text.contains('\n')),
        "{:#?}",
        index.warnings
    );
}

/// Aliases of aliases that would fill the memory.
fn laughs() -> String {
    let mut text = String::from("---\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            [before.as_str(); 9].join(", ")
        ));
    }
    text.push_str("name: laughs\ndescription: *a11\n---\n");
    text
}

#[test]
fn links_go_round_in_no_circle_and_not_out_of_the_repository() {
    let scene = Scene::new();
    let root = scene.path("repo/.agents/skills");
    scene.skill("repo/.agents/skills/good", &text("good"));
    scene.skill("elsewhere/private", &text("private"));
    symlink(&root, root.join("good/loop")).expect("linked");
    symlink(scene.path("elsewhere/private"), root.join("out")).expect("linked");
    fs_err::create_dir_all(root.join("file")).expect("created");
    symlink(Path::new("/etc/hostname"), root.join("file/SKILL.md")).expect("linked");
    symlink(root.join("self"), root.join("self")).expect("linked");
    let pipe = root.join("pipe/SKILL.md");
    fs_err::create_dir_all(root.join("pipe")).expect("created");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("made");
    // A user may keep skills elsewhere.
    fs_err::create_dir_all(scene.path("codex/skills")).expect("created");
    symlink(
        scene.path("elsewhere/private"),
        scene.path("codex/skills/own"),
    )
    .expect("linked");
    let index = scene.index();
    assert_eq!(names(&index), ["good", "private"]);
    assert_eq!(index.skills[1].origin, Origin::Global);
    assert_eq!(index.warnings.len(), 3, "{:#?}", index.warnings);
}
