//! `reload`: the configuration, read again. The shell reads it; this is what the operator sees.

use serde::Serialize;

use super::{CommandResult, Format, Show};

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReloadReport {
    /// The files that were read.
    pub(crate) reloaded: Vec<String>,
    /// Keys of the options that have changed, and cannot change in a running server.
    pub(crate) at_next_start: Vec<String>,
}

impl ReloadReport {
    /// Returns which files were read, as one line without its end.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        match self.reloaded.as_slice() {
            [] => "nothing to reload: this server has no configuration file, certificate or list \
                   in a file"
                .to_owned(),
            files => format!("reloaded {}", files.join(", ")),
        }
    }

    /// Returns which changes have no effect yet, as one line without its end.
    #[must_use]
    pub(crate) fn warning(&self) -> Option<String> {
        let keys = self.at_next_start.join(", ");
        (!keys.is_empty())
            .then(|| format!("changed in the file, takes effect at the next start: {keys}"))
    }
}

/// Renders the answer to `reload`.
pub(crate) fn render_reload(report: Result<ReloadReport, String>, format: Format) -> CommandResult {
    let text = |report: &ReloadReport| {
        let lines = std::iter::once(report.summary()).chain(report.warning());
        lines.map(|line| line + "\n").collect()
    };
    match report {
        Ok(report) => Ok(Show(format).either(&report, text)),
        Err(error) => Err(error + "\n"),
    }
}
