//! Watches folders with inotify(7).

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

use super::Notice;

/// Bytes read at a time.
const BUFFER: usize = 64 * 1024;

/// Watches single folders, not what lies below them.
#[derive(Debug)]
pub(in crate::journal) struct Watcher {
    top: PathBuf,
    queue: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    watches: HashMap<PathBuf, i32>,
}

impl Watcher {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The user has as many watchers as the system allows.
    pub fn new(top: PathBuf) -> io::Result<Self> {
        Ok(Self {
            top,
            queue: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            folders: HashMap::new(),
            watches: HashMap::new(),
        })
    }

    /// Watches a folder, relative to the top.
    ///
    /// # Errors
    /// It is gone, or no folder, or the user watches as many as the system allows.
    pub fn watch(&mut self, folder: &Path) -> io::Result<()> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::EXCL_UNLINK;
        let watch = inotify::add_watch(&self.queue, self.top.join(folder), flags)?;
        self.folders.insert(watch, folder.to_owned());
        self.watches.insert(folder.to_owned(), watch);
        Ok(())
    }

    /// How many folders are watched.
    pub fn count(&self) -> usize {
        self.watches.len()
    }

    /// Waits until something happens, `wake` can be read or the time is over.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn wait(&self, wake: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(super::timespec);
        let mut fds = [
            PollFd::from_borrowed_fd(self.queue.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What happened, without waiting.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<Notice>> {
        let mut notices = Vec::new();
        let mut gone = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                notices.push(Notice::Lost);
                continue;
            }
            if what.contains(ReadFlags::IGNORED) {
                gone.push(event.wd());
                continue;
            }
            // Its own name is told by the folder above.
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name())
            else {
                continue;
            };
            let path = folder.join(OsStr::from_bytes(name.to_bytes()));
            notices.extend(notice(what, path));
        }
        for watch in gone {
            if let Some(folder) = self.folders.remove(&watch)
                && self.watches.get(&folder) == Some(&watch)
            {
                self.watches.remove(&folder);
            }
        }
        for notice in &notices {
            if let Notice::FolderGone(folder) = notice {
                self.forget(folder);
            }
        }
        Ok(notices)
    }

    /// Watches a folder and those below it no more: it may be somewhere else now.
    fn forget(&mut self, folder: &Path) {
        let below = |path: &PathBuf| path.starts_with(folder);
        let watches: Vec<PathBuf> = self.watches.keys().filter(|p| below(p)).cloned().collect();
        for path in watches {
            if let Some(watch) = self.watches.remove(&path) {
                self.folders.remove(&watch);
                // It is gone already if the folder was deleted.
                let _ = inotify::remove_watch(&self.queue, watch);
            }
        }
    }
}

fn notice(what: ReadFlags, path: PathBuf) -> Option<Notice> {
    let is_any = |flags: ReadFlags| what.intersects(flags);
    let arrived = ReadFlags::CREATE | ReadFlags::MOVED_TO;
    let left = ReadFlags::DELETE | ReadFlags::MOVED_FROM;
    if what.contains(ReadFlags::ISDIR) {
        return match (is_any(arrived), is_any(left)) {
            (true, _) => Some(Notice::Folder(path)),
            (_, true) => Some(Notice::FolderGone(path)),
            _ => None,
        };
    }
    let done = left | ReadFlags::MOVED_TO | ReadFlags::CLOSE_WRITE | ReadFlags::ATTRIB;
    Some(match is_any(done) {
        true => Notice::Done(path),
        false => Notice::Touched(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(watcher: &mut Watcher, wake: &OwnedFd) -> Vec<Notice> {
        let timeout = Some(Duration::from_secs(10));
        watcher.wait(wake.as_fd(), timeout).expect("a look");
        watcher.read().expect("a look")
    }

    #[test]
    fn what_happens_in_watched_folders_is_told() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let top = temp.path().to_owned();
        let mut watcher = Watcher::new(top.clone()).expect("a watcher");
        let (wake, _keep) = rustix::pipe::pipe().expect("a pipe");
        watcher.watch(Path::new("")).expect("watched");
        fs_err::write(top.join("a"), "1").expect("written");
        let told = woken(&mut watcher, &wake);
        assert!(told.contains(&Notice::Done("a".into())), "{told:?}");
        fs_err::create_dir(top.join("d")).expect("made");
        assert_eq!(woken(&mut watcher, &wake), [Notice::Folder("d".into())]);
        watcher.watch(Path::new("d")).expect("watched");
        fs_err::rename(top.join("a"), top.join("d/b")).expect("moved");
        let told = woken(&mut watcher, &wake);
        assert!(told.contains(&Notice::Done("a".into())), "{told:?}");
        assert!(told.contains(&Notice::Done("d/b".into())), "{told:?}");
        // A folder that is somewhere else is not told of under its old name.
        fs_err::rename(top.join("d"), top.join("e")).expect("moved");
        let told = woken(&mut watcher, &wake);
        assert!(told.contains(&Notice::FolderGone("d".into())), "{told:?}");
        fs_err::write(top.join("e/b"), "2").expect("written");
        fs_err::write(top.join("c"), "2").expect("written");
        let told = woken(&mut watcher, &wake);
        assert!(told.contains(&Notice::Done("c".into())), "{told:?}");
        assert!(!told.contains(&Notice::Done("d/b".into())), "{told:?}");
    }
}
