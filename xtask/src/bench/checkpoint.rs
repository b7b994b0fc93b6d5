//! What it costs to keep the state of a working tree.

use std::time::Instant;

use convoke_workspace::{
    checkpoint::{self, CheckpointLimits},
    private_repository::PrivateRepository,
};

use super::{Figure, stats, world::World};
use crate::error::Error;

/// Files of a large repository.
pub const FILES: usize = 50_000;
const FILES_A_FOLDER: usize = 100;
const SAMPLES: usize = 15;

/// Commits so many files to the world's repository.
pub fn commit_files(world: &World, count: usize) -> Result<(), Error> {
    let top = world.environment.work();
    for folder in 0..count / FILES_A_FOLDER {
        let folder = top.join(format!("d{}/s{folder}", folder / 25));
        fs_err::create_dir_all(&folder)?;
        for file in 0..FILES_A_FOLDER {
            let text = format!("fn f{file}() {{}}\n").repeat(20);
            fs_err::write(folder.join(format!("f{file}.rs")), text)?;
        }
    }
    world.environment.git(&["add", "-A"]);
    world.environment.git(&["commit", "-q", "-m", "all"]);
    Ok(())
}

/// The state of a repository of 50,000 files: the first time, unchanged, and with
/// one file changed.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let count = world.scaled(FILES);
    let top = world.environment.work();
    commit_files(world, count)?;
    let ours = world.environment.root().join("trees");
    let take = || -> Result<f64, Error> {
        let start = Instant::now();
        let taken = PrivateRepository::open(&ours, &top)
            .map_err(checkpoint::CheckpointError::from)
            .and_then(|repository| checkpoint::take(&repository, &CheckpointLimits::default()));
        taken.map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(stats::ms_since(start))
    };
    let first = take()?;
    let unchanged = (0..SAMPLES)
        .map(|_| take())
        .collect::<Result<Vec<_>, _>>()?;
    let mut changed = Vec::new();
    for n in 0..SAMPLES {
        fs_err::write(top.join("d0/s0/f0.rs"), format!("// {n}\n"))?;
        changed.push(take()?);
    }
    let start = Instant::now();
    world.environment.git(&["status", "--porcelain"]);
    let status = stats::ms_since(start);
    let name = |what: &str| format!("checkpoint of {count} files, {what}");
    Ok(vec![
        Figure::new(&name("the first"), first, "ms", 1),
        Figure::new(&name("unchanged"), stats::median(&unchanged), "ms", SAMPLES).reach(150.0),
        Figure::new(&name("one changed"), stats::median(&changed), "ms", SAMPLES),
        Figure::new("plain `git status` there, for comparison", status, "ms", 1),
    ])
}
