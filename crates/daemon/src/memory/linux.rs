//! Linux: `/proc/self/statm` (proc_pid_statm(5)).

/// Resident memory, bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let statm = fs_err::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    u64::try_from(rustix::param::page_size())
        .ok()
        .map(|size| size * pages)
}
