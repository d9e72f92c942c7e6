use super::solve;
use crate::{
    analysis::{Analysis, FEATURES},
    frame::{From, Site},
    tree,
};
use wasmparser::{FuncValidatorAllocations, Parser, ValidPayload, Validator};

/// A function that may go on for long, so that calls of it are sites.
const LOOPS: &str = "(func $f (loop (br_if 0 (i32.const 0))))";

/// The sites of `function`, which comes after [`LOOPS`]: where it begins, and then those in its body.
fn sites(function: &str) -> Vec<Site> {
    let module = wat::parse_str(format!("(module {LOOPS} {function})")).unwrap();
    let analysis = Analysis::of(&module, &|_| false).unwrap();
    let mut validator = Validator::new_with_features(FEATURES);
    let (mut sites, mut number) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(&module) {
        let payload = payload.unwrap();
        if let ValidPayload::Func(function, code) = validator.payload(&payload).unwrap() {
            let mut validator = function.into_validator(FuncValidatorAllocations::default());
            let mut body = tree::read(&analysis, &mut validator, &code, number, true).unwrap();
            solve(&mut body);
            sites = body.sites;
            number += 1;
        }
    }
    sites
}

/// The locals that a site keeps, each with how deep in loops the region is that takes it.
fn kept(site: &Site) -> Vec<(u32, usize)> {
    let items = site.frame.as_ref().unwrap().items.iter();
    let locals = items.filter_map(|item| match item.from {
        From::Local(local) => Some((local, item.owner)),
        From::Operand(_) => None,
    });
    locals.collect()
}

#[test]
fn only_locals_that_are_read_before_they_are_set_are_kept() {
    let sites = sites(
        "(func (param i32 i32 i32)
           (call $f)
           (drop (local.get 1))
           (local.set 2 (i32.const 1))
           (drop (local.get 2)))",
    );
    assert_eq!(sites.len(), 2);
    for site in &sites {
        assert_eq!(kept(site), [(1, 0)]);
    }
}

#[test]
fn what_either_way_reads_is_kept_and_what_none_reaches_is_not() {
    let branches = sites(
        "(func (param i32 i32 i32) (result i32)
           (call $f)
           (if (result i32) (local.get 0)
             (then (local.get 1))
             (else (local.get 2))))",
    );
    assert_eq!(kept(&branches[1]), [(0, 0), (1, 0), (2, 0)]);
    let dead = sites(
        "(func (param i32 i32) (result i32)
           (call $f)
           (return (local.get 0))
           (drop (local.get 1)))",
    );
    assert_eq!(kept(&dead[1]), [(0, 0)]);
}

#[test]
fn locals_belong_to_the_innermost_loop_that_changes_them() {
    let sites = sites(
        "(func (param i32 i32 i32)
           (loop $outer
             (loop $inner
               (local.set 0 (i32.add (local.get 0) (local.get 1)))
               (br_if $inner (local.get 0)))
             (local.set 2 (i32.sub (local.get 2) (i32.const 1)))
             (br_if $outer (local.get 2))))",
    );
    let [begin, outer, inner] = sites.as_slice() else {
        panic!("{sites:?}");
    };
    for site in [begin, outer] {
        assert_eq!((kept(site), site.depth), (vec![(0, 0), (1, 0), (2, 0)], 0));
    }
    let within = vec![(0, 1), (1, 0), (2, 1)];
    assert_eq!((kept(inner), inner.depth), (within, 1));
}

#[test]
fn operands_beneath_a_call_are_kept_and_references_cannot_be() {
    let operands = sites("(func (i32.const 5) (call $f) drop)");
    let frame = operands[1].frame.as_ref().unwrap();
    let from: Vec<_> = frame.items.iter().map(|item| item.from).collect();
    assert_eq!((from, frame.bytes), (vec![From::Operand(0)], 8));
    let reference = sites("(func (param funcref) (call $f) (drop (local.get 0)))");
    assert_eq!(reference[1].frame, None);
}
