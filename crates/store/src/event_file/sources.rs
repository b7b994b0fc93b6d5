//! Which sources a file holds already.
//!
//! Journal and lifecycle sources interleave in the file, in an order that only
//! the executor knows. Within its own kind each source is greater than the one
//! before: journal sources by attempt, offset and index, lifecycle sources by
//! number. So an event is new if and only if its source is greater than the
//! last of its kind.

use convoke_core::event::Source;

/// A place in the journals of a job, in the order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalMark {
    /// Attempt, from 1.
    pub attempt: u32,
    /// Offset of the record.
    pub offset: u64,
    /// Which event of those derived there.
    pub index: u32,
}

/// The last source of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSources {
    /// The last journal source, if there is one.
    pub journal: Option<JournalMark>,
    /// The last lifecycle source, if there is one.
    pub lifecycle: Option<u64>,
}

impl LastSources {
    /// Whether an event from `source` is not among those up to here.
    #[must_use]
    pub fn is_new(&self, source: Source) -> bool {
        match source {
            Source::Journal {
                attempt,
                offset,
                index,
            } => self.journal.is_none_or(|last| {
                JournalMark {
                    attempt,
                    offset,
                    index,
                } > last
            }),
            Source::Lifecycle(number) => self.lifecycle.is_none_or(|last| number > last),
        }
    }

    /// Takes `source` as the last of its kind.
    pub(super) fn advance(&mut self, source: Source) {
        match source {
            Source::Journal {
                attempt,
                offset,
                index,
            } => {
                self.journal = Some(JournalMark {
                    attempt,
                    offset,
                    index,
                });
            }
            Source::Lifecycle(number) => self.lifecycle = Some(number),
        }
    }

    /// The last source of the kind that `source` is not.
    pub(super) fn other_than(&self, source: Source) -> Option<Source> {
        match source {
            Source::Journal { .. } => self.lifecycle.map(Source::Lifecycle),
            Source::Lifecycle(_) => self.journal.map(|mark| Source::Journal {
                attempt: mark.attempt,
                offset: mark.offset,
                index: mark.index,
            }),
        }
    }
}
