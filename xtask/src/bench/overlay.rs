//! What it costs to give a job a layer of its own over the live tree.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use convoke_workspace::{
    layer::{self, Layer},
    obstacle,
};

use super::{
    Figure,
    checkpoint::{FILES, commit_files},
    stats,
    world::World,
};
use crate::error::Error;

const SAMPLES: usize = 7;

/// Within how many milliseconds a layer is to be ready for an agent.
const REACH_MS: f64 = 30.0;

/// Layers over a repository of 50,000 files: made and laid, and from the request of a
/// job until its program runs, in a layer and in the tree itself. The state of the tree
/// is kept before either. In turns, with the working tree that plain git makes beside
/// them.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let count = world.scaled(FILES);
    let environment = &world.environment;
    commit_files(world, count)?;
    let (mut ready, mut plain) = (Vec::new(), Vec::new());
    let (mut layered, mut shared) = (Vec::new(), Vec::new());
    // The first ones find out what is remembered from then on.
    for _ in 0..2 {
        starts(world, "overlay")?;
        starts(world, "shared")?;
    }
    for number in 0..SAMPLES {
        ready.push(lays(world, number)?);
        layered.push(starts(world, "overlay")?);
        shared.push(starts(world, "shared")?);
        let path = environment.root().join(format!("plain{number}"));
        let path = path.display().to_string();
        let start = Instant::now();
        environment.git(&["worktree", "add", "--quiet", "--detach", &path]);
        plain.push(stats::ms_since(start));
    }
    let figure = |what: &str, samples: &[f64]| {
        Figure::new(what, stats::median(samples), "ms", samples.len())
    };
    let what = format!("layer over {count} files: made, laid, written through");
    Ok(vec![
        figure(&what, &ready).reach(REACH_MS),
        figure("plain `git worktree add` there", &plain),
        figure("request → program of a job runs, in a layer", &layered),
        figure("the same in the tree itself", &shared),
    ])
}

/// Milliseconds until a layer is ready, by the program that tries it out: it does all
/// that the runner does, and is started for it alone.
fn lays(world: &World, number: usize) -> Result<f64, Error> {
    let environment = &world.environment;
    let folder = environment.root().join(format!("layer{number}"));
    let layer = Layer {
        tree: environment.work(),
        upper: folder.join("upper"),
    };
    let work = folder.join("work");
    let start = Instant::now();
    if let Some(obstacle) = obstacle::of_tree(&layer.tree, &environment.state_home()) {
        return Err(std::io::Error::other(obstacle).into());
    }
    layer.make(&work)?;
    let planned = serde_json::json!({
        "tree": layer.tree,
        "upper": layer.upper,
        "work": work,
        "user_attributes": layer::has_user_attributes(),
    });
    let tried = environment.run(&["__overlay", &planned.to_string()]);
    let took = stats::ms_since(start);
    layer::remove(&folder)?;
    match tried.success() {
        true => Ok(took),
        false => Err(std::io::Error::other(tried.stdout).into()),
    }
}

/// Milliseconds from the request of a job until its program runs.
fn starts(world: &World, workspace: &str) -> Result<f64, Error> {
    let environment = &world.environment;
    let told = environment.root().join("told");
    let script = format!("date +%s%N > {}", told.display());
    let options = ["--workspace", workspace];
    let begun = SystemTime::now();
    let job = environment.spawn_command(&options, &["sh", "-c", &script]);
    let state = environment.wait_end(&job);
    let text = fs_err::read_to_string(&told)?;
    if state != "completed" || environment.json(&["status", &job])["workspace"] != workspace {
        let status = environment.ok(&["status", &job]);
        return Err(std::io::Error::other(format!("no job with {workspace}: {status}")).into());
    }
    if workspace != "shared" {
        environment.ok(&["discard", &job]);
    }
    let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default();
    let ran: f64 = text.trim().parse().unwrap_or_default();
    Ok(ran / 1e6 - begun.as_secs_f64() * 1e3)
}
