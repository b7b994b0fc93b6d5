//! Serves a script until stdin closes: `cargo run -p convoke-scripted-model --example serve [SCRIPT.json] [CONFIG.toml]`.
//!
//! Without a script file only scripts in prompts are played. Prints the base URL and the text for Codex's `config.toml` (written
//! to the second argument too, when given) on stdout; on stdin's end prints the recorded requests, one JSON line each, on stderr.

use std::error::Error;
use std::io::Read;

use convoke_scripted_model::{Script, ScriptedModel, codex_config};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let script = match arguments.next().filter(|path| path != "-") {
        Some(path) => Script::from_json(&fs_err::read_to_string(path)?)?,
        None => Script::default(),
    };
    let model = ScriptedModel::start_blocking(script)?;
    let config = codex_config(&model.base_url());
    println!("{}\n\n{config}", model.base_url());
    if let Some(path) = arguments.next() {
        fs_err::write(path, config)?;
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    for request in model.requests() {
        let line = serde_json::json!({"method": request.method, "path": request.path, "headers": request.headers, "body": request.body});
        eprintln!("{line}");
    }
    Ok(())
}
