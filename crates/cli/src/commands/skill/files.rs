//! The files of the skill, as they are in the repository.

/// A part of the skill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// SKILL.md
    #[default]
    Skill,
    /// The loop, patterns and conflicts
    Runbook,
    /// One page: loop, tools and numbers
    QuickReference,
    /// Exercises
    Drills,
}

/// Name of the skill and of its folder.
pub const NAME: &str = "convoke-orchestration";

/// All files: where they lie in the folder, and what they hold.
pub const FILES: [(&str, &str); 4] = [
    ("SKILL.md", Part::Skill.text()),
    ("references/runbook.md", Part::Runbook.text()),
    ("references/quick-reference.md", Part::QuickReference.text()),
    ("references/drills.md", Part::Drills.text()),
];

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../skills/convoke-orchestration/",
            $path
        ))
    };
}

impl Part {
    /// What it holds.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Skill => file!("SKILL.md"),
            Self::Runbook => file!("references/runbook.md"),
            Self::QuickReference => file!("references/quick-reference.md"),
            Self::Drills => file!("references/drills.md"),
        }
    }
}
