//! Numbers that look random and come again with the same seed.

/// A generator (SplitMix64): small, and good enough to choose with.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of one of several independent streams of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut start = Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        Self(start.next())
    }

    /// A seed that differs from run to run.
    pub fn any_seed() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        // Short enough to be typed in again.
        RandomState::new().hash_one(std::process::id()) % 1_000_000_000
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of some things; none of none.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        match things.len() {
            0 => None,
            count => things.get(self.index(count)),
        }
    }

    /// The place of one of so many things, which are not none.
    pub fn index(&mut self, count: usize) -> usize {
        let index = u64::try_from(count).map(|count| self.below(count));
        index.map_or(0, |index| usize::try_from(index).unwrap_or(0))
    }

    /// One of some things, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, things: &[(T, u64)]) -> Option<T> {
        let total: u64 = things.iter().map(|(_, weight)| weight).sum();
        let mut at = self.below(total.max(1));
        things.iter().find_map(|(thing, weight)| {
            if at < *weight {
                return Some(*thing);
            }
            at -= weight;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_streams_differ() {
        let numbers = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..20).map(|_| random.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7, 1), numbers(7, 1));
        assert_ne!(numbers(7, 1), numbers(7, 2));
        assert_ne!(numbers(7, 1), numbers(8, 1));
    }

    #[test]
    fn weights_are_kept_to() {
        let mut random = Random::new(1, 1);
        let chosen: Vec<char> = (0..1_000)
            .filter_map(|_| random.weighted(&[('a', 90), ('b', 10), ('c', 0)]))
            .collect();
        assert_eq!(chosen.len(), 1_000);
        let count = |which| chosen.iter().filter(|char| **char == which).count();
        assert!((800..980).contains(&count('a')));
        assert_eq!(count('c'), 0);
    }
}
