//! Commands that would change the history of a repository, which is no business
//! of a worker's.

/// Subcommands of git that write refs, the index or objects.
const WRITES: [&str; 20] = [
    "add",
    "am",
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
    "switch",
    "update-ref",
];

/// Those that write when they are told more than options and these words.
const WRITE_WITH_WORDS: [&str; 4] = ["branch", "stash", "tag", "worktree"];
const READ: [&str; 2] = ["list", "show"];

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
        let Some(subcommand) = next else { continue };
        // `git stash` alone writes too.
        let writes = WRITES.contains(&subcommand)
            || (WRITE_WITH_WORDS.contains(&subcommand)
                && match words.clone().next() {
                    Some(word) => !word.starts_with("--show") && !READ.contains(&word),
                    None => subcommand == "stash",
                });
        if writes {
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
            ("cd x && /usr/bin/git --no-pager stash", Some("stash")),
            ("git status && git push", Some("push")),
            ("git branch --show-current", None),
            ("git branch", None),
            ("git stash list", None),
            ("git stash", Some("stash")),
            ("git branch -D side", Some("branch")),
            ("git worktree add ../x", Some("worktree")),
            ("git log --grep commit", None),
            ("touch commit", None),
            ("git", None),
        ];
        for (command, expected) in table {
            assert_eq!(in_command(command), expected, "{command}");
        }
    }
}
