//! A function's body as a tree, with what is on the operand stack where that matters.

use crate::{
    Refused,
    analysis::Analysis,
    frame::{Callee, Site},
};
use std::ops::Range;
use wasmparser::{
    BlockType, Catch, FuncValidator, FunctionBody, Operator, RefType, ValType, ValidatorResources,
};

/// How deep blocks may be nested. Compilers nest as deep as a `switch` has cases.
const MAX_DEPTH: usize = 20_000;

/// Where branches go. 0 is the function's own.
pub(crate) type Label = u32;
/// A site, by its number within the function.
pub(crate) type SiteIndex = u32;

/// A body, without the code that is never reached.
#[derive(Debug, Default)]
pub(crate) struct Body<'a> {
    /// The types of parameters and locals.
    pub(crate) locals: Vec<ValType>,
    pub(crate) nodes: Vec<Node<'a>>,
    /// In the order of the code.
    pub(crate) sites: Vec<Site>,
    /// Whether the first site is where the function begins.
    pub(crate) has_entry: bool,
    /// How many labels there are.
    pub(crate) labels: u32,
}

#[derive(Debug)]
pub(crate) enum Node<'a> {
    /// Neither a block nor a branch.
    Plain(Operator<'a>),
    Br(Label),
    BrIf {
        label: Label,
        /// Whether it leads forward, and takes no operands along.
        is_plain: bool,
    },
    BrTable(Vec<Label>, Label),
    Return,
    /// A call during which the function may be stopped.
    Call(Call<'a>),
    Block(Block<'a>),
    Loop(Loop<'a>),
    If(If<'a>),
    /// Never in a function that can be stopped.
    Try(Try<'a>),
}

#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operator: Operator<'a>,
    pub(crate) site: SiteIndex,
    /// Ends where the call is.
    pub(crate) pad: Label,
    /// The whole operand stack, arguments included.
    pub(crate) operands: Vec<ValType>,
}

/// What blocks of all kinds have.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) label: Label,
    pub(crate) ty: BlockType,
    pub(crate) params: usize,
    pub(crate) results: Vec<ValType>,
    /// The whole operand stack where it begins, parameters included, a condition not.
    pub(crate) operands: Vec<ValType>,
    /// The sites within.
    pub(crate) sites: Range<SiteIndex>,
}

impl Frame {
    /// How many operands are beneath the block.
    pub(crate) fn beneath(&self) -> usize {
        self.operands.len().saturating_sub(self.params)
    }

    /// The operand stack where it ends.
    pub(crate) fn after(&self) -> Vec<ValType> {
        let beneath = self.operands.iter().take(self.beneath());
        beneath.chain(&self.results).copied().collect()
    }
}

#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub(crate) frame: Frame,
    pub(crate) body: Vec<Node<'a>>,
}

#[derive(Debug)]
pub(crate) struct Loop<'a> {
    pub(crate) frame: Frame,
    /// Ends where the loop is.
    pub(crate) pad: Label,
    pub(crate) site: SiteIndex,
    pub(crate) body: Vec<Node<'a>>,
}

#[derive(Debug)]
pub(crate) struct If<'a> {
    pub(crate) frame: Frame,
    /// Ends where the other arm begins.
    pub(crate) otherwise: Label,
    pub(crate) then: Vec<Node<'a>>,
    pub(crate) or_else: Option<Vec<Node<'a>>>,
}

/// A block in which exceptions are caught.
#[derive(Debug)]
pub(crate) struct Try<'a> {
    pub(crate) frame: Frame,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) body: Vec<Node<'a>>,
}

/// Where some exceptions go.
#[derive(Debug)]
pub(crate) struct Handler {
    /// Which ones. Its label is that of the original.
    pub(crate) catch: Catch,
    pub(crate) label: Label,
    /// What is on the operand stack there.
    pub(crate) values: Vec<ValType>,
}

