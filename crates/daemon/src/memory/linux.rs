//! Linux: `/proc/self/statm` (proc_pid_statm(5)) and `malloc_trim(3)`.

/// Resident memory, bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let statm = fs_err::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    u64::try_from(rustix::param::page_size())
        .ok()
        .map(|size| size * pages)
}

/// Gives memory that is not used back to the system. Blocking: each arena of the
/// allocator is locked in turn.
pub fn give_back() {
    // Other C libraries, such as musl, have no such call and keep less.
    #[cfg(target_env = "gnu")]
    // SAFETY: It takes no pointers and may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
