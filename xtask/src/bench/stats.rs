//! Medians, the disk, and the machine.

use std::{fs::File, io::Write, time::Instant};

use crate::error::Error;

/// Samples of the disk.
const SYNCS: usize = 200;

/// The value below which `share` (0 to 1) of the samples lie.
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return f64::NAN;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a short list"
    )]
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index]
}

/// The middle of the samples.
pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 0.5)
}

/// Milliseconds since an instant.
pub fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Median time of appending 4 KiB and `fdatasync`, milliseconds, on the disk
/// the measurements use.
pub fn fdatasync_ms() -> Result<f64, Error> {
    let folder = tempfile::tempdir_in("/tmp")?;
    let mut file = File::create(folder.path().join("sync"))?;
    let block = [7_u8; 4096];
    let mut samples = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&block)?;
        let start = Instant::now();
        file.sync_data()?;
        samples.push(ms_since(start));
    }
    Ok(median(&samples))
}

/// The machine in one line.
pub fn machine() -> String {
    let first = |file: &str, key: &str| {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        line.split_once(':')
            .map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "machine: {cores} cores ({}), memory {}, Linux {}",
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        kernel.trim()
    )
}
