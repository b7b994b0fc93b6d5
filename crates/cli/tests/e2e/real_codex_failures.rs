//! How work with a real Codex fails, and what reaches it unharmed.

use convoke_scripted_model::{ResponseFailed, Script, Step};
use convoke_test_support::codex::real_codex;
use serde_json::{Value, json};

use crate::codex_world::{CodexWorld, prompt};

fn plain(codex: &std::path::Path) -> CodexWorld {
    CodexWorld::unregistered(codex, Script::default())
}

fn response_failed(code: &str, message: &str) -> Step {
    Step::ResponseFailed(ResponseFailed {
        code: code.to_owned(),
        message: message.to_owned(),
        ..ResponseFailed::default()
    })
}

/// Starts a job for each fault at once, and checks what each comes to.
fn check_faults(world: &CodexWorld, faults: &[(Step, &str, &str)]) {
    let jobs: Vec<String> = faults
        .iter()
        .map(|(fault, ..)| {
            world.spawn_worker(
                &["-s", "read-only", "--max-attempts", "1"],
                std::slice::from_ref(fault),
            )
        })
        .collect();
    for (job, (_, code, says)) in jobs.iter().zip(faults) {
        let status = world.failed(job, code);
        let message = status["message"].as_str().expect("a message");
        assert!(message.contains(says), "{code}: {message}");
        assert!(status["hint"].is_string(), "{code}: {status:#}");
        let end = world.events(job).pop().expect("events");
        assert_eq!(end["content"]["status"], "failed", "{end:#}");
    }
}

#[test]
fn what_the_provider_refuses_has_its_code() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let faults = [
        (
            Step::http_error(401, "invalid_api_key", "Incorrect API key provided"),
            "auth",
            "401",
        ),
        (
            Step::http_error(429, "rate_limit_exceeded", "Slow down"),
            "rate_limited",
            "429",
        ),
        (
            response_failed("insufficient_quota", "You exceeded your current quota"),
            "quota",
            "uota",
        ),
        (
            response_failed("context_length_exceeded", "Too long"),
            "context_window",
            "context window",
        ),
        (
            response_failed("server_is_overloaded", "Too busy"),
            "overloaded",
            "",
        ),
        (
            Step::http_error(503, "server_error", "Down"),
            "overloaded",
            "",
        ),
        (
            Step::http_error(404, "model_not_found", "The model `nix` does not exist"),
            "agent_failed",
            "does not exist",
        ),
    ];
    check_faults(&world, &faults);
}

#[test]
fn missing_credentials_are_named() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let text = fs_err::read_to_string(world.codex_home().join("config.toml")).expect("there");
    world.write_codex_config(&format!("{text}\nenv_key = \"SOME_API_KEY\"\n"));
    let job = world.spawn_worker(&[], &[Step::say("never said")]);
    let status = world.failed(&job, "auth");
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|text| text.contains("SOME_API_KEY")),
        "{status:#}"
    );
}

/// An address that nobody listens at.
fn closed_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    format!("http://{}/v1", listener.local_addr().expect("an address"))
}

#[test]
fn an_unreachable_provider_is_named() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let address = format!("model_providers.scripted.base_url=\"{}\"", closed_address());
    // Codex tries again and again, whatever it is told: the limit ends it.
    let options = ["-c", &address, "--timeout", "3s"];
    let patient = world.spawn_worker(&options, &[Step::say("never said")]);
    let status = world.failed(&patient, "timed_out");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("`wall`"), "{message}");
    assert!(
        message.to_lowercase().contains("connect"),
        "the true error is told too: {message}"
    );
}

#[test]
fn a_silent_provider_ends_by_the_limit() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let job = world.spawn_worker(&["--idle-timeout", "2s"], &[Step::hang()]);
    let status = world.failed(&job, "stalled");
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|text| text.contains("`idle`")),
        "{status:#}"
    );
    assert_eq!(status["retryable"], true);
}

#[test]
fn a_missing_codex_is_refused_at_once() {
    let Some(codex) = real_codex() else { return };
    let mut world = plain(&codex);
    let empty = world.root().join("bin");
    fs_err::create_dir(&empty).expect("made");
    world.environment().set("PATH", empty.display().to_string());
    let ran = world.run(&["--format", "json", "spawn", "work"]);
    assert_ne!(ran.code, Some(0));
    let error: Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert_eq!(error["code"], "agent_missing", "{error:#}");
    assert!(
        error["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("codex.binary")),
        "{error:#}"
    );
}

#[test]
fn odd_prompts_arrive_whole() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let script = Script::prompt_line(&[Step::say("read it")]);
    let large = format!("large {}\u{1f980} end", "x\u{e4}y".repeat(50_000));
    assert!(large.len() > 200_000);
    for words in [
        "--help me with -x",
        "review",
        "-",
        "resume 'it' \"now\" $HOME `id`",
        &large,
    ] {
        let prompt = format!("{words}\n{script}");
        let job = world.spawn_prompt(&["-s", "read-only"], &prompt);
        assert_eq!(world.completed(&job)["finalMessage"], "read it");
        let request = world.requests_of(words).pop().expect("a request");
        let users = request.messages("user");
        assert!(
            users.iter().any(|text| *text == prompt),
            "{} bytes",
            prompt.len()
        );
    }
}

