//! What the CLI says of itself in requests.

use convoke_api::caller::Caller;

use crate::error::CliError;

/// This process as a caller. Variables that are not UTF-8 are left out: they
/// cannot be sent.
///
/// # Errors
/// The working folder is gone or not UTF-8.
pub fn this_process() -> Result<Caller, CliError> {
    Ok(Caller {
        client: "cli".to_owned(),
        client_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        folder: working_folder()?,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        ..Caller::default()
    })
}

fn working_folder() -> Result<String, CliError> {
    let folder = std::env::current_dir().map_err(CliError::system("find the working folder"))?;
    folder.into_os_string().into_string().map_err(|folder| {
        CliError::usage(format!(
            "the name of the working folder is not UTF-8: {}",
            folder.display()
        ))
    })
}
