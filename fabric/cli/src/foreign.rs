//! Guesses from unsupported imports for which environment a program was built.

/// Parts of imports, and advice for programs that have them. The first match counts.
const KINDS: &[(&[&str], &str)] = &[
    (
        &["env.napi_"],
        "it is an addon for Node.js, which only Node.js can run",
    ),
    (
        &["env.__memory_base", "env.__table_base", "GOT.mem."],
        "it is a library that other programs load: link it statically, as a command for WASI",
    ),
    (
        &[
            "env.__syscall_",
            "env.emscripten_",
            "env._emscripten_",
            "env.invoke_",
            "env._abort_js",
            "env.abortStackOverflow",
            "env.__cxa_throw",
        ],
        EMSCRIPTEN,
    ),
    (
        &["__wbindgen_", "__wbg_"],
        "it was built by wasm-bindgen for JavaScript: build it for --target wasm32-wasip2",
    ),
    (
        &["gojs.", "go.runtime.", "go.syscall/js."],
        "it was built by Go for JavaScript: build it with GOOS=wasip1",
    ),
    (
        &["wasix_32v1.", "wasix_64v1."],
        "it was built for WASIX, which is not WASI: build it for --target wasm32-wasip2",
    ),
    (
        &["wasi.thread-spawn"],
        "it was built with threads, which are not offered: build it without",
    ),
    (
        // Functions of resources; what a component imports is named without them.
        &[
            ".[method]",
            ".[static]",
            ".[constructor]",
            ".[resource-drop]",
        ],
        "it is a part of a component: wasm-tools component new makes a component of it",
    ),
    (
        &["@0.3."],
        "it was built for WASI 0.3: build it for 0.2, as --target wasm32-wasip2 does",
    ),
];
const EMSCRIPTEN: &str = "it was built by Emscripten for JavaScript: build it for WASI, with wasi-sdk or for --target wasm32-wasip2";

/// What to do with a program that imports `names`, if that can be told.
pub(crate) fn hint(names: &[String]) -> Option<&'static str> {
    let has = |part: &&str| names.iter().any(|name| name.contains(*part));
    let known = KINDS.iter().find(|(parts, _)| parts.iter().any(has));
    known
        .map(|(_, hint)| *hint)
        .or_else(|| are_short(names).then_some(EMSCRIPTEN))
}

/// Whether all names are as Emscripten makes them to save room: `a.a`, `a.b` and so on.
fn are_short(names: &[String]) -> bool {
    let is_short = |name: &String| name.starts_with("a.") && name.len() <= 4;
    names.len() > 1 && names.iter().all(is_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As found in programs of others, with a part of what is said.
    const FOUND: &[(&[&str], Option<&str>)] = &[
        (
            &["env.__cxa_throw", "env.__syscall_chmod", "env._tzset_js"],
            Some("Emscripten"),
        ),
        (
            &["env.abort", "env.invoke_vii", "env.strftime"],
            Some("Emscripten"),
        ),
        (&["a.a", "a.b", "a.Z", "a._"], Some("Emscripten")),
        (
            &["env.memory", "env.napi_wrap", "env.napi_unwrap"],
            Some("Node.js"),
        ),
        (
            &["env.calloc", "env.__memory_base", "env.memory"],
            Some("library"),
        ),
        (
            &["./biome_wasm_bg.js.__wbg_next_b3713ec761a9dbfd"],
            Some("wasm-bindgen"),
        ),
        (&["wbg.__wbindgen_object_clone_ref"], Some("wasm-bindgen")),
        (&["gojs.runtime.wasmExit"], Some("GOOS=wasip1")),
        (
            &["wasi:io/poll@0.2.10.[resource-drop]pollable"],
            Some("part of a component"),
        ),
        (
            &["wasi:keyvalue/store@0.2.0-draft", "wasi:logging/logging"],
            None,
        ),
        (
            &["wasi:cli/environment@0.3.0", "wasi:cli/types@0.3.0"],
            Some("0.3"),
        ),
        (&["env.call_host_function"], None),
        (&["bench.start", "bench.end"], None),
    ];

    #[test]
    fn programs_for_others_are_known_by_what_they_import() {
        for (names, part) in FOUND {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            match (hint(&names), part) {
                (None, None) => {}
                (Some(said), Some(part)) => assert!(said.contains(part), "{names:?}: {said}"),
                (said, _) => panic!("{names:?}: {said:?}"),
            }
        }
    }
}