#[test]
fn output_schemas_are_checked() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let schema = json!({"type": "object", "properties": {"count": {"type": "integer"}},
        "required": ["count"], "additionalProperties": false});
    let file = world.root().join("schema.json");
    fs_err::write(&file, schema.to_string()).expect("written");
    let options = [
        "-s",
        "read-only",
        "--output-schema",
        file.to_str().expect("UTF-8"),
    ];
    let met = world.spawn_worker(&options, &[Step::say("{\"count\": 3}")]);
    let other = world.spawn_worker(&options, &[Step::say("{\"count\": \"three\"}")]);
    let text = world.spawn_worker(&options, &[Step::say("three of them")]);
    assert_eq!(world.completed(&met)["output"], json!({"count": 3}));
    let status = world.failed(&other, "invalid_output");
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|text| text.contains("/count")),
        "{status:#}"
    );
    world.failed(&text, "invalid_output");
    assert_eq!(world.result(&text)["finalMessage"], "three of them");
    let sent = &world.requests_of("Work.")[0].body["text"]["format"];
    assert_eq!(sent["schema"], schema, "{sent:#}");
}

#[test]
fn needed_results_are_handed_down_and_failures_too() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let first = world.spawn_worker(
        &["-s", "read-only", "-l", "first"],
        &[Step::say("found 17 cases")],
    );
    let second = world.spawn_prompt(
        &["-s", "read-only", "--needs", &first],
        &prompt("Second job.", &[Step::say("used them")]),
    );
    assert_eq!(world.completed(&second)["finalMessage"], "used them");
    let users = world.requests_of("Second job.")[0]
        .messages("user")
        .join("\n");
    assert!(users.contains("found 17 cases"), "{users}");
    let broken = world.spawn_worker(&["-s", "read-only"], &[Step::http_error(404, "x", "gone")]);
    let third = world.spawn_prompt(&["--needs", &broken], "never run");
    let status = world.failed(&third, "needs_failed");
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|text| text.contains(&broken)),
        "{status:#}"
    );
    assert!(world.requests_of("never run").is_empty());
}

#[test]
fn model_effort_and_profile_are_passed_when_asked_for() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let profile = world.codex_home().join("swift.config.toml");
    fs_err::write(profile, "model = \"profile-model\"\n").expect("written");
    let say = [Step::say("ok")];
    let cases: [(&[&str], &str, &[&str]); 4] = [
        (&[], "scripted-model", &[]),
        (&["-m", "other-model"], "other-model", &["-m other-model"]),
        (&["-p", "swift"], "profile-model", &["-p swift"]),
        (
            &["--effort", "xhigh"],
            "scripted-model",
            &["model_reasoning_effort=\"xhigh\""],
        ),
    ];
    let all = [
        "-m other-model",
        "-p swift",
        "model_reasoning_effort=\"xhigh\"",
    ];
    for (options, model, passed) in cases {
        let options: Vec<&str> = ["-s", "read-only"].iter().chain(options).copied().collect();
        let job = world.spawn_worker(&options, &say);
        world.completed(&job);
        let request = world
            .model
            .requests()
            .into_iter()
            .rfind(|r| r.method == "POST");
        assert_eq!(
            request.expect("a request").body["model"],
            model,
            "{options:?}"
        );
        let argv = argv_of(&world, &job);
        for argument in all {
            assert_eq!(
                argv.contains(argument),
                passed.contains(&argument),
                "{argument}: {argv}"
            );
        }
        assert_eq!(
            argv.contains("reasoning"),
            options.contains(&"--effort"),
            "{argv}"
        );
    }
    let unknown = world.spawn_worker(&["-s", "read-only", "-p", "nobody"], &say);
    let state = world.wait_end(&unknown);
    assert!(["completed", "failed"].contains(&state.as_str()));
}

/// The command line a job was started with.
fn argv_of(world: &CodexWorld, job: &str) -> String {
    let runners = fs_err::read_dir(world.state_home().join("runners")).expect("runners");
    let spec = runners
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("spec.json"))
        .filter_map(|path| fs_err::read_to_string(path).ok())
        .map(|text| serde_json::from_str::<Value>(&text).expect("JSON"))
        .find(|spec| spec["jobId"] == job || spec["job_id"] == job)
        .expect("the job's runner");
    let words = spec["argv"].as_array().expect("arguments").iter();
    words
        .map(|word| word.as_str().expect("a text"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn variables_are_passed_and_secrets_masked() {
    let Some(codex) = real_codex() else { return };
    let world = plain(&codex);
    let secret = "sk-live-0123456789abcdefghij";
    // Put together by the shell: the whole secret stands in no prompt.
    let command = "printf 'plain=%s key=%s%s\\n' \"$PLAIN_WORD\" sk-live- 0123456789abcdefghij; \
                   printf '%s%s\\n' sk-live- 0123456789abcdefghij >&2";
    let (secret_variable, plain_variable) = (format!("CODEX_API_KEY={secret}"), "PLAIN_WORD=hello");
    let options = [
        "-s",
        "read-only",
        "-e",
        &secret_variable,
        "-e",
        plain_variable,
    ];
    let worker = [Step::shell(command), Step::say("the command said ${last}")];
    let job = world.spawn_worker(&options, &worker);
    let result = world.completed(&job);
    let events = serde_json::to_string(&world.events(&job)).expect("JSON");
    assert!(events.contains("plain=hello"), "{events}");
    assert!(!events.contains(secret), "{events}");
    assert!(!result.to_string().contains(secret), "{result:#}");
    check_no_file_holds(&world.state_home(), secret);
}

/// No file below a folder holds a text.
fn check_no_file_holds(folder: &std::path::Path, text: &str) {
    for entry in fs_err::read_dir(folder).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            check_no_file_holds(&path, text);
        } else if let Ok(bytes) = fs_err::read(&path) {
            let found = bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes());
            assert!(!found, "{} holds the secret", path.display());
        }
    }
}
