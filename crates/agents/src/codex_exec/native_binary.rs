//! Where the native program lies behind the npm launcher of Codex.
//!
//! The launcher is a Node script. Running the native program itself saves the
//! memory of a Node process per worker, and a SIGKILL hits the process that
//! does the work instead of one in front of it.

use std::path::{Path, PathBuf};

/// A platform Codex is published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Linux on x86-64.
    LinuxX64,
    /// Linux on arm64.
    LinuxArm64,
    /// macOS on x86-64.
    DarwinX64,
    /// macOS on arm64.
    DarwinArm64,
}

impl Platform {
    /// The platform named by `std::env::consts::{OS, ARCH}`; `None` if Codex
    /// is not published for it.
    #[must_use]
    pub fn named(os: &str, arch: &str) -> Option<Self> {
        match (os, arch) {
            ("linux" | "android", "x86_64") => Some(Self::LinuxX64),
            ("linux" | "android", "aarch64") => Some(Self::LinuxArm64),
            ("macos", "x86_64") => Some(Self::DarwinX64),
            ("macos", "aarch64") => Some(Self::DarwinArm64),
            _ => None,
        }
    }

    /// Folder of the npm package, and the target triple within it.
    fn package_and_triple(self) -> (&'static str, &'static str) {
        match self {
            Self::LinuxX64 => ("codex-linux-x64", "x86_64-unknown-linux-musl"),
            Self::LinuxArm64 => ("codex-linux-arm64", "aarch64-unknown-linux-musl"),
            Self::DarwinX64 => ("codex-darwin-x64", "x86_64-apple-darwin"),
            Self::DarwinArm64 => ("codex-darwin-arm64", "aarch64-apple-darwin"),
        }
    }
}

/// Where the native program may lie, most likely first, in the order in which
/// the launcher itself looks. `launcher` is the path of the script with all
/// symlinks resolved, `…/@openai/codex/bin/codex.js`; for any other file the
/// answer is empty, because that is then no npm launcher.
#[must_use]
pub fn candidates(launcher: &Path, platform: Platform) -> Vec<PathBuf> {
    let is_script = launcher.extension().is_some_and(|ext| ext == "js");
    let package = launcher.parent().and_then(Path::parent);
    let (Some(package), true) = (package, is_script) else {
        return Vec::new();
    };
    let (platform_package, triple) = platform.package_and_triple();
    // Node looks into `node_modules` of the package itself (nested) and of
    // every folder above it (hoisted, also the layout of pnpm).
    let roots = package
        .ancestors()
        .filter(|folder| folder.file_name().is_none_or(|name| name != "node_modules"))
        .map(|folder| {
            folder
                .join("node_modules/@openai")
                .join(platform_package)
                .join("vendor")
        });
    let vendor_roots: Vec<PathBuf> = roots.chain([package.join("vendor")]).collect();
    // The second layout is that of older releases.
    ["bin/codex", "codex/codex"]
        .iter()
        .flat_map(|program| {
            vendor_roots
                .iter()
                .map(move |root| root.join(triple).join(program))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(launcher: &str, platform: Platform) -> Vec<String> {
        candidates(Path::new(launcher), platform)
            .into_iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn nested_before_hoisted_before_the_package_itself() {
        let found = found(
            "/opt/lib/node_modules/@openai/codex/bin/codex.js",
            Platform::LinuxX64,
        );
        let tail = "vendor/x86_64-unknown-linux-musl/bin/codex";
        let position = |root: &str| {
            let wanted = format!("{root}/{tail}");
            found
                .iter()
                .position(|path| *path == wanted)
                .unwrap_or_else(|| panic!("{wanted} is not in {found:#?}"))
        };
        let nested =
            position("/opt/lib/node_modules/@openai/codex/node_modules/@openai/codex-linux-x64");
        let hoisted = position("/opt/lib/node_modules/@openai/codex-linux-x64");
        let own = position("/opt/lib/node_modules/@openai/codex");
        assert_eq!(nested, 0);
        assert!(nested < hoisted && hoisted < own);
        assert!(
            found
                .iter()
                .all(|path| !path.contains("node_modules/node_modules"))
        );
    }

    #[test]
    fn the_layout_of_pnpm_is_found() {
        let root = "/x/node_modules/.pnpm/@openai+codex@0.169.0/node_modules/@openai";
        let found = found(&format!("{root}/codex/bin/codex.js"), Platform::DarwinArm64);
        let wanted = format!("{root}/codex-darwin-arm64/vendor/aarch64-apple-darwin/bin/codex");
        assert!(found.contains(&wanted), "{found:#?}");
    }

    #[test]
    fn a_native_program_has_no_candidates() {
        assert!(found("/usr/local/bin/codex", Platform::LinuxArm64).is_empty());
        assert!(found("codex.js", Platform::LinuxArm64).is_empty());
        assert_eq!(Platform::named("linux", "x86_64"), Some(Platform::LinuxX64));
        assert_eq!(Platform::named("freebsd", "x86_64"), None);
    }
}
