use super::*;

fn analysis(text: &str) -> Analysis {
    Analysis::of(&wat::parse_str(text).unwrap(), &|_| false).unwrap()
}

#[test]
fn only_functions_that_may_go_on_for_long_are_stopped_in() {
    let analysis = analysis(
        "(module
           (table 1 funcref)
           (func $leaf)
           (func (call $leaf))
           (func $loops (loop (br_if 0 (i32.const 0))))
           (func (call $loops))
           (func $itself (call $itself))
           (func $even (call $odd))
           (func $odd (call $even))
           (func (call_indirect (i32.const 0))))",
    );
    let stopped: Vec<_> = (0..8).map(|function| analysis.may_stop(function)).collect();
    assert_eq!(stopped, [false, false, true, true, true, true, true, true]);
    assert!(!analysis.may_stop(8), "there is none");
}

#[test]
fn imports_that_are_part_of_the_guest_may_go_on_for_long() {
    let module = "(module
        (import \"a\" \"guest\" (func $guest))
        (import \"a\" \"host\" (func $host))
        (func (call $guest))
        (func (call $host)))";
    let module = wat::parse_str(module).unwrap();
    let analysis = Analysis::of(&module, &|function| function == 0).unwrap();
    let stopped: Vec<_> = (0..4).map(|function| analysis.may_stop(function)).collect();
    assert_eq!(stopped, [true, false, true, false]);
}

#[test]
fn a_function_needs_the_stack_of_the_calls_that_do_not_look_for_their_own() {
    let analysis = analysis(
        "(module
           (func $leaf (local i64 i64 v128))
           (func (call $leaf))
           (func $loops (loop (br_if 0 (i32.const 0))))
           (func (call $loops)))",
    );
    let stack = |function: u32| {
        let function = analysis.function(function).unwrap();
        (function.stack, function.stack_needed)
    };
    assert_eq!(stack(0), (64, 64));
    assert_eq!(stack(1), (32, 96));
    assert_eq!(stack(2), (40, 40));
    assert_eq!(stack(3), (32, 32));
}

#[test]
fn tail_calls_are_in_the_way_only_of_what_may_be_stopped() {
    let found = |text: &str| {
        let obstacle = analysis(text).obstacle?;
        Some((obstacle.function, obstacle.reason))
    };
    let leaf = "(module (func $leaf) (func (return_call $leaf)))";
    assert_eq!(found(leaf), None);
    let itself = "(module (func $itself (return_call $itself)))";
    assert_eq!(found(itself), Some((Some(0), "return_call".to_owned())));
    let table = "(module (type $t (func)) (table 1 funcref)
        (func) (func (return_call_indirect (type $t) (i32.const 0))))";
    let reason = "return_call_indirect".to_owned();
    assert_eq!(found(table), Some((Some(1), reason)));
}
