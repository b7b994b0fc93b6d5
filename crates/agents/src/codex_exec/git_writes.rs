//! Commands that would change the history of a repository, which is no business
//! of a worker's.

/// Subcommands of git that write refs, the index or objects.
const WRITES: [&str; 24] = [
    "add",
    "am",
    "branch",
    "checkout",
    "cherry-pick",
    "clean",
    "commit",
    "fetch",
    "init",
    "merge",
    "mv",
    "pull",
    "push",
    "rebase",
    "replace",
    "reset",
    "restore",
    "revert",
    "rm",
    "stash",
    "switch",
    "tag",
    "update-ref",
    "worktree",
];

/// Options of git itself that take the word after them.
const WITH_VALUE: [&str; 4] = ["-C", "-c", "--git-dir", "--work-tree"];

/// The first subcommand of git in a command line that writes. Only a guess, for
/// lines of which it is known that they were denied: quotes are taken for spaces.
#[must_use]
pub fn in_command(command: &str) -> Option<&str> {
    let is_edge = |c: char| c.is_whitespace() || "\"'`;&|()".contains(c);
    let mut words = command.split(is_edge).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word != "git" && !word.ends_with("/git") {
            continue;
        }
        let mut next = words.next();
        while let Some(option) = next.filter(|word| word.starts_with('-')) {
            if WITH_VALUE.contains(&option) {
                words.next();
            }
            next = words.next();
        }
        if let Some(subcommand) = next.filter(|word| WRITES.contains(word)) {
            return Some(subcommand);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_that_write_are_found() {
        let table = [
            ("/bin/bash -lc 'git commit -m x'", Some("commit")),
            ("git -C sub -c user.name=x add .", Some("add")),
            ("cd x && /usr/bin/git --no-pager stash; ls", Some("stash")),
            ("git status && git push", Some("push")),
            ("git log --grep commit", None),
            ("touch commit", None),
            ("git", None),
        ];
        for (command, expected) in table {
            assert_eq!(in_command(command), expected, "{command}");
        }
    }
}
