//! The Codex configuration that makes it talk to a scripted model.

/// The provider's key in the configuration.
pub const PROVIDER_NAME: &str = "scripted";

/// The model's name. Codex does not know it, says so in an `error` item before the turn and offers its plain function tools.
pub const MODEL_NAME: &str = "scripted-model";

/// The text of a `config.toml` for a `CODEX_HOME`; further settings may be appended (it ends inside the provider's table).
///
/// No key and no log-in is needed: the provider is a custom one without `env_key`, so Codex sends no `authorization`. Only
/// `CODEX_HOME` has to be set. Nothing is retried, so that failures come quickly.
pub fn codex_config(base_url: &str) -> String {
    format!(
        "model = \"{MODEL_NAME}\"\n\
         model_provider = \"{PROVIDER_NAME}\"\n\
         check_for_update_on_startup = false\n\
         \n\
         [analytics]\n\
         enabled = false\n\
         \n\
         [model_providers.{PROVIDER_NAME}]\n\
         name = \"Scripted model\"\n\
         base_url = \"{base_url}\"\n\
         wire_api = \"responses\"\n\
         request_max_retries = 0\n\
         stream_max_retries = 0\n"
    )
}

/// The same as `-c` arguments (`-c`, `key=value`, `-c`, …), for use with any `CODEX_HOME`.
pub fn codex_config_overrides(base_url: &str) -> Vec<String> {
    let provider = format!("model_providers.{PROVIDER_NAME}");
    let settings = [
        format!("model=\"{MODEL_NAME}\""),
        format!("model_provider=\"{PROVIDER_NAME}\""),
        format!("{provider}.name=\"Scripted model\""),
        format!("{provider}.base_url=\"{base_url}\""),
        format!("{provider}.wire_api=\"responses\""),
        format!("{provider}.request_max_retries=0"),
        format!("{provider}.stream_max_retries=0"),
    ];
    settings
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect()
}
