//! Lives of agents, minute by minute, and whether the limit of silence ends
//! them: no live one is ended, and no dead one is missed.

use super::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// The limit of silence in all traces.
const IDLE: u64 = 30 * MINUTE;

/// How long a trace is watched.
const WATCHED: u64 = 4 * 60 * MINUTE;

/// Something that lasts from one minute to another.
#[derive(Clone, Copy)]
enum Phase {
    /// Prints something every so many seconds.
    Prints(u64),
    /// Says every so many seconds that it waits for its provider.
    Waits(u64),
    /// Its processes use so many thousandths of a processor.
    Computes(u64),
    /// Its processes move so many bytes a second.
    Moves(u64),
    /// It is stopped by command.
    Paused,
}

use Phase::{Computes, Moves, Paused, Prints, Waits};

/// Phases with the minutes between which they last.
type Trace = &'static [(u64, u64, Phase)];

/// The minute at which a trace is ended; none if it never is.
fn ended_at(trace: Trace) -> Option<u64> {
    let mut used = Accounting::new(Limits {
        idle_ms: Some(IDLE),
        ..Limits::default()
    });
    let mut total = Usage::default();
    used.start(0);
    for second in 0..WATCHED / SECOND {
        let now = second * SECOND;
        let is_on = |from: u64, to: u64| (from * MINUTE..to * MINUTE).contains(&now);
        let on = trace.iter().filter(|(from, to, _)| is_on(*from, *to));
        let mut paused = false;
        for (_, _, phase) in on {
            match phase {
                Prints(every) if second.is_multiple_of(*every) => used.output(now, 80, true, true),
                Waits(every) if second.is_multiple_of(*every) => used.output(now, 80, true, false),
                Computes(per_mille) => total.cpu_ms += per_mille,
                Moves(bytes) => total.io_bytes += bytes,
                Paused => paused = true,
                Prints(_) | Waits(_) => {}
            }
        }
        if paused {
            used.pause(now);
        } else {
            used.resume(now);
        }
        while let Some(finding) = used.check(now, || total) {
            if matches!(finding, Finding::Limit(_)) {
                return Some(now / MINUTE);
            }
        }
    }
    None
}

/// What lives on.
const ALIVE: &[(&str, Trace)] = &[
    ("talks all the time", &[(0, 240, Prints(5))]),
    ("talks once in 29 minutes", &[(0, 240, Prints(29 * 60))]),
    (
        "a long build without a word",
        &[(0, 1, Prints(1)), (1, 240, Computes(900))],
    ),
    ("a build on eight processors", &[(0, 240, Computes(8_000))]),
    ("a test suite on one thread", &[(0, 240, Computes(250))]),
    ("a test suite that mostly waits", &[(0, 240, Computes(40))]),
    ("a download without a word", &[(0, 240, Moves(200_000))]),
    ("a slow download", &[(0, 240, Moves(10_000))]),
    ("a copy between disks", &[(0, 240, Moves(50_000_000))]),
    (
        "builds and downloads in turns",
        &[
            (0, 40, Computes(500)),
            (40, 90, Moves(100_000)),
            (90, 240, Computes(500)),
        ],
    ),
    (
        "works, rests for 29 minutes, talks",
        &[
            (0, 30, Prints(10)),
            (58, 59, Prints(1)),
            (59, 240, Prints(600)),
        ],
    ),
    (
        "a model that thinks for 25 minutes, again and again",
        &[(0, 240, Prints(25 * 60))],
    ),
    (
        "silent in the first half, at work in the second",
        &[(17, 35, Computes(500)), (35, 240, Prints(60))],
    ),
    (
        "a provider that comes back in time",
        &[(0, 5, Prints(5)), (5, 30, Waits(60)), (30, 240, Prints(60))],
    ),
    (
        "a provider that is gone twice",
        &[
            (0, 1, Prints(1)),
            (1, 25, Waits(30)),
            (25, 26, Prints(1)),
            (26, 50, Waits(30)),
            (50, 240, Prints(60)),
        ],
    ),
    (
        "a build while the provider is gone",
        &[
            (0, 90, Waits(60)),
            (0, 90, Computes(700)),
            (90, 240, Prints(60)),
        ],
    ),
    (
        "paused for three hours",
        &[
            (0, 10, Prints(10)),
            (10, 190, Paused),
            (190, 240, Prints(10)),
        ],
    ),
    (
        "paused before it said a word",
        &[(0, 200, Paused), (200, 240, Prints(10))],
    ),
    (
        "paused twice in one silence",
        &[
            (0, 1, Prints(1)),
            (10, 40, Paused),
            (45, 80, Paused),
            (90, 240, Prints(60)),
        ],
    ),
    (
        "bursts of work between pauses of the model",
        &[
            (0, 10, Computes(900)),
            (20, 35, Computes(900)),
            (35, 240, Prints(300)),
        ],
    ),
];

/// What hangs, and the minute at which it is ended.
const DEAD: &[(&str, Trace, u64)] = &[
    ("never says a word", &[], 30),
    ("stops talking after five minutes", &[(0, 5, Prints(1))], 34),
    ("stops talking after an hour", &[(0, 60, Prints(10))], 89),
    (
        "a network that is gone for good",
        &[(0, 5, Prints(5)), (5, 240, Waits(60))],
        34,
    ),
    (
        "a network that is gone from the start",
        &[(0, 240, Waits(1))],
        30,
    ),
    (
        "reconnects ever more slowly",
        &[(0, 5, Waits(5)), (5, 240, Waits(300))],
        30,
    ),
    ("timers of an idle agent", &[(0, 240, Computes(5))], 30),
    (
        "keep-alives on an idle connection",
        &[(0, 240, Moves(200))],
        30,
    ),
    (
        "a command that waits for input for ever",
        &[(0, 2, Prints(10)), (2, 3, Computes(900))],
        31,
    ),
    (
        "worked in the first half of the silence only",
        &[(0, 14, Computes(900))],
        30,
    ),
    (
        // At minute 60 it has been at work since half of the silence.
        "a build that finished, and then nothing",
        &[(0, 50, Computes(900))],
        90,
    ),
    (
        "a download that finished, and then nothing",
        &[(0, 40, Moves(1_000_000))],
        60,
    ),
    (
        "hangs after a pause",
        &[(0, 10, Prints(10)), (10, 60, Paused)],
        89,
    ),
    (
        "hangs before a pause",
        &[(0, 1, Prints(1)), (20, 60, Paused)],
        70,
    ),
    (
        "reconnects with the timers of an idle agent",
        &[(0, 240, Waits(60)), (0, 240, Computes(8))],
        30,
    ),
];

#[test]
fn no_live_agent_is_ended() {
    assert!(ALIVE.len() + DEAD.len() >= 30);
    for (name, trace) in ALIVE {
        assert_eq!(ended_at(trace), None, "{name}");
    }
}

#[test]
fn no_dead_agent_is_missed() {
    for (name, trace, minute) in DEAD {
        let ended = ended_at(trace);
        let in_time = ended.is_some_and(|at| (*minute..=minute + 1).contains(&at));
        assert!(in_time, "{name}: ended at {ended:?}, not at {minute}");
    }
}
