//! Contents of kept files.

use std::collections::HashMap;

use crate::private_repository::{PrivateRepository, PrivateRepositoryError};

/// The contents of objects, by name; those that are not there are missing in the
/// answer.
///
/// # Errors
/// Git cannot be run.
pub(crate) fn contents<'a>(
    repository: &PrivateRepository,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<String, Vec<u8>>, PrivateRepositoryError> {
    let asked: String = names.into_iter().map(|name| format!("{name}\n")).collect();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let output = repository.git_with(&["cat-file", "--batch"], asked.as_bytes())?;
    Ok(parse(&output))
}

/// Reads `<name> <type> <size>\n<bytes>\n` again and again (git-cat-file(1),
/// "Batch output").
fn parse(mut output: &[u8]) -> HashMap<String, Vec<u8>> {
    let mut found = HashMap::new();
    while let Some(end) = output.iter().position(|byte| *byte == b'\n') {
        let header = String::from_utf8_lossy(&output[..end]).into_owned();
        output = &output[end + 1..];
        let words: Vec<&str> = header.split(' ').collect();
        let &[name, _, size] = &words[..] else {
            // `<name> missing`.
            continue;
        };
        let Some(size) = size.parse().ok().filter(|size| *size < output.len()) else {
            break;
        };
        found.insert(name.to_owned(), output[..size].to_vec());
        output = &output[size + 1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn batches_are_read() {
        let found = parse(b"aa blob 3\na\nb\nbb missing\ncc blob 0\n\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found["aa"], b"a\nb");
        assert_eq!(found["cc"], b"");
    }
}
