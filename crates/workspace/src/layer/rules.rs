//! Which new files of a layer are ignored, by the rules as they are with the layer
//! on top: git reads them in a folder that holds nothing but the rules.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::{
    Layer, path_of,
    written::{Rules, Written},
};
use crate::{
    git,
    plain_file::plain_file,
    private_repository::{PrivateRepository, PrivateRepositoryError, create_private, io_error},
};

/// Name of the files with rules.
const NAME: &str = ".gitignore";

/// What paths begin with when they are asked about.
const HERE: &[u8] = b"./";

/// Most bytes of one of them.
const MOST: u64 = 1 << 20;

/// Those of some new paths that are ignored.
pub(super) fn ignored(
    layer: &Layer,
    view: &PrivateRepository,
    written: &Written,
    fresh: &BTreeSet<&Vec<u8>>,
) -> Result<BTreeSet<Vec<u8>>, PrivateRepositoryError> {
    if fresh.is_empty() {
        return Ok(BTreeSet::new());
    }
    let folder = view.scratch_folder();
    gather(layer, written, &folder)?;
    let asked = view.with_top(&folder);
    let mut input = Vec::new();
    for path in fresh {
        // A name may begin with what means something to git.
        input.extend_from_slice(HERE);
        input.extend_from_slice(path);
        input.push(0);
    }
    let arguments = ["check-ignore", "-z", "--stdin"];
    let output = asked.run(&arguments, &input)?;
    // 1: none is.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(git::failed(&folder, &arguments, &output.stderr).into());
    }
    let listed = output.stdout.split(|byte| *byte == 0);
    let listed = listed.filter_map(|path| path.strip_prefix(HERE));
    Ok(listed.map(<[u8]>::to_vec).collect())
}

/// Brings the rules together.
fn gather(layer: &Layer, written: &Written, folder: &Path) -> Result<(), PrivateRepositoryError> {
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", folder)(error));
        }
        _ => {}
    }
    create_private(folder)?;
    // Some rules are for folders only.
    for path in &written.folders {
        create_private(&folder.join(path_of(path)))?;
    }
    for (within, place) in &written.rules {
        let within = path_of(within);
        let from: PathBuf = match place {
            Rules::Above => layer.upper.join(within),
            Rules::Beneath => layer.tree.join(within),
        };
        let path = from.join(NAME);
        // Git follows no link there either, and takes what it cannot read for empty.
        if fs_err::symlink_metadata(&path).map_or(true, |meta| !meta.is_file()) {
            continue;
        }
        let Ok(text) = plain_file(&path, MOST) else {
            continue;
        };
        let to = folder.join(within);
        create_private(&to)?;
        fs_err::write(to.join(NAME), text).map_err(io_error("write", to.join(NAME)))?;
    }
    Ok(())
}
