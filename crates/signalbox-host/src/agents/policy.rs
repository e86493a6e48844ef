//! What an agent may do without asking.

use std::path::{Component, Path, PathBuf};

use signalbox_agent::Offers;
use signalbox_model::ToolKind;
use signalbox_workflow::definition::{Permission, Permissions};

/// The rules of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) permissions: Permissions,
    /// The folder it works in.
    pub(crate) folder: PathBuf,
    /// It only looks: changes are refused.
    pub(crate) read_only: bool,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Allow,
    /// A person is asked.
    Ask,
    /// It may not, and this is why.
    Deny(String),
}

impl Policy {
    pub(crate) fn judge(&self, kind: ToolKind, paths: &[&str]) -> Verdict {
        let changes = matches!(kind, ToolKind::Edit | ToolKind::Delete | ToolKind::Move);
        if changes && self.read_only {
            return Verdict::Deny("this step only looks: it changes nothing".into());
        }
        let rule = match kind {
            ToolKind::Read | ToolKind::Search | ToolKind::Think => self.permissions.read,
            ToolKind::Edit | ToolKind::Delete | ToolKind::Move => self.permissions.edit,
            ToolKind::Execute => self.permissions.execute,
            ToolKind::Fetch => self.permissions.fetch,
            ToolKind::SwitchMode | ToolKind::Other => self.permissions.other,
        };
        let outside = changes.then(|| paths.iter().find(|path| !self.inside(path))).flatten();
        match (rule, outside) {
            (Some(Permission::Deny), _) => Verdict::Deny(format!("the workflow forbids {}", word(kind))),
            // A rule that allows changes means the step's own folder.
            (Some(Permission::Allow), Some(path)) => {
                Verdict::Deny(format!("{path} is outside of the folder that the step works in"))
            }
            (Some(Permission::Allow), None) => Verdict::Allow,
            (Some(Permission::Ask) | None, _) => Verdict::Ask,
        }
    }

    /// What of this the agent may have us do for it: what it may do without asking, since nobody is asked then.
    pub(crate) fn offers(&self, wanted: Offers) -> Offers {
        let allowed = |kind| self.judge(kind, &[]) == Verdict::Allow;
        Offers {
            read: wanted.read && allowed(ToolKind::Read),
            write: wanted.write && allowed(ToolKind::Edit),
            // A command changes what it likes.
            terminals: wanted.terminals && allowed(ToolKind::Execute) && allowed(ToolKind::Edit),
        }
    }

    /// Whether a path lies in the step's folder. By its words: what it would lead to through links is for the checks.
    fn inside(&self, path: &str) -> bool {
        let path = self.folder.join(path);
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    clean.pop();
                }
                Component::CurDir => {}
                part => clean.push(part),
            }
        }
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        clean.starts_with(&self.folder) || clean.starts_with(real(&self.folder))
    }
}

fn word(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Read | ToolKind::Search | ToolKind::Think => "reading",
        ToolKind::Edit | ToolKind::Delete | ToolKind::Move => "changing files",
        ToolKind::Execute => "running programs",
        ToolKind::Fetch => "reading from the network",
        ToolKind::SwitchMode => "changing the mode",
        ToolKind::Other => "this tool",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(read_only: bool) -> Policy {
        let permissions = Permissions {
            read: Some(Permission::Allow),
            edit: Some(Permission::Allow),
            execute: Some(Permission::Ask),
            fetch: Some(Permission::Deny),
            other: None,
        };
        Policy { permissions, folder: "/work/tree".into(), read_only }
    }

    #[test]
    fn each_kind_has_its_rule() {
        let judge = |kind| policy(false).judge(kind, &[]);
        assert_eq!(judge(ToolKind::Search), Verdict::Allow);
        assert_eq!(judge(ToolKind::Delete), Verdict::Allow);
        assert_eq!(judge(ToolKind::Execute), Verdict::Ask);
        assert_eq!(judge(ToolKind::Other), Verdict::Ask);
        assert!(matches!(judge(ToolKind::Fetch), Verdict::Deny(_)));
        assert!(matches!(policy(true).judge(ToolKind::Edit, &[]), Verdict::Deny(_)));
    }

    #[test]
    fn offered_is_only_what_may_be_done_without_asking() {
        let all = Offers { read: true, write: true, terminals: true };
        assert_eq!(policy(false).offers(all), Offers { terminals: false, ..all });
        assert_eq!(policy(false).offers(Offers::default()), Offers::default());
        let trusting = |read_only| {
            let mut policy = policy(read_only);
            policy.permissions.execute = Some(Permission::Allow);
            policy.offers(all)
        };
        assert_eq!(trusting(false), all);
        assert_eq!(trusting(true), Offers { read: true, ..Offers::default() });
    }

    #[test]
    fn a_change_outside_of_the_folder_is_refused_however_it_is_written() {
        for path in ["/etc/passwd", "../tree2/file", "a/../../x", "/work/tree/../other", "/work/tree2"] {
            assert!(matches!(policy(false).judge(ToolKind::Edit, &[path]), Verdict::Deny(_)), "{path}");
        }
        for path in ["src/a.rs", "/work/tree/a", "./a/../b", "/work/tree"] {
            assert_eq!(policy(false).judge(ToolKind::Edit, &[path]), Verdict::Allow, "{path}");
        }
        // Looking elsewhere is no change.
        assert_eq!(policy(false).judge(ToolKind::Read, &["/etc/hosts"]), Verdict::Allow);
    }
}
