//! Turns what is told of files into versions that are kept.

use std::{
    collections::{BTreeMap, HashMap},
    fs::Metadata,
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    JournalOptions,
    blobs::Blobs,
    ignored::Ignored,
    log::{Entry, Found, Gap, Log, Version},
    watcher::{self, Notice, Watcher},
};

/// Most folders that are watched of one tree.
const MOST_FOLDERS: usize = 50_000;

/// How long after something happened more is waited for.
const GATHERS: Duration = Duration::from_millis(8);

/// How many times the size of the largest file is kept of one file at most, all its
/// versions together, while somebody writes.
const MOST_TIMES: u64 = 4;

/// Entries that wait for a disk that takes none.
const MOST_UNSAVED: usize = 10_000;

/// Files that are read at once.
const AT_ONCE: usize = 64;

/// How much, in milliseconds, the clock of file systems is behind.
const CLOCK_LAGS: u64 = 20;

/// How long after it happened, in milliseconds, something may be told of on a busy
/// machine.
const MOST_DELAY: u64 = 5_000;

/// A path that was touched and not looked at since.
#[derive(Debug)]
struct Pending {
    /// It was touched after this: everything before had been read by then.
    after: u64,
    since: u64,
    last: Instant,
    last_wall: u64,
    /// How often it was left as somebody meant it to be.
    done: u32,
}

/// Keeps versions of the files of one tree.
#[derive(Debug)]
pub(super) struct Recorder {
    options: JournalOptions,
    watcher: Watcher,
    ignored: Ignored,
    blobs: Blobs,
    log: Log,
    pending: BTreeMap<PathBuf, Pending>,
    /// What each path was last found to be.
    last: HashMap<PathBuf, Found>,
    /// Bytes that are kept of each path, while somebody writes.
    stored: HashMap<PathBuf, u64>,
    /// When everything that had happened was read.
    read_until: u64,
    /// What could not be written yet.
    unsaved: Vec<Entry>,
    /// Whether anybody writes: else nothing is kept.
    active: bool,
    /// What is seen while a state is taken comes after it.
    held: Option<Vec<Entry>>,
    /// Nothing is kept just now, while objects that nobody needs are removed.
    pub paused: bool,
}

impl Recorder {
    /// Watches every folder of the tree that is not ignored.
    ///
    /// # Errors
    /// Files cannot be watched.
    pub fn start(options: JournalOptions, resumes: bool) -> io::Result<Self> {
        let exclude = options.repository.join("info/exclude");
        let mut recorder = Self {
            watcher: Watcher::new(options.top.clone())?,
            ignored: Ignored::new(&options.top, &exclude),
            blobs: Blobs::new(&options.repository, &options.top),
            log: Log::of(&options.repository),
            pending: BTreeMap::new(),
            last: HashMap::new(),
            stored: HashMap::new(),
            read_until: wall_now(),
            unsaved: Vec::new(),
            active: true,
            // What is to be said of the beginning comes after the first state.
            held: (!resumes).then(Vec::new),
            paused: false,
            options,
        };
        recorder.watch(Path::new(""), None);
        Ok(recorder)
    }

    /// Waits for something to happen, and notes it. What was touched long enough ago
    /// is kept.
    ///
    /// # Errors
    /// Nothing can be watched any more.
    pub fn step(&mut self, wake: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
        let due = self.pending.values().map(|one| one.last).min();
        let due = due.filter(|_| !self.paused);
        let timeout =
            due.map(|last| (last + self.quiet()).saturating_duration_since(Instant::now()));
        self.watcher.wait(wake, timeout)?;
        if self.read()? {
            // Whoever writes one file soon writes the next: that is read together.
            watcher::pause(wake, GATHERS)?;
            self.read()?;
        }
        self.settle();
        Ok(())
    }

    /// Notes what happened; whether anything did.
    fn read(&mut self) -> io::Result<bool> {
        let now = wall_now();
        let notices = self.watcher.read()?;
        let any = !notices.is_empty();
        self.note(notices);
        // What comes later happened later.
        self.read_until = now;
        Ok(any)
    }

