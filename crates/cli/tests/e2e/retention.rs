//! Forgetting ended jobs, by hand and never a live one.

use serde_json::Value;

use crate::{checks::all_jobs, world::world};

fn ids(answer: &Value) -> Vec<String> {
    let forgotten = answer["forgotten"].as_array().expect("a list");
    forgotten
        .iter()
        .map(|job| job["jobId"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn the_oldest_go_and_live_jobs_and_what_they_need_stay() {
    let world = world();
    let ended: Vec<String> = (0..4)
        .map(|number| {
            let job = world.spawn_command(&["--label", &format!("n{number}")], &["true"]);
            world.wait_end(&job);
            // Settled, so that it may go.
            world.ok(&["result", &job]);
            job
        })
        .collect();
    let live = world.spawn_command(&[], &["sleep", "600"]);
    let waiting = world.spawn_command(&["--needs", &format!("{},{live}", ended[0])], &["true"]);
    let dry = world.json(&["gc", "--keep", "1", "--dry-run"]);
    assert_eq!(ids(&dry), ended[1..], "{dry:#}");
    assert_eq!(all_jobs(&world).len(), 6, "nothing was done");
    let done = world.json(&["gc", "--keep", "1"]);
    assert_eq!(ids(&done), ended[1..], "{done:#}");
    assert!(done["freedBytes"].as_u64() > Some(0), "{done:#}");
    let mut left: Vec<String> = all_jobs(&world)
        .iter()
        .map(|job| job["jobId"].as_str().expect("an id").to_owned())
        .collect();
    left.sort();
    let mut expected = vec![ended[0].clone(), live.clone(), waiting.clone()];
    expected.sort();
    assert_eq!(left, expected);
    let home = world.state_home();
    for job in &ended[1..] {
        assert!(!home.join("jobs").join(job).exists());
        assert!(!home.join(format!("runners/{job}.1")).exists());
        let refused = world.run(&["status", job]);
        assert!(refused.stderr.contains("Unknown jobId"), "{refused}");
    }
    world.ok(&["cancel", &live]);
    assert_eq!(world.wait_end(&waiting), "failed");
    let age = world.json(&["gc", "--older-than", "1h"]);
    assert_eq!(ids(&age), Vec::<String>::new());
    let ran = world.run(&["doctor"]);
    assert!(ran.stdout.contains("3 ended and 0 live jobs"), "{ran}");
}

#[test]
fn a_daemon_that_dies_in_between_loses_no_job_by_half() {
    for point in ["moved_to_trash", "forgotten"] {
        let world = world();
        let variable = ("CONVOKE_TEST_DAEMON_DIES_AT", point);
        assert!(world.run_with(&[variable], &["daemon", "start"]).success());
        let job = world.spawn_command(&[], &["echo", "kept"]);
        world.wait_end(&job);
        world.ok(&["result", &job]);
        let _ = world.run(&["gc", "--older-than", "1ms"]);
        let known = !all_jobs(&world).is_empty();
        assert_eq!(known, point == "moved_to_trash");
        let folder = world.state_home().join("jobs").join(&job);
        convoke_test_support::wait::wait_for("the trash to be emptied", || {
            let trash = world.state_home().join("trash");
            let entries = fs_err::read_dir(&trash).map_or(0, Iterator::count);
            (entries == 0)
                .then_some(())
                .ok_or_else(|| format!("{entries} folders"))
        });
        assert_eq!(folder.exists(), known);
        if known {
            assert!(world.ok(&["result", &job]).contains("kept"));
        }
    }
}
