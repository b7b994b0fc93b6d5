//! Parsers for the closed sets of words of the API.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use convoke_api::{
    changes::WorkspaceKind,
    coordination::Coordination,
    values::{Access, ReasoningEffort, Sandbox},
};

/// What an agent may write.
pub fn sandbox() -> impl TypedValueParser<Value = Sandbox> {
    PossibleValuesParser::new(["read-only", "workspace-write", "danger-full-access"]).map(|word| {
        match word.as_str() {
            "read-only" => Sandbox::ReadOnly,
            "workspace-write" => Sandbox::WorkspaceWrite,
            _ => Sandbox::DangerFullAccess,
        }
    })
}

/// Reader or writer.
pub fn access() -> impl TypedValueParser<Value = Access> {
    PossibleValuesParser::new(["read", "write"]).map(|word| match word.as_str() {
        "read" => Access::Read,
        _ => Access::Write,
    })
}

/// Where a job works.
pub fn workspace() -> impl TypedValueParser<Value = WorkspaceKind> {
    PossibleValuesParser::new(WorkspaceKind::ALL.map(WorkspaceKind::as_str)).map(|word| {
        WorkspaceKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or_default()
    })
}

/// What a job expects of a tree that it shares.
pub fn coordination() -> impl TypedValueParser<Value = Coordination> {
    PossibleValuesParser::new(Coordination::ALL.map(Coordination::as_str)).map(|word| {
        Coordination::ALL
            .into_iter()
            .find(|one| one.as_str() == word)
            .unwrap_or_default()
    })
}

/// How hard a model thinks.
pub fn effort() -> impl TypedValueParser<Value = ReasoningEffort> {
    PossibleValuesParser::new(EFFORTS.map(ReasoningEffort::as_str)).map(|word| {
        EFFORTS
            .into_iter()
            .find(|effort| effort.as_str() == word)
            .expect("only the words of the list get through")
    })
}

const EFFORTS: [ReasoningEffort; 6] = [
    ReasoningEffort::None,
    ReasoningEffort::Minimal,
    ReasoningEffort::Low,
    ReasoningEffort::Medium,
    ReasoningEffort::High,
    ReasoningEffort::Xhigh,
];