/// Reads a body. Sites are those where the function can be stopped if `stops`, and else its loops.
pub(crate) fn read<'a>(
    analysis: &Analysis,
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'a>,
    function: u32,
    stops: bool,
) -> Result<Body<'a>, Refused> {
    validator.read_locals(&mut body.get_binary_reader())?;
    let locals = (0..validator.len_locals())
        .filter_map(|local| validator.get_local_type(local))
        .collect();
    let mut reader = Reader {
        analysis,
        stops,
        body: Body {
            locals,
            has_entry: analysis.may_stop(function),
            labels: 1,
            ..Body::default()
        },
        open: Vec::new(),
        dead: None,
    };
    reader.begin();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        reader.operator(validator, &operator)?;
        validator.op(offset, &operator)?;
    }
    operators.finish()?;
    let nodes = reader.open.pop().map(|open| open.nodes);
    reader.body.nodes = nodes.unwrap_or_default();
    Ok(reader.body)
}

/// A block that is being read.
struct Open<'a> {
    kind: Kind,
    label: Label,
    /// The second label of those that have one.
    other: Label,
    ty: BlockType,
    params: usize,
    results: Vec<ValType>,
    operands: Vec<ValType>,
    first_site: SiteIndex,
    nodes: Vec<Node<'a>>,
    /// Of an `if` whose other arm is being read: the first.
    then: Option<Vec<Node<'a>>>,
    handlers: Vec<Handler>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Function,
    Block,
    Loop,
    If,
    Try,
}

struct Reader<'a, 'b> {
    analysis: &'b Analysis,
    stops: bool,
    body: Body<'a>,
    open: Vec<Open<'a>>,
    /// In code that is never reached: blocks that were opened there.
    dead: Option<u32>,
}

