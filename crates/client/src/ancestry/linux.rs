//! Processes on Linux: `/proc`.

/// The parent of a process; none above the first of the namespace.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; state and parent follow the
    // last bracket.
    let (_, rest) = stat.rsplit_once(')')?;
    let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (parent > 0).then_some(parent)
}

/// The argument after the program's name.
pub(crate) fn first_argument(pid: u32) -> Option<String> {
    let line = fs_err::read(format!("/proc/{pid}/cmdline")).ok()?;
    let word = line.split(|byte| *byte == 0).nth(1)?;
    String::from_utf8(word.to_vec()).ok()
}
