//! Processes on macOS: libproc and `KERN_PROCARGS2`.

use std::mem::size_of;

/// The parent of a process; none above launchd.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: the buffer is a proc_bsdinfo of the size given; the call fills it
    // or returns less.
    let info = unsafe {
        let mut info: libc::proc_bsdinfo = std::mem::zeroed();
        let got = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size);
        (got == size).then_some(info)?
    };
    (info.pbi_ppid > 0).then_some(info.pbi_ppid)
}

/// The argument after the program's name.
pub(crate) fn first_argument(pid: u32) -> Option<String> {
    let mut name = [
        libc::CTL_KERN,
        libc::KERN_PROCARGS2,
        libc::c_int::try_from(pid).ok()?,
    ];
    let mut buffer = vec![0_u8; 1024 * 1024];
    let mut length = buffer.len();
    // SAFETY: the name has three entries, the buffer has the length given,
    // which the call replaces by what it wrote.
    let done = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    (done == 0).then_some(())?;
    let (count, rest) = buffer.get(..length)?.split_first_chunk::<4>()?;
    (i32::from_ne_bytes(*count) > 1).then_some(())?;
    // The path of the program, zeros up to a boundary, then the arguments,
    // each ended by a zero.
    let path_end = rest.iter().position(|byte| *byte == 0)?;
    let rest = rest.get(path_end..)?;
    let start = rest.iter().position(|byte| *byte != 0)?;
    let word = rest.get(start..)?.split(|byte| *byte == 0).nth(1)?;
    String::from_utf8(word.to_vec()).ok()
}
