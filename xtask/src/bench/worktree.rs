//! What it costs to give a job a working tree of its own.

use std::time::Instant;

use convoke_workspace::{
    checkpoint::{self, CheckpointLimits},
    private_repository::PrivateRepository,
    worktree,
};

use super::{
    Figure,
    checkpoint::{FILES, commit_files},
    stats,
    world::World,
};
use crate::error::Error;

const SAMPLES: usize = 5;
/// A working tree of our own may take so many times as long as plain git needs.
const REACH: f64 = 1.3;

/// Working trees of a repository of 50,000 files, one of them changed: ours, with
/// the state of the caller's tree, and one that plain git makes. In turns, because
/// the disk is never twice in the same state.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let count = world.scaled(FILES);
    let environment = &world.environment;
    commit_files(world, count)?;
    fs_err::write(environment.work().join("d0/s0/f0.rs"), "// changed\n")?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    // The first state of a tree is not part of it.
    make(world, "first")?;
    for number in 0..SAMPLES {
        let start = Instant::now();
        make(world, &format!("own{number}"))?;
        ours.push(stats::ms_since(start));
        let path = environment.root().join(format!("plain{number}"));
        let path = path.display().to_string();
        let start = Instant::now();
        environment.git(&["worktree", "add", "--quiet", "--detach", &path]);
        plain.push(stats::ms_since(start));
    }
    let (ours, plain) = (stats::median(&ours), stats::median(&plain));
    let mut own = Figure::new(
        &format!("working tree of {count} files with the caller's state"),
        ours,
        "ms",
        SAMPLES,
    )
    .reach(REACH * plain);
    own.formula = Some(format!("{REACH} × git"));
    Ok(vec![
        own,
        Figure::new("plain `git worktree add` there", plain, "ms", SAMPLES),
    ])
}

fn make(world: &World, name: &str) -> Result<(), Error> {
    let (root, top) = (world.environment.root(), world.environment.work());
    let made = PrivateRepository::open(&root.join("trees"), &top)
        .map_err(checkpoint::CheckpointError::from)
        .and_then(|repository| {
            let base = checkpoint::take(&repository, &CheckpointLimits::default())?;
            let view = repository.view(&root.join("own").join(name), name)?;
            worktree::create(&top, &view, &base).map_err(checkpoint::CheckpointError::from)
        });
    made.map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(())
}
