//! Tests of the command line.

use std::path::PathBuf;

use convoke_core::spec::McpServers;

use super::{
    super::probe::{REFERENCE, Transport},
    *,
};

const THREAD: &str = "01a1f8ca-d597-7910-b0a5-b6f2115109ef";

fn work() -> AgentWork {
    AgentWork {
        task: AgentTask::Prompt {
            prompt: "--do it".to_owned(),
        },
        model: None,
        reasoning_effort: None,
        profile: None,
        config_overrides: Vec::new(),
        add_dirs: Vec::new(),
        mcp_servers: McpServers::Inherit,
        host_skills: true,
        output_schema: None,
        resume: None,
        session: None,
    }
}

fn review(target: ReviewTarget, title: Option<&str>) -> AgentWork {
    AgentWork {
        task: AgentTask::Review {
            target,
            title: title.map(str::to_owned),
        },
        ..work()
    }
}

fn registration(name: &str, ours: bool) -> Registration {
    Registration {
        name: name.to_owned(),
        enabled: true,
        transport: Transport::Stdio {
            command: "x".to_owned(),
            args: Vec::new(),
            cwd: None,
        },
        ours,
    }
}

/// Launches with little else asked for.
fn start(work: &AgentWork, thread: Option<&str>) -> Result<Launch, LaunchError> {
    let registrations = [registration("convoke", true), registration("a.b", false)];
    launch(&LaunchRequest {
        program: Path::new("/opt/codex"),
        capabilities: &Capabilities::of(REFERENCE).unwrap(),
        work,
        sandbox: Sandbox::ReadOnly,
        scope: None,
        working_directory: Path::new("/repo"),
        thread,
        earlier_prompt: None,
        output_schema: work.output_schema.as_ref().map(|_| Path::new("/s.json")),
        needs_repository: false,
        registrations: &registrations,
        results: &[],
    })
}

/// What follows the guards that every turn has.
fn tail(launch: &Launch) -> &[String] {
    let guard = r#"mcp_servers.convoke={command="true",enabled=false}"#;
    let last = launch.argv.iter().position(|arg| arg == guard).unwrap();
    &launch.argv[last + 1..]
}

#[test]
fn a_scope_becomes_a_permission_profile_or_nothing_starts() {
    let capabilities = Capabilities::of(REFERENCE).unwrap();
    let work = work();
    let start = |sandbox, folders: &[&str]| {
        let scope = Scope {
            write: folders.iter().map(PathBuf::from).collect(),
            read: Vec::new(),
        };
        launch(&LaunchRequest {
            program: Path::new("/opt/codex"),
            capabilities: &capabilities,
            work: &work,
            sandbox,
            scope: Some(&scope),
            working_directory: Path::new("/repo"),
            thread: None,
            earlier_prompt: None,
            output_schema: None,
            needs_repository: false,
            registrations: &[],
            results: &[],
        })
    };
    let bounded = start(Sandbox::WorkspaceWrite, &["/repo/a", "/repo/b \"c\""]).unwrap();
    assert!(
        !bounded.argv.contains(&"-s".to_owned()),
        "{:?}",
        bounded.argv
    );
    let profile = r#"permissions.convoke_scope={filesystem={":root"="read",":tmpdir"="write",":slash_tmp"="write",":workspace_roots"={"."="read","a"="write","b \"c\""="write"}}}"#;
    assert!(
        bounded.argv.contains(&profile.to_owned()),
        "{:?}",
        bounded.argv
    );
    // It says no more than the sandbox, or the sandbox cannot say it.
    for (sandbox, folder) in [
        (Sandbox::WorkspaceWrite, "/repo"),
        (Sandbox::DangerFullAccess, "/repo/a"),
    ] {
        let argv = start(sandbox, &[folder]).unwrap().argv;
        assert!(argv.contains(&sandbox.as_str().to_owned()), "{argv:?}");
    }
    let outside = start(Sandbox::WorkspaceWrite, &["/repo/a", "/other"]).unwrap_err();
    assert!(matches!(outside, LaunchError::Scope(_)), "{outside}");
}

