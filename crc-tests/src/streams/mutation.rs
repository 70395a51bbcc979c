//! Streams made by changing others.

/// Maximum number of cuts of a stream.
const CUTS_MAX: usize = 12;

/// Numbers that look random, made of a seed and the number of a stream (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed.rotate_left(32) ^ number);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Writes where the pieces of a stream of `len` bytes end, the last one at its end.
    pub(super) fn write_cuts(&mut self, len: usize, cuts: &mut Vec<usize>) {
        cuts.clear();
        cuts.extend((0..self.below(CUTS_MAX + 1)).map(|_| self.below(len + 1)));
        cuts.sort_unstable();
        cuts.push(len);
    }
}

/// Makes streams out of valid ones.
pub(super) struct Mutator {
    seeds: Vec<Vec<u8>>,
    stream_bytes_max: usize,
}

impl Mutator {
    pub(super) fn new(mut seeds: Vec<Vec<u8>>, stream_bytes_max: usize) -> Self {
        seeds.iter_mut().for_each(|seed| seed.truncate(stream_bytes_max));
        Self { seeds, stream_bytes_max }
    }

    /// Writes one stream: up to three seeds, changed up to five times.
    pub(super) fn write_stream(&self, random: &mut Random, stream: &mut Vec<u8>) {
        stream.clear();
        for _ in 0..=random.below(3) {
            stream.extend_from_slice(self.seed(random));
        }
        for _ in 0..random.below(6) {
            self.mutate(random, stream);
        }
        stream.truncate(self.stream_bytes_max);
    }

    fn seed(&self, random: &mut Random) -> &[u8] {
        &self.seeds[random.below(self.seeds.len())]
    }

    fn mutate(&self, random: &mut Random, stream: &mut Vec<u8>) {
        if stream.is_empty() {
            return;
        }
        let at = random.below(stream.len());
        match random.below(7) {
            0 => stream[at] ^= 1 << random.below(8),
            1 => stream[at] = random.below(256) as u8,
            2 => stream[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            3 => {
                let end = (at + 1 + random.below(16)).min(stream.len());
                stream.drain(at..end);
            }
            4 => {
                let bytes = random.next().to_le_bytes();
                drop(stream.splice(at..at, bytes[..=random.below(8)].iter().copied()));
            }
            5 => {
                let end = (at + 1 + random.below(32)).min(stream.len());
                stream.extend_from_within(at..end);
            }
            _ => {
                stream.truncate(at);
                let seed = self.seed(random);
                stream.extend_from_slice(&seed[random.below(seed.len())..]);
            }
        }
    }
}
