//! Fills a new private repository from the user's: its settings, links to the
//! objects, and the index, so that what is committed or staged need not be read
//! and stored again.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{PrivateRepository, PrivateRepositoryError, create_private, io_error, write_private};
use crate::{
    git::{self, GitError},
    plain_file::plain_file,
};

/// What files are stored as, over everything a `.gitattributes` says: as they
/// are.
const ATTRIBUTES: &str = "* -text -eol -filter -ident -working-tree-encoding\n";

/// Most bytes of a file of rules, and of an index.
const MOST_RULES: u64 = 4 << 20;
const MOST_INDEX: u64 = 1 << 30;

/// Settings and attributes through which git stores files other than as they
/// are: what the user's index says of them is of no use then.
const CONVERSIONS: [&str; 5] = ["text", "eol", "filter", "ident", "working-tree-encoding"];

/// Fills it, and answers which file says what is ignored. What was begun before
/// is begun anew.
pub(super) fn fill(
    repository: &PrivateRepository,
) -> Result<Option<PathBuf>, PrivateRepositoryError> {
    let top = repository.top();
    let source = UserRepository::of(top);
    let format = source.as_ref().map_or("sha1", |found| &found.object_format);
    repository.init(format)?;
    let info = repository.folder().join("info");
    write(&info.join("attributes"), ATTRIBUTES.as_bytes())?;
    let Some(source) = source else {
        write_rules(repository, b"")?;
        return Ok(None);
    };
    let exclude = source.common.join("info/exclude");
    follow_exclude(repository, &exclude)?;
    link_objects(&source, repository)?;
    if index_is_of_no_use(&source) {
        adopt_paths(&source, repository)?;
    } else {
        adopt_index(&source, repository)?;
    }
    Ok(Some(exclude))
}

/// Ignores what the user's repository ignores now.
pub(super) fn follow_exclude(
    repository: &PrivateRepository,
    exclude: &Path,
) -> Result<(), PrivateRepositoryError> {
    let theirs = plain_file(exclude, MOST_RULES).unwrap_or_default();
    write_rules(repository, &theirs)
}

/// Ignores what these rules say, and our own folders, which may lie in the tree.
pub(super) fn write_rules(
    repository: &PrivateRepository,
    theirs: &[u8],
) -> Result<(), PrivateRepositoryError> {
    let mut rules = theirs.to_vec();
    if let Some(own) = repository.own_folders_within() {
        if !rules.is_empty() && !rules.ends_with(b"\n") {
            rules.push(b'\n');
        }
        rules.extend_from_slice(format!("/{}/\n", escaped(&own)).as_bytes());
    }
    let ours = repository.folder().join("info/exclude");
    if fs_err::read(&ours).is_ok_and(|ours| ours == rules) {
        return Ok(());
    }
    write(&ours, &rules)
}

/// A path as a rule that means just it (gitignore(5)).
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if matches!(c, '\\' | '*' | '?' | '[' | ']' | ' ' | '#' | '!') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// What is needed to know of the user's repository.
struct UserRepository {
    top: PathBuf,
    /// Its own folder: of a linked work tree, the one within the main
    /// repository's.
    own: PathBuf,
    /// The folder that all its work trees share.
    common: PathBuf,
    object_format: String,
}

impl UserRepository {
    fn of(top: &Path) -> Option<Self> {
        let asked = [
            "rev-parse",
            "--path-format=absolute",
            "--git-dir",
            "--git-common-dir",
            "--show-object-format",
        ];
        let answer = git::read_store(top, &asked).ok()?;
        let text = String::from_utf8(answer).ok()?;
        let mut lines = text.lines();
        Some(Self {
            top: top.to_owned(),
            own: lines.next()?.into(),
            common: lines.next()?.into(),
            object_format: lines.next()?.to_owned(),
        })
    }
}

/// Links packs and loose objects. Where they cannot be linked, because they lie
/// on another file system, they are looked up there, and what is stored here is
/// what no commit holds.
fn link_objects(
    source: &UserRepository,
    repository: &PrivateRepository,
) -> Result<(), PrivateRepositoryError> {
    let (from, to) = (
        source.common.join("objects"),
        repository.folder().join("objects"),
    );
    let mut alternates: Vec<PathBuf> = plain_file(&from.join("info/alternates"), MOST_RULES)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| from.join(line))
        .collect();
    let device = |path: &Path| fs_err::metadata(path).map(|meta| meta.dev()).ok();
    if device(&from) != device(&to) || link_all(&from, &to).is_err() {
        alternates.push(from);
    }
    if alternates.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = alternates
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    write(&to.join("info/alternates"), lines.concat().as_bytes())
}

fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_loose = name.len() == 2;
        if !(is_loose || name == "pack") || !entry.file_type()?.is_dir() {
            continue;
        }
        let folder = to.join(&name);
        create_private(&folder).map_err(io::Error::other)?;
        let mut files: Vec<PathBuf> = fs_err::read_dir(entry.path())?
            .map(|file| file.map(|file| file.path()))
            .collect::<io::Result<_>>()?;
        // An index without its pack is an error to git, a pack without its index
        // is not.
        files.sort_by_key(|file| file.extension() == Some("idx".as_ref()));
        for file in files {
            link(&file, &folder)?;
        }
    }
    Ok(())
}

