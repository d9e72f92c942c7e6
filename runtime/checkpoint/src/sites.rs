//! The sites of a program, by which frames are checked before anything runs.

use crate::frame::{self, Callee};

/// Numbers of no function.
const NO_CALLEE: u32 = u32::MAX;
const INDIRECT: u32 = u32::MAX - 1;

/// What is known of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SiteInfo {
    /// The function, by its number in its module.
    pub(crate) function: u32,
    /// Bytes of a frame.
    pub(crate) bytes: u32,
    pub(crate) callee: Option<Callee>,
}

/// The sites of all modules of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sites {
    pub(crate) modules: Vec<Vec<SiteInfo>>,
    /// How many functions of each module are imported.
    pub(crate) imported: Vec<u32>,
    /// Bytes of the globals of all modules.
    pub(crate) globals_bytes: u32,
    /// How many memories the modules have of their own, all together.
    pub(crate) memories: u32,
}

/// Why frames do not fit a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFrames {
    /// There are none, or a part of one.
    #[error("the frames end in the middle of one")]
    Truncated,
    /// A word names no site.
    #[error("a frame is of a site that the program does not have")]
    UnknownSite,
    /// A function calls another than the one whose frame comes next.
    #[error("a frame is not of the function that the one around it calls")]
    WrongCallee,
    /// The innermost frame is of a call, or another one is not.
    #[error("the guest cannot have been stopped where the frames say")]
    WrongPlace,
}

