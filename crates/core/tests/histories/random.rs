//! A small seeded generator (SplitMix64), the same on every machine.

/// The generator's state.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % bound as u64)
            .expect("a remainder fits where its divisor does")
    }

    /// The same as a `u32`.
    pub fn number(&mut self, bound: u32) -> u32 {
        u32::try_from(self.bits() % u64::from(bound))
            .expect("a remainder fits where its divisor does")
    }

    /// True `percent` times out of 100.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.number(100) < percent
    }

    /// The index of one of `weights`, by weight.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.number(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("the rest is below the sum of the weights")
    }
}
