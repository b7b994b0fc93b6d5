//! Property tests of the lifecycle machine and the scheduler: thousands of
//! random histories in a world with late messages, crashes and clock jumps,
//! each step judged by an oracle that knows the rules and not the code.
//!
//! A failing history is shortened and printed with its seed.
//! `CONVOKE_HISTORY=<profile>:<seed>` runs that one history,
//! `CONVOKE_HISTORIES=<n>` changes how many each test runs, and
//! `CONVOKE_FIRST_HISTORY=<seed>` with which it begins; `cargo xtask sim` sets
//! them.

#[path = "histories/fairness.rs"]
mod fairness;
#[path = "histories/history.rs"]
mod history;
#[path = "histories/oracle.rs"]
mod oracle;
#[path = "histories/random.rs"]
mod random;
#[path = "histories/world.rs"]
mod world;

use history::Profile;

/// Histories of each of the four profiles.
const HISTORIES: u64 = 5_200;

#[test]
fn everyday_histories_keep_the_rules() {
    history::check(Profile::Everyday, HISTORIES);
}

#[test]
fn histories_with_crashes_keep_the_rules() {
    history::check(Profile::Crashes, HISTORIES);
}

#[test]
fn histories_with_many_needs_keep_the_rules() {
    history::check(Profile::Needs, HISTORIES);
}

#[test]
fn crowded_histories_keep_the_rules() {
    history::check(Profile::Crowded, HISTORIES);
}