#[test]
fn the_least_a_turn_is_given() {
    let launch = start(&work(), None).unwrap();
    assert_eq!(
        launch.argv,
        [
            "/opt/codex",
            "exec",
            "--json",
            "--color",
            "never",
            "--skip-git-repo-check",
            "-s",
            "read-only",
            "-C",
            "/repo",
            "-c",
            "agents.enabled=false",
            "-c",
            "features.multi_agent=false",
            "-c",
            "features.multi_agent_v2=false",
            "-c",
            r#"mcp_servers.convoke={command="true",enabled=false}"#,
            "-",
        ]
    );
    assert_eq!(launch.stdin, "--do it");
    assert_eq!(launch.interrupt, Interrupt::Int);
}

#[test]
fn everything_in_its_order_and_the_guards_last() {
    let work = AgentWork {
        model: Some("big".to_owned()),
        reasoning_effort: Some("xhigh".to_owned()),
        profile: Some("fast".to_owned()),
        config_overrides: vec!["model=\"x\"".to_owned(), "a.b=1".to_owned()],
        add_dirs: vec![PathBuf::from("/one"), PathBuf::from("/two")],
        mcp_servers: McpServers::None,
        host_skills: false,
        output_schema: Some(serde_json::json!({})),
        ..work()
    };
    let launch = start(&work, Some(THREAD)).unwrap();
    assert_eq!(
        launch.argv[10..],
        [
            "-p",
            "fast",
            "--add-dir",
            "/one",
            "--add-dir",
            "/two",
            "--output-schema",
            "/s.json",
            "-m",
            "big",
            "-c",
            r#"mcp_servers={"a.b"={command="true",enabled=false}}"#,
            "-c",
            "model=\"x\"",
            "-c",
            "a.b=1",
            "-c",
            "model_reasoning_effort=\"xhigh\"",
            "-c",
            "skills.include_instructions=false",
            "-c",
            "agents.enabled=false",
            "-c",
            "features.multi_agent=false",
            "-c",
            "features.multi_agent_v2=false",
            "-c",
            r#"mcp_servers.convoke={command="true",enabled=false}"#,
            "resume",
            THREAD,
            "-",
        ]
    );
}

#[test]
fn reviews_name_their_target() {
    let table = [
        (ReviewTarget::Uncommitted, None, "review --uncommitted", ""),
        (
            ReviewTarget::Base {
                branch: "main".to_owned(),
            },
            None,
            "review --base main",
            "",
        ),
        (
            ReviewTarget::Commit {
                sha: "abc".to_owned(),
            },
            Some("-a\nb"),
            "review --title=-a b --commit abc",
            "",
        ),
        (
            ReviewTarget::Custom {
                prompt: "look".to_owned(),
            },
            None,
            "review -",
            "look",
        ),
    ];
    for (target, title, arguments, stdin) in table {
        let launch = start(&review(target, title), None).unwrap();
        assert_eq!(tail(&launch).join(" "), arguments);
        assert_eq!(launch.stdin, stdin);
    }
}

#[test]
fn what_cannot_be_passed_on_is_refused() {
    let model = AgentWork {
        model: Some("--dangerously-bypass-approvals-and-sandbox".to_owned()),
        ..work()
    };
    assert!(matches!(
        start(&model, None),
        Err(LaunchError::Value { what: "model", .. })
    ));
    let effort = AgentWork {
        reasoning_effort: Some("ultra".to_owned()),
        ..work()
    };
    assert!(matches!(
        start(&effort, None),
        Err(LaunchError::ReasoningEffort(_))
    ));
    let pair = AgentWork {
        config_overrides: vec!["agents.enabled=true".to_owned()],
        ..work()
    };
    assert!(matches!(start(&pair, None), Err(LaunchError::Override(_))));
    let only = AgentWork {
        mcp_servers: McpServers::Only(vec!["nope".to_owned()]),
        ..work()
    };
    assert!(matches!(start(&only, None), Err(LaunchError::UnknownServer(name)) if name == "nope"));
    for name in [
        "my session",
        "--last",
        "01a1f8ca-d597-7910-b0a5-b6f2115109eg",
    ] {
        assert!(matches!(
            start(&work(), Some(name)),
            Err(LaunchError::Thread(_))
        ));
    }
    let review = review(ReviewTarget::Uncommitted, None);
    assert!(matches!(
        start(&review, Some(THREAD)),
        Err(LaunchError::ReviewResume)
    ));
}
