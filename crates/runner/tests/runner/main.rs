//! The runner with real processes, files and signals.
//!
//! Every test that concerns containment runs for each rung, and, as root, also as
//! an ordinary user.

#[cfg(test)]
mod containment;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod holding;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod output;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod overlays;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod stopping;
