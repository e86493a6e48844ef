//! Workflows to begin with, for `signalbox init --template`. Each runs out of the box with the rehearsal agent, and with a
//! real one after one line is changed.

/// A workflow to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowTemplate {
    /// Its name, and that of its file.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The file's text.
    pub text: &'static str,
    /// Other files that it needs: their path relative to the project, and their text.
    pub files: &'static [(&'static str, &'static str)],
}

/// Every template.
pub const TEMPLATES: &[WorkflowTemplate] = &[
    WorkflowTemplate {
        name: "ship-feature",
        about: "plan, approve, build, check, correct, review, land",
        text: include_str!("templates/ship-feature.yaml"),
        files: &[],
    },
    WorkflowTemplate {
        name: "generate-app",
        about: "an application from a description, in twelve stages",
        text: include_str!("templates/generate-app.yaml"),
        files: &[(".signalbox/rehearsal/generate-app.yaml", include_str!("templates/generate-app.rehearsal.yaml"))],
    },
    WorkflowTemplate {
        name: "fix-issue",
        about: "a reported fault, from a failing test to a landed fix",
        text: include_str!("templates/fix-issue.yaml"),
        files: &[],
    },
    WorkflowTemplate {
        name: "review-branch",
        about: "two reviewers look at what is checked out",
        text: include_str!("templates/review-branch.yaml"),
        files: &[],
    },
    WorkflowTemplate {
        name: "deploy-infrastructure",
        about: "infrastructure code, approved with its plan in view, applied",
        text: include_str!("templates/deploy-infrastructure.yaml"),
        files: &[],
    },
    WorkflowTemplate {
        name: "nightly-maintenance",
        about: "chores of a project, landed in the morning",
        text: include_str!("templates/nightly-maintenance.yaml"),
        files: &[],
    },
];

/// The template of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static WorkflowTemplate> {
    TEMPLATES.iter().find(|template| template.name == name)
}