impl<'a> Reader<'a, '_> {
    fn begin(&mut self) {
        if self.body.has_entry {
            self.site(Site::default());
        }
        self.open.push(Open {
            kind: Kind::Function,
            label: 0,
            other: 0,
            ty: BlockType::Empty,
            params: 0,
            results: Vec::new(),
            operands: Vec::new(),
            first_site: 0,
            nodes: Vec::new(),
            then: None,
            handlers: Vec::new(),
        });
    }

    fn site(&mut self, site: Site) -> SiteIndex {
        self.body.sites.push(site);
        self.sites() - 1
    }

    fn sites(&self) -> SiteIndex {
        u32::try_from(self.body.sites.len()).unwrap_or(u32::MAX)
    }

    const fn label(&mut self) -> Label {
        self.body.labels += 1;
        self.body.labels - 1
    }

    fn push(&mut self, node: Node<'a>) {
        if let Some(open) = self.open.last_mut() {
            open.nodes.push(node);
        }
    }

    /// What a branch over `depth` blocks leaves or begins again.
    fn open_at(&self, depth: u32) -> Option<&Open<'a>> {
        let depth = usize::try_from(depth).unwrap_or(usize::MAX);
        self.open.iter().rev().nth(depth)
    }

    /// The label that a branch over `depth` blocks goes to.
    fn target(&self, depth: u32) -> Label {
        self.open_at(depth).map_or(0, |open| open.label)
    }

    /// Whether a branch over `depth` blocks leads forward, and takes no operands along.
    fn is_plain(&self, depth: u32) -> bool {
        self.open_at(depth).is_some_and(|open| {
            matches!(open.kind, Kind::Block | Kind::If | Kind::Try) && open.results.is_empty()
        })
    }

    /// Looks at an operator that the validator has not seen yet.
    fn operator(
        &mut self,
        validator: &FuncValidator<ValidatorResources>,
        operator: &Operator<'a>,
    ) -> Result<(), Refused> {
        if self.skip_dead(operator) {
            return Ok(());
        }
        match operator {
            Operator::Block { blockty } => self.enter(validator, Kind::Block, *blockty)?,
            Operator::Loop { blockty } => self.enter(validator, Kind::Loop, *blockty)?,
            Operator::If { blockty } => self.enter(validator, Kind::If, *blockty)?,
            Operator::TryTable { try_table } => {
                let handlers = try_table.catches.iter().map(|catch| self.handler(*catch));
                let handlers = handlers.collect::<Result<_, Refused>>()?;
                self.enter(validator, Kind::Try, try_table.ty)?;
                if let Some(open) = self.open.last_mut() {
                    open.handlers = handlers;
                }
            }
            Operator::Else => {
                if let Some(open) = self.open.last_mut() {
                    open.then = Some(std::mem::take(&mut open.nodes));
                }
            }
            Operator::End => self.leave(),
            Operator::Br { relative_depth } => {
                self.push(Node::Br(self.target(*relative_depth)));
                self.dead = Some(0);
            }
            Operator::BrIf { relative_depth } => {
                let label = self.target(*relative_depth);
                let is_plain = self.is_plain(*relative_depth);
                self.push(Node::BrIf { label, is_plain });
            }
            Operator::BrTable { targets } => {
                let labels = targets.targets().map(|depth| Ok(self.target(depth?)));
                let labels = labels.collect::<Result<_, Refused>>()?;
                self.push(Node::BrTable(labels, self.target(targets.default())));
                self.dead = Some(0);
            }
            Operator::Return => {
                self.push(Node::Return);
                self.dead = Some(0);
            }
            Operator::Call { function_index } => {
                let callee = Callee::Function(*function_index);
                let ty = self.analysis.type_of(*function_index);
                self.call(
                    validator,
                    operator,
                    callee,
                    ty.map_or(0, |ty| ty.params().len()),
                )?;
            }
            Operator::CallIndirect { type_index, .. } => {
                let ty = self.analysis.type_at(*type_index);
                let params = ty.map_or(0, |ty| ty.params().len()) + 1;
                self.call(validator, operator, Callee::Indirect, params)?;
            }
            Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => {
                self.push(Node::Plain(operator.clone()));
                self.dead = Some(0);
            }
            _ => self.push(Node::Plain(operator.clone())),
        }
        Ok(())
    }

    fn call(
        &mut self,
        validator: &FuncValidator<ValidatorResources>,
        operator: &Operator<'a>,
        callee: Callee,
        arguments: usize,
    ) -> Result<(), Refused> {
        let stops = match callee {
            Callee::Function(function) => self.analysis.may_stop(function),
            Callee::Indirect => true,
        };
        if !self.stops || !stops {
            self.push(Node::Plain(operator.clone()));
            return Ok(());
        }
        let operands = operands(validator, 0)?;
        let kept = operands.len().saturating_sub(arguments);
        let site = self.site(Site {
            operands: operands.iter().take(kept).copied().collect(),
            callee: Some(callee),
            arguments,
            ..Site::default()
        });
        let pad = self.label();
        self.push(Node::Call(Call {
            operator: operator.clone(),
            site,
            pad,
            operands,
        }));
        Ok(())
    }

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

    fn enter(
        &mut self,
        validator: &FuncValidator<ValidatorResources>,
        kind: Kind,
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
        if kind == Kind::Try && params > 0 {
            return Err(Refused::Shape("a handler of exceptions with parameters"));
        }
        let operands = if self.stops {
            operands(validator, usize::from(kind == Kind::If))?
        } else {
            Vec::new()
        };
        let (label, other) = (self.label(), self.label());
        let first_site = self.sites();
        if kind == Kind::Loop {
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

    fn leave(&mut self) {
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
            Kind::Function | Kind::Block => Node::Block(Block {
                frame,
                body: open.nodes,
            }),
            Kind::Try => Node::Try(Try {
                frame,
                handlers: open.handlers,
                body: open.nodes,
            }),
            Kind::Loop => Node::Loop(Loop {
                frame,
                pad: open.other,
                site: open.first_site,
                body: open.nodes,
            }),
            Kind::If => {
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

    /// Whether an operator is never reached.
    fn skip_dead(&mut self, operator: &Operator<'_>) -> bool {
        let Some(opened) = self.dead else {
            return false;
        };
        match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => {
                self.dead = Some(opened + 1);
            }
            Operator::End if opened > 0 => self.dead = Some(opened - 1),
            // Here code is reached again.
            Operator::End | Operator::Else if opened == 0 => {
                self.dead = None;
                return false;
            }
            _ => {}
        }
        true
    }
}

/// The operand stack without the `skip` topmost.
fn operands(
    validator: &FuncValidator<ValidatorResources>,
    skip: usize,
) -> Result<Vec<ValType>, Refused> {
    let height = usize::try_from(validator.operand_stack_height()).unwrap_or(usize::MAX);
    let known = |depth| validator.get_operand_type(depth).flatten();
    (skip..height)
        .rev()
        .map(|depth| known(depth).ok_or(Refused::Shape("an operand of no type")))
        .collect()
}
