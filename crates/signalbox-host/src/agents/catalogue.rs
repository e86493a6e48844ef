//! Agents that can be started.

use signalbox_agent::Failure;
use signalbox_workflow::definition::AgentMode;

pub(crate) struct Catalogue;

/// How to start an agent.
pub(crate) struct Launch {
    pub(crate) name: String,
    pub(crate) rehearsal: bool,
    pub(crate) argv: Vec<std::ffi::OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) sign_in: Vec<String>,
    pub(crate) mode: Option<String>,
}

impl Catalogue {
    pub(crate) async fn launch(
        &self,
        _id: &str,
        _mode: AgentMode,
        _env: &[(String, String)],
    ) -> Result<Launch, Failure> {
        todo!()
    }
}
