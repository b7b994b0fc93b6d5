//! Which files and folders of a tree do not count, without asking git.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

/// Name of the files that hold rules (gitignore(5)).
const RULES: &str = ".gitignore";

/// What the rules say, as far as they were read.
#[derive(Debug)]
pub(super) struct Ignored {
    top: PathBuf,
    /// By folder, relative to the top.
    own: HashMap<PathBuf, Gitignore>,
    /// Of the repository.
    excluded: Gitignore,
    /// Of the user.
    global: Gitignore,
}

impl Ignored {
    /// Reads the rules outside of the tree; `exclude` is the file of the private
    /// repository.
    pub fn new(top: &Path, exclude: &Path) -> Self {
        let mut rules = GitignoreBuilder::new(top);
        // A file with a wrong line has its other lines.
        let _ = rules.add(exclude);
        Self {
            top: top.to_owned(),
            own: HashMap::new(),
            excluded: rules.build().unwrap_or_else(|_| Gitignore::empty()),
            global: GitignoreBuilder::new(top).build_global().0,
        }
    }

    /// Forgets what a file of rules said, if `path` is one.
    pub fn renew(&mut self, path: &Path) {
        if path.file_name() == Some(RULES.as_ref()) {
            self.own.remove(path.parent().unwrap_or(Path::new("")));
        }
    }

    /// Whether rules leave a path out that lies in a folder which they do not leave
    /// out. What is tracked nevertheless is not known here.
    pub fn leaves_out(&mut self, path: &Path, is_folder: bool) -> bool {
        if path.file_name() == Some(".git".as_ref()) {
            return true;
        }
        let full = self.top.join(path);
        // The nearest rules win (gitignore(5)).
        for folder in path.ancestors().skip(1) {
            let found = self.rules_of(folder).matched(&full, is_folder);
            match found {
                Match::None => {}
                found => return found.is_ignore(),
            }
        }
        match self.excluded.matched(&full, is_folder) {
            Match::None => self.global.matched(&full, is_folder).is_ignore(),
            found => found.is_ignore(),
        }
    }

    fn rules_of(&mut self, folder: &Path) -> &Gitignore {
        let top = &self.top;
        self.own.entry(folder.to_owned()).or_insert_with(|| {
            let folder = top.join(folder);
            let path = folder.join(RULES);
            // Git follows no link here either.
            let is_plain = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
            let mut rules = GitignoreBuilder::new(&folder);
            if is_plain {
                let _ = rules.add(path);
            }
            rules.build().unwrap_or_else(|_| Gitignore::empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rules_win() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let top = temp.path();
        let write = |name: &str, text: &str| fs_err::write(top.join(name), text).expect("written");
        fs_err::create_dir_all(top.join("a/b")).expect("made");
        write("exclude", "secret\n");
        write(".gitignore", "*.log\n/out/\n");
        write("a/.gitignore", "!keep.log\n");
        let mut ignored = Ignored::new(top, &top.join("exclude"));
        let mut left_out = |path: &str, is_folder| ignored.leaves_out(Path::new(path), is_folder);
        assert!(left_out("x.log", false));
        assert!(left_out("a/b/x.log", false));
        assert!(!left_out("a/keep.log", false));
        assert!(left_out("a/secret", false));
        assert!(left_out("out", true));
        assert!(!left_out("a/out", true));
        assert!(left_out(".git", true));
        write(".gitignore", "");
        ignored.renew(Path::new(".gitignore"));
        assert!(!ignored.leaves_out(Path::new("x.log"), false));
    }
}
