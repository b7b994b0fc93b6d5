//! Runs one target: how many inputs, from which seed, and what is said when
//! one fails.

use std::time::{Duration, Instant};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

/// Begin with this seed instead of the fixed one.
const SEED_VARIABLE: &str = "CONVOKE_FUZZ_SEED";
/// Go on for so many seconds a target, a batch of inputs per seed.
const SECONDS_VARIABLE: &str = "CONVOKE_FUZZ_SECONDS";

/// The seed of the ordinary test suite.
const FIXED_SEED: u64 = 20_260_131;

/// Inputs that shrinking may try.
const SHRINK_TRIES: u32 = 2_000;

/// How long it may take: an input that fails by silence takes its time.
const SHRINK_MS: u32 = 30_000;

/// Gives `cases` inputs of `strategy` to `check`, which panics at a fault; more
/// batches of as many while there is time.
pub fn run<S: Strategy>(target: &str, cases: u32, strategy: &S, check: impl Fn(S::Value)) {
    let started = Instant::now();
    let first = number(SEED_VARIABLE).unwrap_or(FIXED_SEED);
    let until = number(SECONDS_VARIABLE).map(|seconds| started + Duration::from_secs(seconds));
    for seed in first.. {
        batch(target, seed, cases, strategy, &check);
        if until.is_none_or(|until| Instant::now() >= until) {
            let inputs = (seed - first + 1) * u64::from(cases);
            println!("{target}: {inputs} inputs, seeds {first} to {seed}");
            return;
        }
    }
}

fn batch<S: Strategy>(
    target: &str,
    seed: u64,
    cases: u32,
    strategy: &S,
    check: &impl Fn(S::Value),
) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: SHRINK_TRIES,
        max_shrink_time: SHRINK_MS,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(target, seed));
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(strategy, |input| {
        check(input);
        Ok::<(), TestCaseError>(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!(
            "{target} fails: {why}\n\nsmallest input: {input:?}\n\nreplay: \
             {SEED_VARIABLE}={seed} cargo nextest run -p convoke-fuzz {target}"
        ),
        Err(TestError::Abort(why)) => panic!("{target}: no inputs could be made: {why}"),
    }
}

/// The seed as the generator wants it; targets do not share their inputs.
fn seed_bytes(target: &str, seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, byte) in bytes[8..].iter_mut().zip(target.bytes().rev()) {
        *place = byte;
    }
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}