fn link(file: &Path, folder: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default();
    let extension = file.extension().and_then(|extension| extension.to_str());
    // Marks and files in the making are not for us.
    let is_pack_part = matches!(extension, Some("pack" | "idx" | "rev"));
    let is_object = extension.is_none() && !name.to_string_lossy().starts_with("tmp_");
    if !is_pack_part && !is_object {
        return Ok(());
    }
    match fs_err::hard_link(file, folder.join(name)) {
        // Packed away or linked meanwhile.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(())
        }
        linked => linked,
    }
}

/// Whether git may store a file of this tree other than it is, or keeps its
/// index in a form that needs its own folder. Any mention counts.
fn index_is_of_no_use(source: &UserRepository) -> bool {
    let top = &source.top;
    let names = r"^(core\.(autocrlf|eol|splitindex|sparsecheckout|attributesfile)|index\.sparse)$";
    let setting = ["config", "--get-regexp", names];
    if !matches!(git::read_store(top, &setting), Err(GitError::Failed { .. })) {
        return true;
    }
    let listed = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--",
        "*.gitattributes",
    ];
    let Ok(files) = git::read_store(top, &listed) else {
        return true;
    };
    let names = String::from_utf8_lossy(&files).into_owned();
    let listed = names.split('\0').filter(|name| !name.is_empty());
    let own = [
        top.join(".gitattributes"),
        source.common.join("info/attributes"),
    ];
    let all = listed.map(|name| top.join(name)).chain(own);
    all.chain(attributes_of_the_user()).any(|path| {
        match plain_file(&path, MOST_RULES) {
            Ok(text) => mentions_conversion(&String::from_utf8_lossy(&text)),
            // What cannot be read may say anything.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    })
}

/// Where git looks for attributes outside of repositories (gitattributes(5)).
fn attributes_of_the_user() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(home?.join(".config")));
    let own = config.map(|folder| folder.join("git/attributes"));
    own.into_iter()
        .chain([PathBuf::from("/etc/gitattributes")])
        .collect()
}

fn mentions_conversion(attributes: &str) -> bool {
    attributes
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split_whitespace().skip(1))
        .any(|word| {
            let name = word.split('=').next().unwrap_or_default();
            // `-text` and `binary` leave files as they are.
            CONVERSIONS.contains(&name) || (name.starts_with('[') || name == "crlf")
        })
}

/// Takes the user's index over, with what it knows of the files on disk.
fn adopt_index(
    source: &UserRepository,
    repository: &PrivateRepository,
) -> Result<(), PrivateRepositoryError> {
    let index = repository.folder().join("index");
    match plain_file(&source.own.join("index"), MOST_INDEX) {
        Ok(bytes) => write(&index, &bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("read", source.own.join("index"))(error)),
    }
    // An index in parts, or one that git cannot read by itself here, is of no use,
    // and neither is one with marks that hide changes.
    let refreshed = repository.run(&["update-index", "-q", "--really-refresh"], &[])?;
    // 1: something is to be refreshed, which the next state does.
    if matches!(refreshed.status.code(), Some(0 | 1)) && !hides_changes(repository)? {
        return Ok(());
    }
    adopt_paths(source, repository)
}

/// Whether files are marked `assume-unchanged` or `skip-worktree`: their changes
/// would not be seen.
fn hides_changes(repository: &PrivateRepository) -> Result<bool, PrivateRepositoryError> {
    let listed = repository.git(&["ls-files", "-v", "-z"])?;
    let mut entries = listed
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty());
    Ok(entries.any(|entry| entry[0] == b'S' || entry[0].is_ascii_lowercase()))
}

/// Takes over which files there are, but not what the index knows of them: all
/// are read for the first state.
fn adopt_paths(
    source: &UserRepository,
    repository: &PrivateRepository,
) -> Result<(), PrivateRepositoryError> {
    let index = repository.folder().join("index");
    if let Err(error) = fs_err::remove_file(&index)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(io_error("remove", index)(error));
    }
    let entries = git::read_store(&source.top, &["ls-files", "-z", "--stage"])?;
    // Of a path with conflicts, stages 1 to 3 are listed; one is enough.
    let mut listed = Vec::with_capacity(entries.len());
    for entry in entries.split(|byte| *byte == 0).filter(|e| !e.is_empty()) {
        let Some((what, path)) = split_once(entry, b'\t') else {
            continue;
        };
        let mut words = what.split(|byte| *byte == b' ');
        let (Some(mode), Some(object)) = (words.next(), words.next()) else {
            continue;
        };
        for part in [mode, b" ", object, b"\t", path, b"\0"] {
            listed.extend_from_slice(part);
        }
    }
    repository.git_with(&["update-index", "-z", "--index-info"], &listed)?;
    Ok(())
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PrivateRepositoryError> {
    if let Some(folder) = path.parent() {
        create_private(folder)?;
    }
    write_private(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::mentions_conversion;

    #[test]
    fn conversions_are_seen() {
        for text in [
            "* text=auto\n",
            "*.sh text eol=lf\n",
            "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "*.txt\tident\n",
            "[attr]mine text\n",
            "a crlf\n",
        ] {
            assert!(mentions_conversion(text), "{text}");
        }
        for text in [
            "",
            "# * text\n",
            "*.png binary\n",
            "*.lock -diff\n",
            "* -text\n",
            "gen/** linguist-generated\n",
        ] {
            assert!(!mentions_conversion(text), "{text}");
        }
    }
}
