//! Where the state home is: the flag, else the variable, else the default. No
//! XDG variable: MCP servers do not get them, and all clients must agree. And
//! where the configuration file is.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{environment, error::CliError};

/// The default, below the user's home folder.
const DEFAULT: &str = ".local/state/convoke";

/// The configuration file, below the user's home folder.
const CONFIGURATION: &str = ".config/convoke/config.toml";

/// The absolute path of the state home.
///
/// # Errors
/// Nothing names one and there is no home folder.
pub fn resolve(flag: Option<&Path>) -> Result<PathBuf, CliError> {
    choose(
        flag,
        environment::value(environment::CONVOKE_HOME),
        environment::value(environment::HOME),
    )
}

/// The user's configuration file, which need not exist.
///
/// # Errors
/// There is no home folder.
pub fn configuration() -> Result<PathBuf, CliError> {
    match environment::value(environment::HOME) {
        Some(user_home) => Ok(Path::new(&user_home).join(CONFIGURATION)),
        None => Err(CliError::usage_hint(
            "the configuration file is not known: HOME is not set",
            "set HOME",
        )),
    }
}

fn choose(
    flag: Option<&Path>,
    variable: Option<OsString>,
    user_home: Option<OsString>,
) -> Result<PathBuf, CliError> {
    let chosen = match (flag, variable, user_home) {
        (Some(flag), _, _) => flag.to_owned(),
        (None, Some(variable), _) => variable.into(),
        (None, None, Some(user_home)) => Path::new(&user_home).join(DEFAULT),
        (None, None, None) => {
            return Err(CliError::usage_hint(
                "the state home is not known: HOME is not set",
                "name a folder with `--home` or CONVOKE_HOME",
            ));
        }
    };
    std::path::absolute(&chosen).map_err(CliError::file("find", chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wins() {
        let flag = Some(Path::new("/f"));
        let variable = || Some("/v".into());
        let home = || Some("/h".into());
        assert_eq!(choose(flag, variable(), home()).unwrap(), Path::new("/f"));
        assert_eq!(choose(None, variable(), home()).unwrap(), Path::new("/v"));
        let default = choose(None, None, home()).unwrap();
        assert_eq!(default, Path::new("/h/.local/state/convoke"));
        assert!(choose(None, None, None).is_err());
    }
}
