//! Workers cannot start workers: however our server is registered, a worker
//! does not get it, nor Codex's own sub-agents, while its other servers stay.

use std::path::PathBuf;

use convoke_scripted_model::{RecordedRequest, Script, Step};
use convoke_test_support::codex::real_codex;
use serde_json::{Value, json};

use crate::codex_world::{CodexWorld, SERVER, registration, tool};

/// An MCP server with one tool, as a program of the shell.
const DOCS_SERVER: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"docs","version":"1"}}}\n' "$id" ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"look","description":"Look something up","inputSchema":{"type":"object","properties":{}},"annotations":{"readOnlyHint":true}}]}}\n' "$id" ;;
  esac
done
"#;

/// A world with another MCP server, and our registration as given.
fn world_with(codex: &std::path::Path, registration: &str) -> CodexWorld {
    let world = CodexWorld::unregistered(codex, Script::default());
    let docs = world.root().join("docs-server.sh");
    fs_err::write(&docs, DOCS_SERVER).expect("written");
    world.configure(&format!(
        "[mcp_servers.docs]\n\
         command = \"sh\"\n\
         args = [{:?}]\n\
         omit_tools_from = [\"deferred\", \"code_mode\"]\n\n\
         {registration}",
        docs.display().to_string()
    ));
    world
}

/// What a worker that calls our tool nevertheless does.
fn disobedient() -> Vec<Step> {
    vec![
        tool("codex_spawn", json!({"prompt": "more"})),
        Step::say("the worker is done"),
    ]
}

/// Runs a worker; checks that it got none of our tools and completed. Its
/// model requests.
fn check_worker(world: &CodexWorld, options: &[&str]) -> Vec<RecordedRequest> {
    let before = world.requests_of("Work.").len();
    let job = world.spawn_worker(options, &disobedient());
    assert_eq!(world.completed(&job)["finalMessage"], "the worker is done");
    let requests = world.requests_of("Work.").split_off(before);
    assert_eq!(requests.len(), 2, "one turn with one call");
    for request in &requests {
        check_tools(request);
    }
    let answer = requests[1].tool_outputs()[0].to_string();
    assert!(answer.contains("unsupported call"), "{answer}");
    let jobs = world.json(&["ps", "--all"])["jobs"]
        .as_array()
        .map(Vec::len);
    assert_eq!(
        jobs,
        Some(world.requests_of("Work.").len() / 2),
        "no further job"
    );
    requests
}

fn check_tools(request: &RecordedRequest) {
    let names = request.tool_names();
    assert!(names.contains(&"exec_command"), "{names:?}");
    for name in names {
        let other_server = name.starts_with("mcp__") && name != "mcp__docs";
        assert!(
            !other_server && !name.contains("agent"),
            "{name} is offered"
        );
    }
    let tools = request.body["tools"].to_string();
    for word in ["codex_spawn", "codex_wait_any", "spawn_agent", "wait_agent"] {
        assert!(!tools.contains(word), "{word} is offered: {tools}");
    }
}

fn has_docs(requests: &[RecordedRequest]) -> bool {
    requests
        .iter()
        .all(|request| request.tool_names().contains(&"mcp__docs"))
}

#[test]
fn not_registered() {
    let Some(codex) = real_codex() else { return };
    let world = world_with(&codex, "");
    assert!(has_docs(&check_worker(&world, &[])));
}

#[test]
fn registered_as_recommended_and_other_servers_as_asked() {
    let Some(codex) = real_codex() else { return };
    let program = env!("CARGO_BIN_EXE_convoke");
    let world = world_with(&codex, &registration(SERVER, program));
    // The test would prove nothing if nobody got the tools.
    world.coordinate("read-only", &[Step::say("hello")]).well();
    let coordinator = &world.coordinators_requests()[0];
    assert!(coordinator.tool_names().contains(&"mcp__convoke"));
    assert!(has_docs(&check_worker(&world, &[])));
    assert!(has_docs(&check_worker(&world, &["--mcp-servers", "docs"])));
    assert!(!has_docs(&check_worker(&world, &["--mcp-servers", "none"])));
}

#[test]
fn required() {
    let Some(codex) = real_codex() else { return };
    let program = env!("CARGO_BIN_EXE_convoke");
    let registration = format!("{}required = true\n", registration(SERVER, program));
    let world = world_with(&codex, &registration);
    assert!(has_docs(&check_worker(&world, &[])));
}

/// Another name for the program, in the world's folder.
fn link(world: &CodexWorld) -> PathBuf {
    let link = world.root().join("helper-tool");
    fs_err::os::unix::fs::symlink(env!("CARGO_BIN_EXE_convoke"), &link).expect("linked");
    link
}

#[test]
fn under_another_name_and_through_a_link() {
    let Some(codex) = real_codex() else { return };
    let world = world_with(&codex, "");
    let link = link(&world);
    let link = link.to_str().expect("UTF-8");
    let text = fs_err::read_to_string(world.codex_home().join("config.toml")).expect("there");
    world.write_codex_config(&format!("{text}\n{}", registration("my-helper", link)));
    assert!(has_docs(&check_worker(&world, &[])));
}