    /// How long a file is left alone before it is read: less than what a version must
    /// stand to be kept, so that there is time to read it.
    fn quiet(&self) -> Duration {
        self.options.stands / 2
    }

    /// Notes everything that happened before, and holds back what comes from now on
    /// until [`Self::mark`]. A state is about to be taken, so that nothing need be
    /// read for its sake.
    pub fn hold(&mut self) -> io::Result<()> {
        self.read()?;
        // What is written while the state is taken may be missing in it.
        self.active = true;
        let mut entries = Vec::new();
        for (path, pending) in std::mem::take(&mut self.pending) {
            if self.counts(&path) {
                entries.extend(self.version(&path, &pending, Found::Unread, pending.last_wall));
            }
        }
        self.add(entries);
        self.held.get_or_insert_default();
        Ok(())
    }

    /// Notes that a state was kept, if one was, and what was held back. Whether
    /// anybody writes from then on is told too.
    pub fn mark(&mut self, state: Option<&str>, active: bool) {
        let mut entries: Vec<Entry> = state
            .map(|id| Entry::State { id: id.to_owned() })
            .into_iter()
            .collect();
        entries.extend(self.held.take().unwrap_or_default());
        self.write(&entries);
        self.active = active;
        if !active {
            self.pending.clear();
            self.last.clear();
            self.stored.clear();
        }
    }

    /// Notes that not everything was seen since `from`.
    pub fn gap(&mut self, from: u64, reason: &str) {
        self.add(vec![Entry::Gap(Gap {
            from,
            to: wall_now(),
            reason: reason.to_owned(),
        })]);
    }

