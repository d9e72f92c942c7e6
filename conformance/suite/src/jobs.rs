//! What tests ask nodes about jobs.

use crate::{Node, eventually};
use serde_json::Value;
use std::time::Duration;

/// The id of a node that there is not.
pub const NOBODY: &str = "12D3KooWFmScHuvZzcdbvSLZ11Hov7NSmPbNqsgRn52XH2P51fND";

/// A job is to be taken by a node that is there within this.
const TO_BEGIN: Duration = Duration::from_secs(30);

impl Node {
    /// Submits a job as `mc-wasm submit ARGS` does, without waiting for it, and gives its ID.
    ///
    /// # Panics
    ///
    /// When the node refuses it.
    #[must_use]
    pub fn submit<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        let command = ["submit", "--detach", "--format", "json"];
        let submitted = self.mc(command.into_iter().chain(args)).expect_code(0);
        text(&submitted.json(), "id")
    }

    /// What the node knows of a job.
    ///
    /// # Panics
    ///
    /// When it knows nothing.
    #[must_use]
    pub fn status(&self, id: &str) -> Value {
        let status = self.mc(["status", "--format", "json", id]);
        status.expect_code(0).json()
    }

    /// Waits until a job runs, and gives the node on which it does.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn running(&self, id: &str) -> String {
        eventually("running", TO_BEGIN, || {
            let view = self.status(id);
            (field(&view, "state") == "running").then(|| text(&view, "node"))
        })
    }

    /// Waits until a job has succeeded.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[must_use]
    pub fn succeeded(&self, id: &str) -> Value {
        let waited = self.mc(["wait", "--format", "json", id]);
        waited.expect_code(0).json()
    }
}

fn field<'a>(view: &'a Value, name: &str) -> &'a Value {
    view.get(name).unwrap_or(&Value::Null)
}

fn text(view: &Value, name: &str) -> String {
    field(view, name).as_str().unwrap_or_default().to_owned()
}