#[test]
fn behind_a_wrapper() {
    let Some(codex) = real_codex() else { return };
    let world = world_with(&codex, "");
    let link = link(&world);
    let text = fs_err::read_to_string(world.codex_home().join("config.toml")).expect("there");
    let wrapped = format!("exec {} mcp", link.display());
    let wrappers = format!(
        "{text}\n[mcp_servers.wrapped]\ncommand = \"sh\"\nargs = [\"-c\", {wrapped:?}]\n\
         [mcp_servers.named]\ncommand = \"sh\"\nargs = [\"-c\", \"exec {} mcp\"]\n",
        env!("CARGO_BIN_EXE_convoke")
    );
    world.write_codex_config(&wrappers);
    assert!(has_docs(&check_worker(&world, &[])));
}

#[test]
fn as_an_address() {
    let Some(codex) = real_codex() else { return };
    let entry = "[mcp_servers.convoke]\nurl = \"http://127.0.0.1:9/mcp\"\n";
    let world = world_with(&codex, entry);
    assert!(has_docs(&check_worker(&world, &[])));
}

#[test]
fn as_a_plugin() {
    let Some(codex) = real_codex() else { return };
    let world = world_with(&codex, "");
    install_plugin(&world, &codex);
    world.coordinate("read-only", &[Step::say("hello")]).well();
    let coordinator = &world.coordinators_requests()[0];
    let tools = coordinator.body["tools"].to_string();
    assert!(
        tools.contains("codex_spawn"),
        "the plugin works: {:?}",
        coordinator.tool_names()
    );
    assert!(has_docs(&check_worker(&world, &[])));
}

#[test]
fn by_overrides_and_profiles() {
    let Some(codex) = real_codex() else { return };
    let program = env!("CARGO_BIN_EXE_convoke");
    let world = world_with(&codex, "[features]\nmulti_agent_v2 = true\n");
    let command = format!("mcp_servers.sneaky.command={program:?}");
    let options = ["-c", &command, "-c", "mcp_servers.sneaky.args=[\"mcp\"]"];
    assert!(has_docs(&check_worker(&world, &options)));
    let profile = world.codex_home().join("helped.config.toml");
    fs_err::write(profile, registration("helper", program)).expect("written");
    assert!(has_docs(&check_worker(&world, &["-p", "helped"])));
}

#[test]
fn registered_after_the_first_worker() {
    let Some(codex) = real_codex() else { return };
    let world = world_with(&codex, "");
    check_worker(&world, &[]);
    let text = fs_err::read_to_string(world.codex_home().join("config.toml")).expect("there");
    let entry = registration("late", env!("CARGO_BIN_EXE_convoke"));
    world.write_codex_config(&format!("{text}\n{entry}"));
    assert!(has_docs(&check_worker(&world, &[])));
}

/// Makes a marketplace with one plugin and installs it from there.
fn install_plugin(world: &CodexWorld, codex: &std::path::Path) {
    let market = world.root().join("market");
    let plugin = market.join("plugins/convoke");
    let write = |path: PathBuf, content: Value| {
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("made");
        fs_err::write(path, content.to_string()).expect("written");
    };
    let marketplace = json!({"name": "market", "owner": {"name": "test"},
        "plugins": [{"name": "convoke", "source": "./plugins/convoke", "description": "d", "version": "1.0.0"}]});
    write(market.join(".claude-plugin/marketplace.json"), marketplace);
    let manifest = json!({"name": "convoke", "version": "1.0.0", "description": "d"});
    write(plugin.join(".claude-plugin/plugin.json"), manifest);
    let server = json!({"command": env!("CARGO_BIN_EXE_convoke"), "args": ["mcp"],
        "omit_tools_from": ["deferred", "code_mode"], "env_vars": ["CODEX_HOME", "CONVOKE_HOME"]});
    write(
        plugin.join(".mcp.json"),
        json!({"mcpServers": {"convoke": server}}),
    );
    for arguments in [
        &[
            "plugin",
            "marketplace",
            "add",
            market.to_str().expect("UTF-8"),
        ][..],
        &["plugin", "add", "convoke@market"],
    ] {
        let mut command = world.command(codex);
        command.args(arguments);
        let ran = convoke_test_support::environment::Ran::of(command, "codex plugin");
        assert!(ran.success(), "codex {arguments:?}: {ran}");
    }
}

#[test]
fn a_command_that_is_a_client_is_refused() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "inside", "version": "1"}}});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "codex_spawn", "arguments": {"prompt": "more work"}}});
    let input = world.root().join("input");
    fs_err::write(&input, format!("{hello}\n{ready}\n{call}\n")).expect("written");
    // The marks are taken off: it is known by its ancestors.
    let talk = format!(
        "unset CONVOKE_JOB_ID CONVOKE_RUNNER_ID; export CONVOKE_HOME={}; \
         {{ cat {}; until grep -q '\"id\":2' answers; do sleep 0.02; done; }} | {} mcp > answers; cat answers",
        world.state_home().display(),
        input.display(),
        env!("CARGO_BIN_EXE_convoke")
    );
    let job = world.spawn_command(&[], &["sh", "-c", &talk]);
    let result = world.completed(&job);
    let answers = result["finalMessage"].as_str().expect("the answers");
    assert!(answers.contains("inside_job"), "{answers}");
    assert_eq!(
        world.json(&["ps", "--all"])["jobs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
