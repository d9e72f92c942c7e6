//! Where blocks begin and end.

use super::{BlockKind, Open, Reader, operands};
use crate::{
    Refused,
    frame::Site,
    tree::{Block, Frame, Handler, If, Loop, Node, Try},
};
use wasmparser::{BlockType, Catch, FuncValidator, RefType, TryTable, ValType, ValidatorResources};

/// How deep blocks may be nested. Compilers nest as deep as a `switch` has cases.
const MAX_DEPTH: usize = 20_000;

impl Reader<'_, '_> {
    fn handler(&self, catch: Catch) -> Result<Handler, Refused> {
        let unknown = || Refused::Shape("an exception of no type");
        let carried = |tag| self.analysis.carried(tag).ok_or_else(unknown);
        let (carried, is_kept, depth) = match catch {
            Catch::One { tag, label } => (carried(tag)?, false, label),
            Catch::OneRef { tag, label } => (carried(tag)?, true, label),
            Catch::All { label } => (&[][..], false, label),
            Catch::AllRef { label } => (&[][..], true, label),
        };
        let exception = is_kept.then_some(ValType::Ref(RefType::EXN));
        Ok(Handler {
            catch,
            label: self.target(depth),
            values: carried.iter().copied().chain(exception).collect(),
        })
    }

    pub(super) fn enter(
        &mut self,
        validator: &FuncValidator<ValidatorResources>,
        kind: BlockKind,
        ty: BlockType,
    ) -> Result<(), Refused> {
        if self.open.len() > MAX_DEPTH {
            return Err(Refused::Shape("blocks that are nested too deep"));
        }
        let (params, results) = match ty {
            BlockType::Empty => (0, Vec::new()),
            BlockType::Type(ty) => (0, vec![ty]),
            BlockType::FuncType(ty) => {
                let ty = self.analysis.type_at(ty);
                let ty = ty.ok_or(Refused::Shape("a block of no type"))?;
                (ty.params().len(), ty.results().to_vec())
            }
        };
        if kind == BlockKind::Try && params > 0 {
            return Err(Refused::Shape("a handler of exceptions with parameters"));
        }
        let operands = if self.stops {
            operands(validator, usize::from(kind == BlockKind::If))?
        } else {
            Vec::new()
        };
        let (label, other) = (self.label(), self.label());
        let first_site = self.sites();
        if kind == BlockKind::Loop {
            self.site(Site {
                operands: operands.clone(),
                ..Site::default()
            });
        }
        self.open.push(Open {
            kind,
            label,
            other,
            ty,
            params,
            results,
            operands,
            first_site,
            nodes: Vec::new(),
            then: None,
            handlers: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        if self.open.len() <= 1 {
            return;
        }
        let Some(open) = self.open.pop() else {
            return;
        };
        let frame = Frame {
            label: open.label,
            ty: open.ty,
            params: open.params,
            results: open.results,
            operands: open.operands,
            sites: open.first_site..self.sites(),
        };
        self.push(match open.kind {
            BlockKind::Function | BlockKind::Block => Node::Block(Block {
                frame,
                body: open.nodes,
            }),
            BlockKind::Try => Node::Try(Try {
                frame,
                handlers: open.handlers,
                body: open.nodes,
            }),
            BlockKind::Loop => Node::Loop(Loop {
                frame,
                pad: open.other,
                site: open.first_site,
                body: open.nodes,
            }),
            BlockKind::If => {
                let (then, or_else) = match open.then {
                    Some(then) => (then, Some(open.nodes)),
                    None => (open.nodes, None),
                };
                Node::If(If {
                    frame,
                    otherwise: open.other,
                    then,
                    or_else,
                })
            }
        });
    }

    /// Begins a block in which exceptions are caught.
    pub(super) fn enter_try(
        &mut self,
        validator: &FuncValidator<ValidatorResources>,
        try_table: &TryTable,
    ) -> Result<(), Refused> {
        let handlers = try_table.catches.iter().map(|catch| self.handler(*catch));
        let handlers = handlers.collect::<Result<_, Refused>>()?;
        self.enter(validator, BlockKind::Try, try_table.ty)?;
        if let Some(open) = self.open.last_mut() {
            open.handlers = handlers;
        }
        Ok(())
    }

    /// Begins the other arm of an `if`.
    pub(super) fn otherwise(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.then = Some(std::mem::take(&mut open.nodes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ability, instrument_module};

    #[test]
    fn blocks_are_nested_deep_but_not_without_end() {
        let nested = |depth: usize| {
            let (blocks, ends) = ("block ".repeat(depth), "end ".repeat(depth));
            let module = wat::parse_str(format!("(module (func {blocks} {ends}))")).unwrap();
            instrument_module(&module, Ability::Count)
        };
        assert!(nested(1000).is_ok());
        let refused = nested(MAX_DEPTH + 1).unwrap_err();
        assert!(refused.to_string().contains("too deep"), "{refused}");
    }
}
