//! Which MCP servers a turn would get, and which of them are this program.

use std::path::{Path, PathBuf};

use convoke_agents::codex_exec::probe::{Registration, Transport};

use super::{Environment, FileStamp, TurnSettings, look_up};

/// Everything the list depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey {
    program: PathBuf,
    folder: PathBuf,
    profile: Option<String>,
    overrides: Vec<String>,
    path: Option<String>,
    files: Vec<FileStamp>,
}

/// Builds the key for one turn.
#[must_use]
pub fn key(
    turn: &TurnSettings<'_>,
    environment: &Environment,
    folder: &Path,
    program: &Path,
) -> ListKey {
    let mut files = Vec::new();
    if let Some(home) = codex_home(environment) {
        files.push(FileStamp::of(&home.join("config.toml")));
        if let Some(profile) = turn.profile {
            files.push(FileStamp::of(&home.join(format!("{profile}.config.toml"))));
        }
        files.extend(folder_stamps(&home.join("plugins"), 3));
    }
    files.push(FileStamp::of(Path::new("/etc/codex/config.toml")));
    files.push(FileStamp::of(Path::new("/etc/codex/managed_config.toml")));
    files.extend(
        folder
            .ancestors()
            .map(|above| FileStamp::of(&above.join(".codex/config.toml"))),
    );
    ListKey {
        program: program.to_owned(),
        folder: folder.to_owned(),
        profile: turn.profile.map(str::to_owned),
        overrides: turn.overrides.to_vec(),
        path: environment.get("PATH").cloned(),
        files,
    }
}

/// The home of the Codex a job uses.
#[must_use]
pub fn codex_home(environment: &Environment) -> Option<PathBuf> {
    match environment.get("CODEX_HOME") {
        Some(home) if !home.is_empty() => Some(PathBuf::from(home)),
        _ => environment
            .get("HOME")
            .map(|home| Path::new(home).join(".codex")),
    }
}

/// Installing or removing a plugin changes a folder some levels down.
fn folder_stamps(folder: &Path, levels: u32) -> Vec<FileStamp> {
    let mut stamps = vec![FileStamp::of(folder)];
    let Some(deeper) = levels.checked_sub(1) else {
        return stamps;
    };
    let Ok(entries) = fs_err::read_dir(folder) else {
        return stamps;
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for path in folders {
        stamps.extend(folder_stamps(&path, deeper));
    }
    stamps
}

/// Whether a registered server is this program, under whatever name: its
/// command, or an argument of a wrapper's command, is the same file, or is
/// called like it; an address that names it counts too.
#[must_use]
pub fn is_ours(
    registration: &Registration,
    environment: &Environment,
    folder: &Path,
    own: &Path,
) -> bool {
    match &registration.transport {
        Transport::Stdio { command, args, cwd } => {
            let folder = cwd
                .as_ref()
                .map_or_else(|| folder.to_owned(), |cwd| folder.join(cwd));
            std::iter::once(command)
                .chain(args)
                .flat_map(|word| word.split_whitespace())
                .any(|word| is_own_program(word, environment, &folder, own))
        }
        Transport::Url { url } => is_own_name(&registration.name) || url.contains(OWN_NAME),
        Transport::Unknown => is_own_name(&registration.name),
    }
}

const OWN_NAME: &str = "convoke";
const OWN_NAMES: [&str; 3] = [OWN_NAME, "codex-orchestrator", "codex-orch"];

fn is_own_name(name: &str) -> bool {
    OWN_NAMES.contains(&name)
}

fn is_own_program(word: &str, environment: &Environment, folder: &Path, own: &Path) -> bool {
    let word = word.trim_matches(['"', '\'']);
    let name = Path::new(word).file_name().and_then(|name| name.to_str());
    if name.is_some_and(is_own_name) {
        return true;
    }
    let Some(found) = look_up(word, environment.get("PATH").map(String::as_str), folder) else {
        return false;
    };
    same_file(&found, own)
}

fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs_err::metadata(a), fs_err::metadata(b)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stdio(command: &str, args: &[&str]) -> Registration {
        Registration {
            name: "helper".into(),
            enabled: true,
            transport: Transport::Stdio {
                command: command.into(),
                args: args.iter().map(|a| (*a).to_owned()).collect(),
                cwd: None,
            },
            ours: false,
        }
    }

    #[test]
    fn this_program_is_known_under_any_name() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let own = folder.path().join("own-program");
        fs_err::write(&own, "#!/bin/sh\n").expect("written");
        use std::os::unix::fs::PermissionsExt;
        fs_err::set_permissions(&own, std::fs::Permissions::from_mode(0o755))
            .expect("made executable");
        let link = folder.path().join("other-name");
        fs_err::os::unix::fs::symlink(&own, &link).expect("linked");
        let environment = [("PATH".to_owned(), folder.path().display().to_string())].into();
        let ours =
            |registration: &Registration| is_ours(registration, &environment, Path::new("/"), &own);
        assert!(ours(&stdio("other-name", &["mcp"])));
        assert!(ours(&stdio(
            "sh",
            &["-c", &format!("exec {} mcp", link.display())]
        )));
        assert!(ours(&stdio("/somewhere/else/convoke", &["mcp"])));
        assert!(!ours(&stdio("sh", &["-c", "true"])));
    }
}
