//! Events as `codex exec --json` prints them.

use serde_json::{Value, json};

/// The lines of one turn.
pub fn turn(thread: &str, message: &str, commands: &[String], fail: Option<&str>) -> Vec<Value> {
    let mut lines = vec![
        json!({"type":"thread.started","thread_id":thread}),
        json!({"type":"turn.started"}),
    ];
    for (number, command) in commands.iter().enumerate() {
        let id = format!("item_{number}");
        lines.push(
            json!({"type":"item.started","item":{"id":id,"type":"command_execution",
            "command":command,"aggregated_output":"","exit_code":null,"status":"in_progress"}}),
        );
        lines.push(
            json!({"type":"item.completed","item":{"id":id,"type":"command_execution",
            "command":command,"aggregated_output":"","exit_code":0,"status":"completed"}}),
        );
    }
    if !message.is_empty() {
        let id = format!("item_{}", commands.len());
        lines.push(json!({"type":"item.completed",
            "item":{"id":id,"type":"agent_message","text":message}}));
    }
    lines.push(match fail {
        Some(error) => json!({"type":"turn.failed","error":{"message":error}}),
        None => json!({"type":"turn.completed","usage":{"input_tokens":10,
            "cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":5,
            "reasoning_output_tokens":0}}),
    });
    lines
}
