//! The folders in which Codex looks for skills.

use std::path::{Path, PathBuf};

use super::{Origin, SkillRoot};

/// Skills that an administrator puts on the machine.
const MACHINE: &str = "/etc/codex/skills";

/// Largest `config.toml` that is read.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// What the roots depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The folder in which the agent works.
    pub folder: PathBuf,
    /// The top of its git work tree, if it is in one.
    pub top_level: Option<PathBuf>,
    /// The requester's Codex home.
    pub codex_home: Option<PathBuf>,
    /// The requester's home.
    pub home: Option<PathBuf>,
}

/// Every root, the one that wins first: the repository from the working folder
/// upwards, then the user, then the machine.
#[must_use]
pub fn roots(places: &Places, warnings: &mut Vec<String>) -> Vec<SkillRoot> {
    let mut roots = Vec::new();
    let mut add = |path: PathBuf, origin, plugin: Option<String>| {
        if !roots.iter().any(|root: &SkillRoot| root.path == path) {
            roots.push(SkillRoot {
                exists: path.is_dir(),
                path,
                origin,
                plugin,
            });
        }
    };
    for folder in repository_folders(places) {
        // The home of the user is no repository, even where a repository holds it.
        if Some(folder) == places.home.as_deref() {
            continue;
        }
        for name in [".agents/skills", ".codex/skills"] {
            add(folder.join(name), Origin::Repo, None);
        }
    }
    if let Some(codex_home) = &places.codex_home {
        add(codex_home.join("skills"), Origin::Global, None);
    }
    if let Some(home) = &places.home {
        add(home.join(".agents/skills"), Origin::Global, None);
    }
    if let Some(codex_home) = &places.codex_home {
        for (plugin, path) in plugins(codex_home, warnings) {
            add(path, Origin::Global, Some(plugin));
        }
        // What comes with Codex; other hidden folders are not looked into.
        add(codex_home.join("skills/.system"), Origin::Global, None);
    }
    add(PathBuf::from(MACHINE), Origin::Global, None);
    roots
}

fn repository_folders(places: &Places) -> Vec<&Path> {
    match &places.top_level {
        Some(top) => places
            .folder
            .ancestors()
            .take_while(|folder| folder.starts_with(top))
            .collect(),
        None => vec![&places.folder],
    }
}

/// The plugins that are switched on, with the folder of their skills: Codex unpacks
/// `NAME@MARKET` in `plugins/cache/MARKET/NAME/VERSION`.
fn plugins(codex_home: &Path, warnings: &mut Vec<String>) -> Vec<(String, PathBuf)> {
    let path = codex_home.join("config.toml");
    let small =
        fs_err::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() < CONFIG_LIMIT);
    if !small {
        return Vec::new();
    }
    let table = fs_err::read_to_string(&path)
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok());
    let Some(table) = table else {
        warnings.push(format!(
            "{} cannot be read, so skills of plugins are left out",
            path.display()
        ));
        return Vec::new();
    };
    let entries = table.get("plugins").and_then(toml::Value::as_table);
    let mut found = Vec::new();
    for (key, entry) in entries.into_iter().flatten() {
        let enabled = entry.get("enabled").and_then(toml::Value::as_bool);
        let Some((name, market)) = key.split_once('@').filter(|_| enabled != Some(false)) else {
            continue;
        };
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('/');
        if plain(name) && plain(market) {
            let versions = codex_home.join("plugins/cache").join(market).join(name);
            found.extend(newest(&versions).map(|path| (name.to_owned(), path.join("skills"))));
        }
    }
    found
}

/// The version of a plugin that was unpacked last.
fn newest(versions: &Path) -> Option<PathBuf> {
    let mut found: Vec<_> = fs_err::read_dir(versions)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let at = entry.metadata().and_then(|meta| meta.modified()).ok();
            (at, entry.path())
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}
