//! From the operators of a body to the tree.

mod blocks;

use super::{Body, Call, Handler, Label, Node, SiteIndex};
use crate::{
    Refused,
    analysis::Analysis,
    frame::{Callee, Site},
};
use wasmparser::{BlockType, FuncValidator, FunctionBody, Operator, ValType, ValidatorResources};

/// Reads a body. Its sites are all places where the function can be stopped if `stops`, and otherwise only its loops.
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
    kind: BlockKind,
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
enum BlockKind {
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
            kind: BlockKind::Function,
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
            matches!(open.kind, BlockKind::Block | BlockKind::If | BlockKind::Try)
                && open.results.is_empty()
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
            Operator::Block { blockty } => self.enter(validator, BlockKind::Block, *blockty)?,
            Operator::Loop { blockty } => self.enter(validator, BlockKind::Loop, *blockty)?,
            Operator::If { blockty } => self.enter(validator, BlockKind::If, *blockty)?,
            Operator::TryTable { try_table } => self.enter_try(validator, try_table)?,
            Operator::Else => self.otherwise(),
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
                let params = ty.map_or(0, |ty| ty.params().len());
                self.call(validator, operator, callee, params)?;
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
