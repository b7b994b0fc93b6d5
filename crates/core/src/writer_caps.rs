//! How many writers may be at once in one tree: fewer after they collided there.
//!
//! One observed overlap sets the number to 1 for that tree; each
//! [`CLEAN_ENDS`] writers in a row that end there without one raise it by 1, up
//! to the cap of all trees.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// Writers that must end without an overlap for the number to rise by one.
pub const CLEAN_ENDS: u32 = 3;

/// The trees in which writers collided lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterCaps {
    trees: HashMap<PathBuf, Lowered>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lowered {
    cap: u32,
    clean: u32,
}

impl WriterCaps {
    /// The number for a tree, of which `most` are allowed in any.
    #[must_use]
    pub fn of(&self, tree: &Path, most: u32) -> u32 {
        self.trees
            .get(tree)
            .map_or(most, |lowered| lowered.cap.min(most))
    }

    /// Notes that a writer ended, and whether it collided with another; `most`
    /// are allowed in any tree.
    pub fn writer_ended(&mut self, tree: &Path, overlapped: bool, most: u32) {
        if overlapped {
            self.trees
                .insert(tree.to_owned(), Lowered { cap: 1, clean: 0 });
            return;
        }
        let Some(lowered) = self.trees.get_mut(tree) else {
            return;
        };
        lowered.clean += 1;
        if lowered.clean == CLEAN_ENDS {
            *lowered = Lowered {
                cap: lowered.cap + 1,
                clean: 0,
            };
        }
        if lowered.cap >= most {
            self.trees.remove(tree);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_lowers_it_and_clean_ends_raise_it() {
        let (a, b) = (Path::new("/a"), Path::new("/b"));
        let mut caps = WriterCaps::default();
        assert_eq!(caps.of(a, 3), 3);
        caps.writer_ended(a, false, 3);
        caps.writer_ended(a, true, 3);
        assert_eq!((caps.of(a, 3), caps.of(b, 3)), (1, 3));
        let ends: Vec<u32> = (0..8)
            .map(|_| {
                caps.writer_ended(a, false, 3);
                caps.of(a, 3)
            })
            .collect();
        assert_eq!(ends, [1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(
            caps,
            WriterCaps::default(),
            "nothing is remembered for ever"
        );
    }

    #[test]
    fn an_overlap_in_between_begins_anew() {
        let tree = Path::new("/a");
        let mut caps = WriterCaps::default();
        for overlapped in [true, false, false, true, false, false] {
            caps.writer_ended(tree, overlapped, 3);
            assert_eq!(caps.of(tree, 3), 1);
        }
        caps.writer_ended(tree, false, 3);
        assert_eq!((caps.of(tree, 3), caps.of(tree, 1)), (2, 1));
    }
}
