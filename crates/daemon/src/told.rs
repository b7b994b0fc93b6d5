//! What is known of those who write in a tree besides when they wrote: what their
//! agents told of having changed, when they had tools at work, and where their
//! sandboxes let them write.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use convoke_core::{
    event::{EventKind, JobEvent},
    ids::JobId,
    job::Job,
    sandbox::Sandbox,
    spec::Work,
};
use convoke_store::read_page;
use convoke_workspace::attribution::{AtWork, Command, Known};

use crate::state::Daemon;

/// Events read at a time, and bytes of them.
const PAGE: (usize, usize) = (2_000, 4 << 20);

/// Letters of a command that are looked at.
const LONGEST_COMMAND: usize = 4_096;

/// How long a tool works at most, in milliseconds, of which only the end was told.
const LASTS_AT_MOST: u64 = 1_000;

/// Notes what is known of a writer.
pub fn note(daemon: &Daemon, writer: &str, known: &mut Known) {
    let Some(id) = JobId::parse(writer) else {
        return;
    };
    let told = Told::read(&daemon.home.job_events(&id), &known.top);
    let job = daemon.job(&id).ok().flatten();
    let live = daemon.live.get(&id);
    // What is not known of it may have been at any time.
    let is_whole = told.is_whole && live.is_none_or(|live| !live.is_incomplete());
    if is_whole && job.as_ref().is_some_and(ends_its_commands) {
        known.at_work.insert(writer.to_owned(), told.at_work);
        known.commands.insert(writer.to_owned(), told.commands);
    }
    known.reported.insert(writer.to_owned(), told.changed);
    note_bounds(daemon, &id, known);
}

/// Notes where the sandbox of a job lets it write, if that is known and bounded.
pub fn note_bounds(daemon: &Daemon, job: &JobId, known: &mut Known) {
    let temp = [PathBuf::from("/tmp"), std::env::temp_dir()];
    // A link, on some systems.
    let temp = temp.map(|folder| fs_err::canonicalize(&folder).unwrap_or(folder));
    let spec = daemon.job(job).ok().flatten().map(|job| job.spec);
    if let Some(bounds) = spec.and_then(|spec| spec.bounds(&temp)) {
        known.bounds.insert(job.to_string(), bounds);
    }
}

/// Whether an agent's commands end with everything they started, so that it changes
/// nothing while it has no tool at work: its sandbox sees to that.
fn ends_its_commands(job: &Job) -> bool {
    matches!(job.spec.work, Work::Agent(_)) && job.spec.sandbox != Sandbox::DangerFullAccess
}

/// What an agent told.
#[derive(Debug, Default)]
pub struct Told {
    /// Paths it told of having changed, relative to the top, and when it did.
    pub changed: BTreeMap<String, AtWork>,
    /// When it had tools at work that may change any file.
    at_work: AtWork,
    /// Such tools that are at work so far, by id, with when they began.
    open: HashMap<String, u64>,
    /// Patches that are at work so far.
    patches: HashMap<String, u64>,
    /// Commands that have ended.
    commands: Vec<Command>,
    /// Whether all events could be read.
    is_whole: bool,
}

impl Told {
    /// Reads the events of a job.
    #[must_use]
    pub fn read(events: &Path, top: &Path) -> Self {
        let mut told = Self::default();
        let mut cursor = 0;
        while let Ok(page) = read_page(events, cursor, PAGE.0, PAGE.1) {
            page.events.iter().for_each(|event| told.follow(event, top));
            if page.at_end || page.next == cursor {
                told.is_whole = page.at_end && events.exists();
                break;
            }
            cursor = page.next;
        }
        let open = told.open.values().map(|began| (*began, None));
        told.at_work.spans.extend(open);
        told
    }

    fn follow(&mut self, event: &JobEvent, top: &Path) {
        let id = || event.content["id"].as_str().unwrap_or_default().to_owned();
        match event.kind {
            EventKind::ToolCall if event.content["kind"] == "file_change" => {
                self.patches.insert(id(), event.at.0);
            }
            EventKind::ToolCall => {
                self.open.insert(id(), event.at.0);
            }
            EventKind::ToolResult => {
                let began = self.open.remove(&id()).or(self.patches.remove(&id()));
                let began = began.unwrap_or(event.at.0.saturating_sub(LASTS_AT_MOST));
                self.ended(event, (began, Some(event.at.0)), top);
            }
            // With the process ends what it was at.
            EventKind::Spawned | EventKind::Requeued | EventKind::Final => {
                let open = self.open.drain();
                let ended = open.map(|(_, began)| (began, Some(event.at.0)));
                self.at_work.spans.extend(ended);
            }
            _ => {}
        }
    }

    fn ended(&mut self, event: &JobEvent, span: (u64, Option<u64>), top: &Path) {
        // A patch changes the files that it tells of and no others.
        if event.content["kind"] != "file_change" {
            self.at_work.spans.push(span);
            if let Some(text) = event.content["command"].as_str() {
                let spans = vec![span];
                self.commands.push(Command {
                    text: text.chars().take(LONGEST_COMMAND).collect(),
                    at_work: AtWork { spans },
                });
            }
            return;
        }
        let changes = event.content["changes"].as_array().into_iter().flatten();
        for path in changes.filter_map(|change| relative(change["path"].as_str()?, top)) {
            self.changed.entry(path).or_default().spans.push(span);
        }
    }
}

/// A path as told, relative to the top; none if it leads elsewhere.
#[must_use]
pub fn relative(path: &str, top: &Path) -> Option<String> {
    let path = Path::new(path.trim());
    let path = path.strip_prefix(top).unwrap_or(path);
    let path = path.strip_prefix("./").unwrap_or(path);
    path.is_relative().then(|| path.display().to_string())
}
