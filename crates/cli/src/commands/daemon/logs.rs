//! `convoke daemon logs`: show the daemon's log. Works without a daemon.

use std::{
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{context::Context, error::CliError, exit_code::End, output::Printer, runtime};

/// Between two looks for more.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes read at once.
const CHUNK: u64 = 1 << 20;

/// Arguments of `convoke daemon logs`.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last lines only
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 200)]
    tail: usize,
}

impl Logs {
    /// Shows the log.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let mut log = Log::at(context.home()?.join(super::LOG));
        let printer = context.printer;
        let past = log.read_more()?;
        for line in last_lines(&past, self.tail) {
            show(printer, line)?;
        }
        if !self.follow {
            return Ok(End::Success);
        }
        runtime::block_on(async {
            loop {
                sleep_until(Instant::now() + PAUSE).await;
                for line in log.read_more()?.lines() {
                    show(printer, line)?;
                }
            }
        })
    }
}

fn show(printer: Printer, line: &str) -> Result<(), CliError> {
    if printer.is_json() {
        return printer.json_line(&serde_json::json!({ "line": line }));
    }
    printer.foreign(line)
}

fn last_lines(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let total = text.lines().count();
    text.lines().skip(total.saturating_sub(count))
}

/// A log file that grows, and may be replaced by a new one.
struct Log {
    path: PathBuf,
    inode: u64,
    read: u64,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Log {
    fn at(path: PathBuf) -> Self {
        Self {
            path,
            inode: 0,
            read: 0,
            rest: Vec::new(),
        }
    }

    /// The whole lines that came since the last time; none while there is no
    /// file.
    fn read_more(&mut self) -> Result<String, CliError> {
        let file = match fs_err::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(String::new());
            }
            Err(error) => return Err(self.failed(error)),
        };
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if metadata.ino() != self.inode || metadata.len() < self.read {
            self.inode = metadata.ino();
            self.read = 0;
            self.rest.clear();
        }
        let mut bytes = std::mem::take(&mut self.rest);
        loop {
            let got = self.read_chunk(&file, &mut bytes)?;
            if got < CHUNK {
                break;
            }
        }
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.rest = bytes.split_off(end);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn read_chunk(
        &mut self,
        mut file: &fs_err::File,
        bytes: &mut Vec<u8>,
    ) -> Result<u64, CliError> {
        file.seek(SeekFrom::Start(self.read))
            .map_err(|error| self.failed(error))?;
        let got = file
            .take(CHUNK)
            .read_to_end(bytes)
            .map_err(|error| self.failed(error))? as u64;
        self.read += got;
        Ok(got)
    }

    fn failed(&self, error: std::io::Error) -> CliError {
        let path: &Path = &self.path;
        CliError::file("read", path)(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_once() {
        let path = std::env::temp_dir().join(format!("convoke-log-{}", std::process::id()));
        let mut log = Log::at(path.clone());
        assert_eq!(log.read_more().unwrap(), "");
        fs_err::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(log.read_more().unwrap(), "one\ntwo\n");
        fs_err::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(log.read_more().unwrap(), "three\n");
        fs_err::write(&path, "new\n").unwrap();
        assert_eq!(log.read_more().unwrap(), "new\n");
        fs_err::remove_file(&path).unwrap();
    }

    #[test]
    fn the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(last_lines("a\n", 2).collect::<Vec<_>>(), ["a"]);
        assert_eq!(last_lines("", 2).count(), 0);
    }
}
