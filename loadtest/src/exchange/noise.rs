//! Mutations of a good message, seeded: what a broken or hostile client might send.

/// Endless mutations of one sample.
pub(crate) struct Noise {
    sample: Vec<u8>,
    rng: fastrand::Rng,
}

impl Noise {
    pub(crate) fn new(sample: &str, seed: u64) -> Self {
        Self { sample: sample.as_bytes().to_vec(), rng: fastrand::Rng::with_seed(seed) }
    }
}

impl Iterator for Noise {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.sample.clone();
        for _ in 0..self.rng.usize(0..3) {
            let at = self.rng.usize(0..bytes.len().max(1)).min(bytes.len());
            match self.rng.u8(0..4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.rng.u8(..)),
                2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.rng.u8(0..8)),
                _ => bytes.rotate_left(at),
            }
        }
        Some(bytes)
    }
}
