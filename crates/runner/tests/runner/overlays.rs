//! Agents with an overlay over the tree in which they work.

use std::fs;

use convoke_core::runner_protocol::{
    ContainmentPolicy, ExitCause, OVERLAY_SPEC_VERSION, Overlay, StartFailure,
};
use serde_json::json;

use crate::kit::{Plan, Setting, settings};

/// An agent that writes in its working folder, with an overlay over it.
fn writing(setting: Setting) -> Plan {
    let plan = Plan::new(json!([])).setting(setting).with(|spec| {
        spec.version = OVERLAY_SPEC_VERSION;
        spec.argv = ["sh", "-c", "cat there && echo 2 > there && echo 3 > new"]
            .map(String::from)
            .to_vec();
    });
    let layer = plan.home.path().join("layer");
    let overlay = Overlay {
        tree: plan.home.path().join("work"),
        upper: layer.join("upper"),
        work: layer.join("work"),
        user_attributes: setting.user.is_some() || !rustix::process::getuid().is_root(),
    };
    fs::create_dir_all(&overlay.upper).unwrap();
    fs::create_dir_all(&overlay.work).unwrap();
    fs::write(overlay.tree.join("there"), "1\n").unwrap();
    plan.with(|spec| spec.overlay = Some(overlay))
}

#[test]
fn what_is_written_goes_into_the_layer_or_nowhere() {
    for setting in settings() {
        let mut run = writing(setting).start();
        let record = run.finish();
        let layer = run.work("../layer/upper");
        assert_eq!(fs::read_to_string(run.work("there")).unwrap(), "1\n");
        assert!(!run.work("new").exists());
        if setting.policy == ContainmentPolicy::Best {
            assert_eq!(record.cause, ExitCause::Exited, "{record:?}");
            assert_eq!(record.exit_code, Some(0));
            assert_eq!(run.stdout(), ["1"]);
            assert_eq!(fs::read_to_string(layer.join("there")).unwrap(), "2\n");
            assert_eq!(fs::read_to_string(layer.join("new")).unwrap(), "3\n");
        } else {
            assert!(!record.started);
            let ExitCause::StartFailed { kind, message } = &record.cause else {
                panic!("{record:?}");
            };
            assert_eq!(*kind, StartFailure::Overlay);
            assert!(message.contains("namespaces were not wanted"), "{message}");
            assert_eq!(fs::read_dir(layer).unwrap().count(), 0);
        }
        run.assert_clean();
    }
}

#[test]
fn an_overlay_that_cannot_be_laid_starts_nothing() {
    let setting = settings()[0];
    let mut run = writing(setting)
        .with(|spec| {
            let overlay = spec.overlay.as_mut().unwrap();
            // Within the tree it would be beneath itself.
            overlay.upper = overlay.tree.clone();
        })
        .start();
    let record = run.finish();
    assert!(!record.started);
    let ExitCause::StartFailed { kind, message } = &record.cause else {
        panic!("{record:?}");
    };
    assert_eq!(*kind, StartFailure::Overlay);
    assert!(message.contains("laying the overlay"), "{message}");
}
