use core::fmt;
use core::hash::{Hash, Hasher};

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Where all randomness of a machine comes from. Take it from the operating system; take a constant in tests.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed of 32 bytes, which should be unpredictable outside tests.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A cryptographically secure generator: the same seed gives the same bytes on every platform.
#[derive(Clone, PartialEq, Eq)]
pub struct Random(ChaCha12Rng);

impl Random {
    /// A generator that starts at `seed`.
    pub fn new(seed: Seed) -> Self {
        Self(ChaCha12Rng::from_seed(seed.0))
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A generator of its own for a part of the program, seeded from this one.
    pub fn fork(&mut self) -> Self {
        Self::new(Seed(self.bytes()))
    }
}

/// Adds nothing, so that the hash of a machine is that of what it has come to, and not of what chance will give it.
impl Hash for Random {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let seed = Seed::new([7; 32]);
        assert_eq!(format!("{seed:?} {:?}", Random::new(seed.clone())), "Seed(..) Random(..)");
    }

    #[test]
    fn same_seed_gives_the_same_bytes() {
        let (mut a, mut b) = (Random::new(Seed::new([7; 32])), Random::new(Seed::new([7; 32])));
        assert_eq!(a.bytes::<40>(), b.bytes::<40>());
        assert_eq!(a.fork().bytes::<8>(), b.fork().bytes::<8>());
        assert_ne!(a.bytes::<8>(), a.bytes::<8>());
    }
}
