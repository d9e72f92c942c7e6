//! In which order changes are applied.

use crate::{
    Error,
    journal::{Action, Op},
    place,
};

/// Drops what is stated twice, and refuses what cannot be.
///
/// An entry that is removed and replaced is only replaced, which leaves no moment without it. An
/// entry that is moved away and replaced leaves its place free.
pub(crate) fn settled(ops: Vec<Op>) -> Result<Vec<Op>, Error> {
    let outs = taking(&ops)?;
    let ins = putting(&ops)?;
    let mut dropped = vec![false; ops.len()];
    let mut freed = vec![false; ops.len()];
    for &index in &ins {
        let Some((to, _, Some(replaces))) = ops.get(index).and_then(Op::puts) else {
            continue;
        };
        let found = outs.binary_search_by(|&out| place::order(to, taken_from(&ops, out)));
        let Some(&out) = found.ok().and_then(|at| outs.get(at)) else {
            continue;
        };
        let Some(taker) = ops.get(out).filter(|op| is_of(op, replaces)) else {
            continue;
        };
        let (flags, at) = match taker.action {
            Action::Remove { .. } => (&mut dropped, out),
            _ => (&mut freed, index),
        };
        if let Some(flag) = flags.get_mut(at) {
            *flag = true;
        }
    }
    let settled = ops.into_iter().zip(dropped).zip(freed);
    Ok(settled
        .filter(|((_, dropped), _)| !dropped)
        .map(|((mut op, _), freed)| {
            if freed {
                replace_nothing(&mut op.action);
            }
            op
        })
        .collect())
}

/// Indices of the changes that take something out, what is in a directory before the directory.
pub(crate) fn taking(ops: &[Op]) -> Result<Vec<usize>, Error> {
    let mut order = sorted(ops, |op| op.takes().map(|(place, _)| place))?;
    order.reverse();
    Ok(order)
}

/// Indices of the changes that put something in, a directory before what is in it.
pub(crate) fn putting(ops: &[Op]) -> Result<Vec<usize>, Error> {
    sorted(ops, |op| op.puts().map(|(place, ..)| place))
}

fn sorted(ops: &[Op], place: impl Fn(&Op) -> Option<&str>) -> Result<Vec<usize>, Error> {
    let mut found: Vec<(&str, usize)> = ops
        .iter()
        .enumerate()
        .filter_map(|(index, op)| Some((place(op)?, index)))
        .collect();
    found.sort_by(|a, b| place::order(a.0, b.0));
    let mut pairs = found.iter().zip(found.iter().skip(1));
    if let Some((twice, _)) = pairs.find(|(a, b)| a.0 == b.0) {
        return Err(Error::Twice {
            place: twice.0.into(),
        });
    }
    Ok(found.into_iter().map(|(_, index)| index).collect())
}

fn taken_from(ops: &[Op], index: usize) -> &str {
    let taken = ops.get(index).and_then(Op::takes);
    taken.map_or("", |(place, _)| place)
}

fn is_of(op: &Op, replaced: &crate::Fingerprint) -> bool {
    op.takes().is_some_and(|(_, was)| was.is_entry(replaced))
}

fn replace_nothing(action: &mut Action) {
    if let Action::Put { replaces, .. } | Action::Rename { replaces, .. } = action {
        *replaces = None;
    }
}
