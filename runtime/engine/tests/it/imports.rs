//! Programs that call one import each, with arguments that mean nothing; components trap in whatever the
//! host asks of them meanwhile.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is how a test fails"
)]

use crate::support::{engines, invocation, load};
use mc_artifacts::guest;
use mc_engine::Engine;
use mc_types::Termination;
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::{
    Function, LiftLowerAbi, ManglingAndAbi, Resolve, WasmImport, WorldId, WorldItem, WorldKey,
    abi::{AbiVariant, WasmType},
};

/// For every parameter of a call.
const ARGUMENTS: [&str; 5] = ["0", "1", "-1", "0x7ffffff0", "65532"];

/// What a component imports and exports.
struct World {
    resolve: Resolve,
    id: WorldId,
}

impl World {
    fn of(guest_name: &str) -> Self {
        let bytes = std::fs::read(guest(guest_name)).unwrap();
        match wit_component::decode(&bytes).unwrap() {
            DecodedWasm::Component(resolve, id) => Self { resolve, id },
            DecodedWasm::WitPackage(..) => panic!("no component"),
        }
    }

    fn imports(&self) -> impl Iterator<Item = (&WorldKey, &Function)> {
        let imports = &self.resolve.worlds[self.id].imports;
        imports.iter().flat_map(|(key, item)| {
            let WorldItem::Interface { id, .. } = item else {
                panic!("{key:?} is no interface")
            };
            let functions = self.resolve.interfaces[*id].functions.values();
            functions.map(move |function| (key, function))
        })
    }

    /// The core name of the function that is called to run a component of this world.
    fn entry(&self) -> String {
        let exports = &self.resolve.worlds[self.id].exports;
        let key = exports.keys().next().unwrap();
        format!("{}#run", self.resolve.name_world_key(key))
    }

    /// A component that calls `function` with `argument` for every parameter.
    fn caller(&self, key: &WorldKey, function: &Function, argument: &str) -> Vec<u8> {
        let import = WasmImport::Func {
            interface: Some(key),
            func: function,
        };
        let mangling = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
        let (module, name) = self.resolve.wasm_import_name(mangling, import);
        let signature = self
            .resolve
            .wasm_signature(AbiVariant::GuestImport, function);
        let types = |types: &[WasmType]| types.iter().map(|&ty| core(ty)).collect::<Vec<_>>();
        let (params, results) = (types(&signature.params), types(&signature.results));
        let pushes: String = params
            .iter()
            .map(|ty| format!("({ty}.const {argument})"))
            .collect();
        let text = format!(
            r#"(module
              (import "{module}" "{name}" (func $call (param {}) (result {})))
              (memory (export "memory") 1)
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
              (func (export "{}") (result i32) {pushes} call $call {} i32.const 0))"#,
            params.join(" "),
            results.join(" "),
            self.entry(),
            "drop ".repeat(results.len()),
        );
        let mut module = wat::parse_str(text).unwrap();
        embed_component_metadata(&mut module, &self.resolve, self.id, StringEncoding::UTF8)
            .unwrap();
        let mut encoder = ComponentEncoder::default().module(&module).unwrap();
        encoder.encode().unwrap()
    }
}

fn core(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

fn end(engine: &Engine, component: &[u8], called: &str) -> (Termination, u64) {
    let ended = load(engine, component).run(invocation(&[]));
    let ended = ended.unwrap_or_else(|error| panic!("{called}: {error}"));
    (ended.end, ended.usage.fuel)
}

/// Asserts that a program ends as documented, and alike on both engines.
fn assert_documented(engines: &[Engine; 2], program: &[u8], called: &str) {
    let [native, pulley] = engines;
    let ended = end(native, program, called);
    assert_eq!(ended, end(pulley, program, called), "{called}");
    let documented = matches!(
        ended.0,
        Termination::Exited { .. } | Termination::Trapped { .. }
    );
    assert!(documented, "{called}: {ended:?}");
}

#[test]
fn every_import_of_wasi_withstands_arguments_that_mean_nothing() {
    let engines = engines();
    let mut seen = 0;
    for name in ["wasi_calls", "net_denied"] {
        let world = World::of(name);
        for (key, function) in world.imports() {
            seen += 1;
            for argument in ARGUMENTS {
                let called = format!("{}({argument}, …)", function.name);
                let component = world.caller(key, function, argument);
                assert_documented(&engines, &component, &called);
            }
        }
    }
    assert!(seen > 100, "only {seen} functions");
}

/// The functions of `wasi_snapshot_preview1`, with a letter for each parameter: `i` for 32 bits and `l`
/// for 64. Those that return return 32 bits.
const PREVIEW1: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

#[test]
fn every_import_of_preview_1_withstands_arguments_that_mean_nothing() {
    let engines = engines();
    for (name, params) in PREVIEW1 {
        // 3 is the directory that every task has.
        for (first, rest) in ARGUMENTS
            .iter()
            .flat_map(|rest| [(*rest, *rest), ("3", *rest)])
        {
            let called = format!("{name}({first}, {rest}, …)");
            assert_documented(
                &engines,
                &preview1_caller(name, params, first, rest),
                &called,
            );
        }
    }
}

/// A module that calls one function.
fn preview1_caller(name: &str, params: &str, first: &str, rest: &str) -> Vec<u8> {
    let types = params.chars().map(|letter| match letter {
        'l' => "i64",
        _ => "i32",
    });
    let pushes: String = types
        .clone()
        .enumerate()
        .map(|(n, ty)| format!("({ty}.const {})", if n == 0 { first } else { rest }))
        .collect();
    let (result, drop) = match name {
        "proc_exit" => ("", ""),
        _ => ("(result i32)", "drop"),
    };
    let params = types.collect::<Vec<_>>().join(" ");
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "{name}" (func $call (param {params}) {result}))
          (memory (export "memory") 1)
          (func (export "_start") {pushes} call $call {drop}))"#
    );
    wat::parse_str(text).unwrap()
}
