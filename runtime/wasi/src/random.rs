//! Random numbers, the same on every peer.

use crate::{Inputs, Result, Stop};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::{Deserialize, Serialize};

/// The stream that `wasi:random/random` and `random_get` draw from.
const SECURE: u64 = 0;
/// The stream of `wasi:random/insecure`.
const INSECURE: u64 = 1;
/// The stream of `wasi:random/insecure-seed`.
const SEED: u64 = 2;

/// Streams of ChaCha20 (RFC 8439 with a 64-bit counter) whose key is the digest of the task's CID. Anybody who knows
/// the task can predict them, as determinism implies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Random {
    /// Made when it is first needed: a local run then need not hash inputs that it never reads.
    key: Option<[u8; 32]>,
    secure_bytes: u64,
    insecure_bytes: u64,
}

impl Random {
    /// The key, if it was needed so far.
    pub(crate) const fn key(&self) -> Option<&[u8; 32]> {
        self.key.as_ref()
    }

    pub(crate) fn secure(&mut self, into: &mut [u8], inputs: &mut dyn Inputs) -> Result<(), Stop> {
        let from = advance(&mut self.secure_bytes, into.len());
        self.draw(SECURE, from, into, inputs)
    }

    pub(crate) fn insecure(
        &mut self,
        into: &mut [u8],
        inputs: &mut dyn Inputs,
    ) -> Result<(), Stop> {
        let from = advance(&mut self.insecure_bytes, into.len());
        self.draw(INSECURE, from, into, inputs)
    }

    /// The same two numbers at every call.
    pub(crate) fn seed(&mut self, inputs: &mut dyn Inputs) -> Result<(u64, u64), Stop> {
        let (mut low, mut high) = ([0; 8], [0; 8]);
        self.draw(SEED, 0, &mut low, inputs)?;
        self.draw(SEED, 8, &mut high, inputs)?;
        Ok((u64::from_le_bytes(low), u64::from_le_bytes(high)))
    }

    /// The bytes of a stream from `from` on.
    fn draw(
        &mut self,
        stream: u64,
        from: u64,
        into: &mut [u8],
        inputs: &mut dyn Inputs,
    ) -> Result<(), Stop> {
        let key = match self.key {
            Some(key) => key,
            None => *self.key.insert(inputs.seed()?),
        };
        let mut rng = ChaCha20Rng::from_seed(key);
        rng.set_stream(stream);
        // A word has four bytes; what is drawn in excess before `from` is dropped.
        rng.set_word_pos(u128::from(from / 4));
        let skip = usize::try_from(from % 4).unwrap_or_default();
        if skip == 0 {
            rng.fill_bytes(into);
            return Ok(());
        }
        let mut first = [0; 4];
        rng.fill_bytes(&mut first);
        let rest = first.get(skip..).unwrap_or_default();
        let (head, tail) = into.split_at_mut(rest.len().min(into.len()));
        head.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        rng.fill_bytes(tail);
        Ok(())
    }
}

/// Moves a position on and returns where it was.
fn advance(position: &mut u64, bytes: usize) -> u64 {
    let from = *position;
    *position = position.wrapping_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Nothing;

    #[test]
    fn bytes_do_not_depend_on_how_they_are_asked_for() {
        let mut whole = [0; 64];
        Random::default().secure(&mut whole, &mut Nothing).unwrap();
        for step in 1..20 {
            let mut random = Random::default();
            let mut parts = Vec::new();
            while parts.len() < whole.len() {
                let mut part = vec![0; step.min(whole.len() - parts.len())];
                random.secure(&mut part, &mut Nothing).unwrap();
                parts.extend(part);
            }
            assert_eq!(parts, whole, "steps of {step}");
        }
    }

    #[test]
    fn keystream_is_chacha20s() {
        // RFC 8439 appendix A.1, test vector 1: key, nonce and counter zero.
        let mut bytes = [0; 8];
        Random::default().secure(&mut bytes, &mut Nothing).unwrap();
        assert_eq!(bytes, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    }

    #[test]
    fn streams_differ_and_the_seed_stays() {
        let mut random = Random::default();
        let (mut a, mut b) = ([0; 16], [0; 16]);
        random.secure(&mut a, &mut Nothing).unwrap();
        random.insecure(&mut b, &mut Nothing).unwrap();
        assert_ne!(a, b);
        let seed = random.seed(&mut Nothing).unwrap();
        assert_eq!(random.seed(&mut Nothing).unwrap(), seed);
    }
}
