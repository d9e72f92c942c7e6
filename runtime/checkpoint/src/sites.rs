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
