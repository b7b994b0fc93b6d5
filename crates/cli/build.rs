//! Links the program without PIE on Linux.
//!
//! A position-dependent program needs no relocations at start, so the data
//! pages of the many runner processes stay shared with each other.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
