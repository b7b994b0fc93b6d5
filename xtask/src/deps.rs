//! Programs the machine itself must have: git, a C compiler (for the bundled
//! SQLite) and, for the real Codex, Node.

use std::process::Command;

use crate::{command, error::Error};

/// A program that cannot be installed below `.tools`.
struct Dependency {
    /// What it is, in words.
    what: &'static str,
    /// Any of these will do.
    programs: &'static [&'static str],
    /// Debian packages that hold it.
    packages: &'static [&'static str],
    /// How to get it elsewhere.
    hint: &'static str,
}

const GIT: Dependency = Dependency {
    what: "git",
    programs: &["git"],
    packages: &["git"],
    hint: "install git, for example with `apt-get install git` or `brew install git`",
};

const C_COMPILER: Dependency = Dependency {
    what: "a C compiler (it builds the bundled SQLite)",
    programs: &["cc"],
    packages: &["gcc", "libc6-dev"],
    hint: "install one, for example with `apt-get install gcc libc6-dev` or `xcode-select --install`",
};

const NPM: Dependency = Dependency {
    what: "Node with npm (it installs and starts the real Codex)",
    programs: &["npm"],
    packages: &["nodejs", "npm"],
    hint: "install Node 16 or newer, for example with `apt-get install nodejs npm` or `brew install node`",
};

/// Makes sure of git and a C compiler: installs Debian's packages if they are
/// missing and may be installed.
///
/// # Errors
/// One is missing still.
pub fn required() -> Result<(), Error> {
    for dependency in [GIT, C_COMPILER] {
        dependency.provide()?;
    }
    Ok(())
}

/// The same for Node and npm.
///
/// # Errors
/// They are missing still.
pub fn node() -> Result<(), Error> {
    NPM.provide()
}

/// Whether Node and npm are there.
pub fn has_node() -> bool {
    NPM.is_there() && command::find("node").is_some()
}

impl Dependency {
    fn is_there(&self) -> bool {
        self.programs
            .iter()
            .any(|program| command::find(program).is_some())
    }

    fn provide(&self) -> Result<(), Error> {
        if !self.is_there() && may_install() {
            self.install()?;
        }
        match self.is_there() {
            true => Ok(()),
            false => Err(Error::Missing {
                what: self.what.to_owned(),
                hint: self.hint.to_owned(),
            }),
        }
    }

    fn install(&self) -> Result<(), Error> {
        eprintln!(
            "    {} is missing: installing {}",
            self.what,
            self.packages.join(" ")
        );
        let apt = |arguments: &[&str]| {
            command::run(
                Command::new("apt-get")
                    .env("DEBIAN_FRONTEND", "noninteractive")
                    .args(["-qq", "-y"])
                    .args(arguments),
            )
        };
        apt(&["update"])?;
        apt(&["install", "--no-install-recommends"]
            .iter()
            .chain(self.packages)
            .copied()
            .collect::<Vec<_>>())
    }
}

/// Packages are installed by root on Debian and its relatives only: nobody
/// else is asked for a password.
fn may_install() -> bool {
    let id = Command::new("id").arg("-u").output();
    let root = id.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && command::find("apt-get").is_some()
}