impl Sites {
    /// How many sites there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.modules.iter().map(Vec::len).sum()
    }

    /// Bytes of the globals of all modules.
    #[must_use]
    pub const fn globals_bytes(&self) -> u32 {
        self.globals_bytes
    }

    /// How many memories the guest has.
    #[must_use]
    pub const fn memories(&self) -> u32 {
        self.memories
    }

    /// Checks that a guest can have been stopped with these frames, the innermost first.
    ///
    /// # Errors
    ///
    /// [`BadFrames`] says why it cannot.
    pub fn check(&self, frames: &[u8]) -> Result<(), BadFrames> {
        // From the outermost inwards, as they are taken.
        let mut rest = frames;
        let mut caller: Option<(u32, SiteInfo)> = None;
        while let Some((before, word)) = rest.split_last_chunk() {
            let word = u32::from_le_bytes(*word);
            let (module, site) = self.site(word).ok_or(BadFrames::UnknownSite)?;
            if let Some((from, caller)) = caller {
                self.check_call(from, caller, module, site)?;
            }
            let values = site.bytes.saturating_sub(frame::WORD_BYTES);
            let values = usize::try_from(values).unwrap_or(usize::MAX);
            let left = before
                .len()
                .checked_sub(values)
                .ok_or(BadFrames::Truncated)?;
            rest = before.get(..left).unwrap_or_default();
            caller = Some((module, site));
        }
        match caller {
            _ if !rest.is_empty() => Err(BadFrames::Truncated),
            Some((_, site)) if site.callee.is_none() => Ok(()),
            Some(_) => Err(BadFrames::WrongPlace),
            None => Err(BadFrames::Truncated),
        }
    }

    fn site(&self, word: u32) -> Option<(u32, SiteInfo)> {
        let module = word >> frame::SITE_BITS;
        let site = word & ((1 << frame::SITE_BITS) - 1);
        let sites = self.modules.get(usize::try_from(module).ok()?)?;
        Some((module, *sites.get(usize::try_from(site).ok()?)?))
    }

    fn check_call(
        &self,
        from: u32,
        caller: SiteInfo,
        module: u32,
        site: SiteInfo,
    ) -> Result<(), BadFrames> {
        match caller.callee {
            None => Err(BadFrames::WrongPlace),
            Some(Callee::Indirect) => Ok(()),
            Some(Callee::Function(callee)) => {
                let index = usize::try_from(from).unwrap_or(usize::MAX);
                let imported = self.imported.get(index).copied().unwrap_or_default();
                let fits = if callee < imported {
                    module != from
                } else {
                    module == from && site.function == callee
                };
                fits.then_some(()).ok_or(BadFrames::WrongCallee)
            }
        }
    }

    /// All of it as bytes, for a cache: little-endian 32-bit numbers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut numbers = vec![
            self.globals_bytes,
            self.memories,
            length(self.modules.len()),
        ];
        for (imported, sites) in self.imported.iter().zip(&self.modules) {
            numbers.extend([*imported, length(sites.len())]);
            for site in sites {
                let callee = match site.callee {
                    None => NO_CALLEE,
                    Some(Callee::Indirect) => INDIRECT,
                    Some(Callee::Function(function)) => function,
                };
                numbers.extend([site.function, site.bytes, callee]);
            }
        }
        numbers.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// What [`Self::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks();
        let mut numbers = chunks.iter().map(|number| u32::from_le_bytes(*number));
        let mut sites = Self {
            globals_bytes: numbers.next()?,
            memories: numbers.next()?,
            ..Self::default()
        };
        for _ in 0..numbers.next()? {
            sites.imported.push(numbers.next()?);
            let mut module = Vec::new();
            for _ in 0..numbers.next()? {
                module.push(SiteInfo {
                    function: numbers.next()?,
                    bytes: numbers.next()?,
                    callee: match numbers.next()? {
                        NO_CALLEE => None,
                        INDIRECT => Some(Callee::Indirect),
                        function => Some(Callee::Function(function)),
                    },
                });
            }
            sites.modules.push(module);
        }
        (rest.is_empty() && numbers.next().is_none()).then_some(sites)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn site(function: u32, bytes: u32, callee: Option<Callee>) -> SiteInfo {
        SiteInfo {
            function,
            bytes,
            callee,
        }
    }

    /// Two modules. The first imports its function 0.
    fn sites() -> Sites {
        let calls = |function| Some(Callee::Function(function));
        let first = vec![
            site(1, 8, None),
            site(1, 12, calls(2)),
            site(1, 4, calls(0)),
            site(2, 4, Some(Callee::Indirect)),
            site(2, 8, None),
        ];
        Sites {
            modules: vec![first, vec![site(0, 4, None)]],
            imported: vec![1, 0],
            globals_bytes: 16,
            memories: 2,
        }
    }

    /// Frames of these sites of these modules, the innermost first.
    fn frames(stack: &[(u32, u32)]) -> Vec<u8> {
        let (sites, mut frames) = (sites(), Vec::new());
        for (module, site) in stack {
            let word = (module << frame::SITE_BITS) | site;
            let (_, site) = sites.site(word).unwrap();
            let values = usize::try_from(site.bytes - frame::WORD_BYTES).unwrap();
            frames.resize(frames.len() + values, 7);
            frames.extend(word.to_le_bytes());
        }
        frames
    }

    fn check(stack: &[(u32, u32)]) -> Result<(), BadFrames> {
        sites().check(&frames(stack))
    }

    #[test]
    fn frames_that_lead_from_call_to_call_are_accepted() {
        assert_eq!(check(&[(0, 0)]), Ok(()));
        assert_eq!(check(&[(0, 4), (0, 1)]), Ok(()));
        // An import may lead into another module, and a table anywhere.
        assert_eq!(check(&[(1, 0), (0, 2)]), Ok(()));
        assert_eq!(check(&[(1, 0), (0, 3), (0, 1)]), Ok(()));
        assert_eq!(check(&[(0, 0), (0, 3)]), Ok(()));
    }

    #[test]
    fn a_frame_that_is_not_of_the_function_called_is_refused() {
        for stack in [
            [(0, 0), (0, 1)],
            [(1, 0), (0, 1)],
            // What is imported is in no frame of the module itself.
            [(0, 0), (0, 2)],
        ] {
            assert_eq!(check(&stack), Err(BadFrames::WrongCallee), "{stack:?}");
        }
    }

    #[test]
    fn only_the_innermost_frame_is_of_no_call() {
        assert_eq!(check(&[(0, 1)]), Err(BadFrames::WrongPlace));
        assert_eq!(check(&[(0, 4), (0, 0)]), Err(BadFrames::WrongPlace));
    }

    #[test]
    fn parts_of_frames_and_sites_that_are_not_there_are_refused() {
        let whole = frames(&[(0, 0)]);
        assert_eq!(sites().check(&[]), Err(BadFrames::Truncated));
        assert_eq!(sites().check(&whole[1..]), Err(BadFrames::Truncated));
        let longer = [&[0; 3][..], &whole[..]].concat();
        assert_eq!(sites().check(&longer), Err(BadFrames::Truncated));
        for word in [
            5,
            (1 << frame::SITE_BITS) | 1,
            2 << frame::SITE_BITS,
            u32::MAX,
        ] {
            let checked = sites().check(&word.to_le_bytes());
            assert_eq!(checked, Err(BadFrames::UnknownSite), "{word:#x}");
        }
    }

    #[test]
    fn what_a_cache_has_is_read_whole_or_not_at_all() {
        let bytes = sites().to_bytes();
        assert_eq!(Sites::from_bytes(&bytes), Some(sites()));
        for length in 0..bytes.len() {
            assert_eq!(Sites::from_bytes(&bytes[..length]), None, "{length}");
        }
        let longer = [bytes.as_slice(), &[0; 4]].concat();
        assert_eq!(Sites::from_bytes(&longer), None);
        // More modules than there can be take no memory.
        let many = [0, 0, u32::MAX].map(u32::to_le_bytes).concat();
        assert_eq!(Sites::from_bytes(&many), None);
    }
}