    fn note(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Touched(path) => self.touch(path, 0),
                Notice::Done(path) => {
                    self.ignored.renew(&path);
                    self.touch(path, 1);
                }
                Notice::Folder(path) => {
                    self.touch(path.clone(), 0);
                    if !self.ignored.leaves_out(&path, true) {
                        self.watch(&path, Some(0));
                    }
                }
                Notice::FolderGone(path) => {
                    self.last.retain(|known, _| !known.starts_with(&path));
                    self.pending.retain(|known, _| !known.starts_with(&path));
                    if !self.ignored.leaves_out(&path, true) {
                        self.gone(path);
                    }
                }
                Notice::Lost => self.look_again(),
            }
        }
    }

    /// A folder went. It is noted at once: something else may come in its place.
    fn gone(&mut self, path: PathBuf) {
        if self.active {
            let at = self.moved_at(&path, wall_now());
            let now = Pending {
                after: at,
                since: at,
                last: Instant::now(),
                last_wall: at,
                done: 1,
            };
            let entry = self.version(&path, &now, Found::Gone, at);
            self.add(entry.into_iter().collect());
        }
    }

    fn touch(&mut self, path: PathBuf, done: u32) {
        if !self.active {
            return;
        }
        let wall = wall_now();
        let after = self.read_until;
        let pending = self.pending.entry(path).or_insert(Pending {
            after,
            since: wall,
            last: Instant::now(),
            last_wall: wall,
            done: 0,
        });
        pending.last = Instant::now();
        pending.last_wall = wall;
        pending.done += done;
    }

    /// Watches a folder and what is below it. With `changed_since`, in milliseconds
    /// since the epoch, files that changed later count as touched.
    fn watch(&mut self, folder: &Path, changed_since: Option<u64>) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            if self.watcher.count() >= MOST_FOLDERS {
                return self.gap(wall_now(), "the tree has too many folders to watch");
            }
            match self.watcher.watch(&folder) {
                Ok(()) => {}
                Err(error) if is_gone(&error) => continue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let reason = format!("{} cannot be watched: {error}", folder.display());
                    self.gap(wall_now(), &reason);
                    continue;
                }
                Err(error) => {
                    let reason = format!("{} cannot be watched: {error}", folder.display());
                    return self.gap(wall_now(), &reason);
                }
            }
            let Ok(entries) = std::fs::read_dir(self.options.top.join(&folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = folder.join(entry.file_name());
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !self.ignored.leaves_out(&path, true) {
                    folders.push(path);
                } else if !is_folder && let Some(since) = changed_since {
                    let changed = entry.metadata().map(|meta| changed_at(&meta));
                    if changed.is_ok_and(|at| at >= since) {
                        self.touch(path, 1);
                    }
                }
            }
        }
    }

    /// The system could not keep up: everything is looked at again.
    fn look_again(&mut self) {
        if !self.active {
            return self.watch(Path::new(""), None);
        }
        let from = self.pending.values().map(|one| one.since).min();
        // What was told before was noted a moment ago.
        let from = from.unwrap_or_else(wall_now).saturating_sub(1_000);
        self.watch(Path::new(""), Some(from));
        self.gap(from, "the system could not keep up with what was written");
    }

    /// Keeps what was touched long enough ago.
    fn settle(&mut self) {
        if self.paused {
            return;
        }
        let quiet = self.quiet();
        let due: Vec<PathBuf> = self
            .pending
            .iter()
            .filter(|(_, one)| one.last.elapsed() >= quiet)
            .map(|(path, _)| path.clone())
            .collect();
        // What happens meanwhile is read before the next ones.
        if let Some(some) = due.chunks(AT_ONCE).next() {
            self.keep(some);
        }
    }

    /// Keeps the present versions of some paths.
    fn keep(&mut self, paths: &[PathBuf]) {
        let mut entries = Vec::new();
        let mut looked: Vec<(&PathBuf, Look)> = Vec::new();
        for path in paths {
            match self.counts(path) {
                true => looked.push((path, self.look_at(path))),
                false => drop(self.pending.remove(path)),
            }
        }
        let files = looked.iter().filter_map(|(path, look)| match look {
            Look::File(_) => Some(path.as_path()),
            _ => None,
        });
        let mut objects = self.blobs.keep_all(&files.collect::<Vec<_>>()).into_iter();
        for (path, look) in looked {
            let pending = self.pending.remove(path);
            let Some(pending) = pending else { continue };
            let (found, at) = match look {
                Look::Folder => continue,
                Look::Found(found, at) => (found, at),
                Look::File(before) => {
                    let object = objects.next().flatten();
                    if self.has_changed(path, &before) {
                        // It was written while it was read.
                        self.put_back(path.clone(), pending);
                        continue;
                    }
                    *self.stored.entry(path.clone()).or_default() += before.len();
                    let found = object.map_or(Found::Unread, |object| Found::File {
                        mode: mode_of(&before).to_owned(),
                        object,
                    });
                    (found, Some(changed_at(&before)))
                }
            };
            // The time of a file says nothing of when its folder was moved.
            let at = at.filter(|at| *at + CLOCK_LAGS >= pending.after);
            let at = at.unwrap_or_else(|| self.moved_at(path, pending.last_wall));
            entries.extend(self.version(path, &pending, found, at.min(wall_now())));
        }
        self.add(entries);
    }

    fn put_back(&mut self, path: PathBuf, pending: Pending) {
        let again = self.pending.entry(path).or_insert(Pending {
            last: Instant::now(),
            ..pending
        });
        again.since = again.since.min(pending.since);
    }

    fn counts(&mut self, path: &Path) -> bool {
        !self.ignored.leaves_out(path, false)
    }

    fn look_at(&self, path: &Path) -> Look {
        let full = self.options.top.join(path);
        let Ok(meta) = std::fs::symlink_metadata(&full) else {
            return Look::Found(Found::Gone, None);
        };
        if meta.is_dir() {
            // Where a file was there is none.
            return match self.last.get(path) {
                Some(Found::File { .. }) => Look::Found(Found::Gone, None),
                _ => Look::Folder,
            };
        }
        let at = Some(changed_at(&meta));
        if meta.is_file() && meta.len() <= self.options.largest {
            let kept = self.stored.get(path).copied().unwrap_or_default();
            // One that grows and grows would fill the disk with its versions.
            return match kept + meta.len() <= self.options.largest * MOST_TIMES {
                true => Look::File(meta),
                false => Look::Found(Found::Unread, at),
            };
        }
        let link = meta.is_symlink().then(|| std::fs::read_link(&full));
        let Some(Ok(to)) = link else {
            return Look::Found(Found::Unread, at);
        };
        let object = self.blobs.keep_text(to.as_os_str().as_bytes());
        let mode = mode_of(&meta).to_owned();
        let found = object.map(|object| Found::File { mode, object });
        Look::Found(found.unwrap_or(Found::Unread), at)
    }

    /// Whether a path is not what it was at a look, or a folder on the way is a link, so
    /// that something else was read.
    fn has_changed(&self, path: &Path, before: &Metadata) -> bool {
        let full = self.options.top.join(path);
        let folder = full.parent().unwrap_or(&self.options.top);
        let now = std::fs::symlink_metadata(&full);
        now.map_or(true, |now| stamp_of(&now) != stamp_of(before))
            || std::fs::canonicalize(folder).map_or(true, |real| real != folder)
    }

    /// When something came to a path or went from there, as its folders tell: they are
    /// changed with it. That it was told of is known a moment later.
    fn moved_at(&self, path: &Path, told: u64) -> u64 {
        let folders = path.ancestors().skip(1);
        let changed = folders.filter_map(|folder| {
            let meta = std::fs::symlink_metadata(self.options.top.join(folder)).ok()?;
            Some(changed_at(&meta)).filter(|at| *at <= told)
        });
        // A folder that did not change then tells nothing.
        let latest = changed.max().filter(|at| at + MOST_DELAY >= told);
        latest.unwrap_or(told)
    }

    /// The version of a path, unless it is the one before.
    fn version(&mut self, path: &Path, pending: &Pending, found: Found, at: u64) -> Option<Entry> {
        let is_same = found != Found::Unread && self.last.get(path) == Some(&found);
        if is_same && pending.done <= 1 {
            return None;
        }
        self.last.insert(path.to_owned(), found.clone());
        Some(Entry::Version(Version {
            path: path.to_string_lossy().into_owned(),
            // Its own time is that of the last change.
            since: match pending.done {
                0 | 1 => at,
                _ => pending.since.min(at).max(pending.after.min(at)),
            },
            at,
            found,
            passed: pending.done.saturating_sub(1),
        }))
    }

    fn add(&mut self, entries: Vec<Entry>) {
        match &mut self.held {
            Some(held) => held.extend(entries),
            None => self.write(&entries),
        }
    }

    fn write(&mut self, entries: &[Entry]) {
        self.unsaved.extend_from_slice(entries);
        // Tried again with the next ones. Without them changes are told apart by the
        // states alone.
        if self.log.append(&self.unsaved).is_ok() || self.unsaved.len() > MOST_UNSAVED {
            self.unsaved.clear();
        }
    }
}

/// What a look at a path came to.
enum Look {
    /// This, and when it last changed.
    Found(Found, Option<u64>),
    /// A file that is to be read.
    File(Metadata),
    /// A folder, which is no version of anything.
    Folder,
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn stamp_of(meta: &Metadata) -> (u64, u64, i64, i64) {
    (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec())
}

fn mode_of(meta: &Metadata) -> &'static str {
    match (meta.is_symlink(), meta.mode() & 0o100 != 0) {
        (true, _) => "120000",
        (_, true) => "100755",
        (_, false) => "100644",
    }
}

fn changed_at(meta: &Metadata) -> u64 {
    let ms = meta.ctime().saturating_mul(1_000) + meta.ctime_nsec() / 1_000_000;
    u64::try_from(ms).unwrap_or_default()
}

/// Milliseconds since the epoch.
pub(super) fn wall_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
