//! The tempers of agents, and how often each is met.

use serde::Serialize;

/// What kind of agent a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Temper {
    /// Ends well at once.
    QuickSuccess,
    /// Fails at once.
    QuickFailure,
    /// Prints now and then for some seconds.
    Steady,
    /// Prints, then ends with some other code than 0.
    NonZeroExit,
    /// Prints some megabytes as fast as it can.
    Flood,
    /// Falls silent.
    Stall,
    /// Leaves children, grandchildren and daemons behind.
    ForkTree,
    /// Hears no polite signal.
    IgnoresSignals,
    /// Ends without a final newline.
    NoFinalNewline,
    /// Ends in the middle of a UTF-8 character.
    HalfCharacter,
    /// Prints one line of 50 MB among others.
    LongLine,
    /// Leaves a grandchild that holds its stdout open.
    HeldStdout,
    /// Ends itself by a signal.
    KillsItself,
    /// Plays a turn of Codex.
    CodexTurn,
    /// Plays a turn of Codex and does not exit after it.
    CodexStays,
    /// Plays a turn of Codex that fails.
    CodexFails,
    /// The real Codex.
    RealCodex,
}

/// Tempers of jobs asked for by the command line.
const BY_COMMAND: [(Temper, u64); 17] = [
    (Temper::QuickSuccess, 200),
    (Temper::QuickFailure, 80),
    (Temper::Steady, 180),
    (Temper::NonZeroExit, 60),
    (Temper::Flood, 10),
    (Temper::Stall, 60),
    (Temper::ForkTree, 70),
    (Temper::IgnoresSignals, 50),
    (Temper::NoFinalNewline, 60),
    (Temper::HalfCharacter, 60),
    (Temper::LongLine, 3),
    (Temper::HeldStdout, 50),
    (Temper::KillsItself, 40),
    (Temper::CodexTurn, 40),
    (Temper::CodexStays, 25),
    (Temper::CodexFails, 12),
    (Temper::RealCodex, 25),
];

/// Tempers of jobs asked for by MCP, which starts no programs.
const BY_MCP: [(Temper, u64); 4] = [
    (Temper::CodexTurn, 65),
    (Temper::CodexStays, 15),
    (Temper::CodexFails, 12),
    (Temper::RealCodex, 8),
];

impl Temper {
    /// All of them that may be met with their weights.
    pub fn weights(by_mcp: bool) -> &'static [(Self, u64)] {
        if by_mcp { &BY_MCP } else { &BY_COMMAND }
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::QuickSuccess => "quick success",
            Self::QuickFailure => "quick failure",
            Self::Steady => "steady",
            Self::NonZeroExit => "non-zero exit",
            Self::Flood => "flood",
            Self::Stall => "stall",
            Self::ForkTree => "fork tree",
            Self::IgnoresSignals => "ignores signals",
            Self::NoFinalNewline => "no final newline",
            Self::HalfCharacter => "half a character",
            Self::LongLine => "50 MB line",
            Self::HeldStdout => "held stdout",
            Self::KillsItself => "kills itself",
            Self::CodexTurn => "codex turn",
            Self::CodexStays => "codex stays",
            Self::CodexFails => "codex fails",
            Self::RealCodex => "real codex",
        }
    }

    /// Whether it is an agent, and not a program.
    pub fn is_codex(self) -> bool {
        matches!(
            self,
            Self::CodexTurn | Self::CodexStays | Self::CodexFails | Self::RealCodex
        )
    }

    /// Whether it falls silent until it is ended.
    pub fn falls_silent(self) -> bool {
        matches!(self, Self::Stall | Self::IgnoresSignals)
    }

    /// Whether a job of it can complete at all.
    pub fn may_complete(self) -> bool {
        !matches!(
            self,
            Self::QuickFailure
                | Self::NonZeroExit
                | Self::Stall
                | Self::IgnoresSignals
                | Self::KillsItself
                | Self::CodexFails
        )
    }
}
