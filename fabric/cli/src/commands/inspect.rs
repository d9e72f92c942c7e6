//! `inspect`

use crate::{
    component::{self, Component},
    failure::Failure,
    output, terminal,
};
use mc_execution::wasm::{self, Admission, Inspection, inspect};
use mc_options::Global;
use mc_types::ErrorCode;
use serde::Serialize;
use std::process::ExitCode;

/// What is shown of a component.
#[derive(Serialize)]
struct View {
    kind: &'static str,
    world: Option<&'static str>,
    bytes: usize,
    /// Whether it can be run here.
    runs: bool,
    imports: Vec<String>,
    exports: Vec<String>,
    modules: Vec<ModuleView>,
    /// Who counts its fuel.
    metered: bool,
    /// Whether it can be stopped and resumed.
    resumable: bool,
    /// Why not, or why it cannot be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Bytes after it was rewritten to be stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    instrumented_bytes: Option<usize>,
}

#[derive(Serialize)]
struct ModuleView {
    bytes: usize,
    functions: u32,
    memories: u32,
    sites: usize,
}

pub(super) fn run(global: &Global, component: &str) -> Result<ExitCode, Failure> {
    let path = match component::resolve(component, None, global)? {
        Component::File(path) => path,
        Component::Cid(cid) => {
            return Err(
                Failure::usage(format!("{cid} is not a file")).with_hint(format!(
                    "fetch it first: mc-wasm get {cid} -o component.wasm"
                )),
            );
        }
    };
    let metadata = std::fs::metadata(&path).map_err(|e| Failure::path(&path, &e))?;
    let bytes = component::read(&path, &metadata)?;
    let inspection = inspect(&bytes).map_err(|refused| {
        // What is no WebAssembly at all is called what `run` calls it.
        let failure: Failure = match wasm::classify(&bytes) {
            Err(error) => error.into(),
            Ok(_) => Failure::new(ErrorCode::InvalidComponent, refused.to_string()),
        };
        failure.about(component)
    })?;
    let refused = wasm::check(&bytes).err();
    let view = View::of(inspection, refused.as_ref(), bytes.len());
    output::value(global, &view, View::text)?;
    Ok(ExitCode::SUCCESS)
}

/// What a module is a command of.
fn command_of(imports: &[String]) -> &'static str {
    let is_older = |name: &String| name.starts_with("wasi_unstable.");
    match imports.iter().any(is_older) {
        true => "wasi_unstable command",
        false => "wasi_snapshot_preview1 command",
    }
}

impl View {
    fn of(inspection: Inspection, refused: Option<&wasm::Error>, bytes: usize) -> Self {
        let is_command = |name: &String| name.starts_with("wasi:cli/run@") || name == "_start";
        let is_offered = !matches!(inspection.admission, Admission::NotOffered(_));
        let (metered, reason, instrumented_bytes) = match inspection.admission {
            Admission::Stops { bytes } => (true, None, Some(bytes)),
            Admission::Counts(obstacle) => (true, Some(obstacle.to_string()), None),
            Admission::Refused(refused) | Admission::NotOffered(refused) => {
                (false, Some(refused.to_string()), None)
            }
        };
        Self {
            kind: if inspection.is_component {
                "component"
            } else {
                "module"
            },
            world: match inspection.exports.iter().any(is_command) {
                true if inspection.is_component => Some("wasi:cli/command"),
                true => Some(command_of(&inspection.imports)),
                false => None,
            },
            bytes,
            runs: refused.is_none() && is_offered,
            imports: inspection.imports,
            exports: inspection.exports,
            modules: inspection
                .modules
                .iter()
                .map(|module| ModuleView {
                    bytes: module.bytes,
                    functions: module.functions,
                    memories: module.memories,
                    sites: module.sites,
                })
                .collect(),
            metered,
            resumable: instrumented_bytes.is_some(),
            reason: refused.map(ToString::to_string).or(reason),
            instrumented_bytes,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}, {} bytes\n", self.kind, self.bytes);
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!(
            "world: {}",
            self.world.unwrap_or("none that can be run")
        ));
        for (what, names) in [("imports", &self.imports), ("exports", &self.exports)] {
            line(format!("{what}:"));
            let one_line = |name: &String| format!("  {}", terminal::escaped(name));
            names.iter().for_each(|name| line(one_line(name)));
        }
        line("core modules:".to_owned());
        for module in &self.modules {
            line(format!(
                "  {} bytes, {} functions, {} memories, {} sites",
                module.bytes, module.functions, module.memories, module.sites
            ));
        }
        match (&self.reason, self.instrumented_bytes) {
            (reason, _) if !self.runs => line(format!(
                "cannot be run here: {}",
                terminal::escaped(reason.as_deref().unwrap_or_default())
            )),
            (None, Some(bytes)) => {
                line(format!(
                    "can be stopped and resumed ({bytes} bytes instrumented)"
                ));
            }
            (Some(reason), _) if self.metered => {
                line(format!("cannot be stopped: {}", terminal::escaped(reason)));
            }
            (reason, _) => line(format!(
                "cannot be stopped, and wasmtime counts its fuel: {}",
                terminal::escaped(reason.as_deref().unwrap_or_default())
            )),
        }
        text.truncate(text.trim_end().len());
        text
    }
}
