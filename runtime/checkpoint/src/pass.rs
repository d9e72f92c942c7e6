//! The functions of a module, rewritten one after the other.

use crate::{
    Obstacle, Refused,
    analysis::Analysis,
    frame,
    function::{self, Context, FunctionForm, Rewritten},
    liveness,
    plan::{Ability, Page, Plan},
    sites::SiteInfo,
    tree,
    types::Types,
};
use wasm_encoder::{
    BranchHints,
    reencode::{Error, Reencode},
};
use wasmparser::{FuncValidatorAllocations, FunctionBody, ValType};

/// Renumbers memories: the meter comes after the imported ones.
pub(crate) struct Renumber {
    pub(crate) imported_memories: u32,
    pub(crate) shift: u32,
}

impl Reencode for Renumber {
    type Error = Refused;

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Refused>> {
        Ok(if memory < self.imported_memories {
            memory
        } else {
            memory + self.shift
        })
    }
}

/// What is needed to rewrite the functions one after the other.
pub(crate) struct Pass<'a> {
    pub(crate) analysis: &'a Analysis,
    pub(crate) plan: Plan<'a>,
    /// The number of the meter's memory.
    pub(crate) meter: u32,
    pub(crate) types: Types,
    pub(crate) sites: Vec<SiteInfo>,
    pub(crate) hints: BranchHints,
    /// Functions that resume from frames, with their results. They follow after all others.
    pub(crate) resuming: Vec<(Vec<ValType>, Rewritten)>,
    /// Which function comes next.
    next: u32,
    /// Which number a function has that is added.
    pub(crate) added: u32,
    pub(crate) allocations: FuncValidatorAllocations,
    pub(crate) obstacle: Option<Obstacle>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(analysis: &'a Analysis, plan: Plan<'a>) -> Self {
        Self {
            analysis,
            plan,
            meter: match plan.page {
                Page::Imported => analysis.imported_memories,
                Page::Own => analysis.memories,
            },
            types: Types::beyond(analysis.types.len()),
            sites: Vec::new(),
            hints: BranchHints::new(),
            resuming: Vec::new(),
            next: analysis.imported_functions,
            added: u32::try_from(analysis.function_types.len()).unwrap_or(u32::MAX),
            allocations: FuncValidatorAllocations::default(),
            obstacle: None,
        }
    }

    pub(crate) fn function(
        &mut self,
        renumber: &mut Renumber,
        validator: &mut wasmparser::FuncValidator<wasmparser::ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<wasm_encoder::Function, Refused> {
        let number = self.next;
        self.next += 1;
        let unknown = Refused::Shape("more bodies than functions");
        let ty = self
            .analysis
            .type_of(number)
            .ok_or_else(|| unknown.clone())?;
        let function = self.analysis.function(number).ok_or(unknown)?;
        let stops = self.plan.stops() && function.has_site;
        let mut body = tree::read(self.analysis, validator, body, number, stops)?;
        let first_word = self.first_word();
        if stops {
            liveness::solve(&mut body);
            self.take_note_of_sites(number, &body);
        }
        let stops = stops && self.obstacle.is_none();
        let again = (stops && self.plan.ability == Ability::Resume).then(|| self.again());
        let context = Context {
            kind: if stops {
                FunctionForm::Stop { again }
            } else {
                FunctionForm::Count
            },
            function,
            meter: self.meter,
            params: ty.params().len(),
            results: ty.results(),
            first_word,
        };
        let rewritten = function::rewrite(renumber, &mut self.types, context, &body)?;
        let (mut fits, is_large) = (!rewritten.is_too_large(), rewritten.is_large());
        self.hints.function_hints(number, rewritten.hints);
        let resumed = Context {
            kind: FunctionForm::Resume,
            ..context
        };
        if again.is_some() {
            let resumed = function::rewrite(renumber, &mut self.types, resumed, &body)?;
            fits &= !resumed.is_too_large();
            self.resuming.push((ty.results().to_vec(), resumed));
        } else if stops && is_large {
            // Nothing may be stopped that cannot go on.
            let mut types = self.types.clone();
            let resumed = function::rewrite(renumber, &mut types, resumed, &body)?;
            fits &= !resumed.is_too_large();
        }
        match (fits, stops) {
            (false, true) => self.obstruct(number, "what becomes too large to be resumed"),
            (false, false) if self.obstacle.is_none() => {
                return Err(Refused::Shape("a function that is too large to be counted"));
            }
            _ => {}
        }
        Ok(rewritten.function)
    }

    /// Takes note of why the module cannot be stopped.
    fn obstruct(&mut self, function: u32, reason: &str) {
        let obstacle = Obstacle::new(Some(function), reason);
        self.obstacle = Some(obstacle.of_module(self.plan.number));
    }

    /// The number of the next function that goes on from a frame.
    fn again(&self) -> u32 {
        let number = self.analysis.function_types.len() + self.resuming.len();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The word of the next site.
    fn first_word(&self) -> u32 {
        let site = u32::try_from(self.sites.len()).unwrap_or(u32::MAX);
        (self.plan.number << frame::SITE_BITS).saturating_add(site)
    }

    fn take_note_of_sites(&mut self, number: u32, body: &tree::Body<'_>) {
        let mut obstacle = None;
        for site in &body.sites {
            match &site.frame {
                Some(frame) => self.sites.push(SiteInfo {
                    function: number,
                    bytes: frame.bytes,
                    callee: site.callee,
                }),
                None => obstacle = Some("a reference that is needed after a call or loop"),
            }
        }
        if self.sites.len() >= 1 << frame::SITE_BITS {
            obstacle = Some("more calls and loops than can be numbered");
        }
        if let Some(reason) = obstacle {
            self.obstruct(number, reason);
        }
    }
}
