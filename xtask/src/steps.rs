//! Steps of a task, with their names and times.

use std::time::Instant;

use crate::error::Error;

/// Prints the steps of a task as they begin and end.
#[derive(Debug)]
pub struct Steps {
    started: Instant,
}

impl Steps {
    /// Begins a task.
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Runs one step.
    ///
    /// # Errors
    /// Those of the step.
    pub fn step<T>(&self, name: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        eprintln!("==> {name}");
        let started = Instant::now();
        let done = work();
        let verdict = match done {
            Ok(_) => "done",
            Err(_) => "failed",
        };
        eprintln!(
            "    {name}: {verdict} in {:.1} s",
            started.elapsed().as_secs_f64()
        );
        done
    }

    /// Runs the last step, whose own output is to be the last.
    ///
    /// # Errors
    /// Those of the step.
    pub fn last<T>(&self, name: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        eprintln!(
            "==> {name} ({:.1} s so far)",
            self.started.elapsed().as_secs_f64()
        );
        work()
    }
}
