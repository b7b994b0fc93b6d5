//! Hides secrets of a job's environment in what the agent prints.

use std::{borrow::Cow, collections::BTreeMap};

/// What stands where a secret stood.
pub const MASK: &str = "[masked]";

/// A secret may be printed as JSON, within a text that is printed as JSON, and
/// so on; so often the escapes of it are followed.
const JSON_WITHIN_JSON: usize = 3;

/// Values shorter than this are not masked: they would hit ordinary words.
const MIN_SECRET_LEN: usize = 8;

/// Words of a variable's name (between underscores) that make its value a
/// secret; `APIKEY` and the like count by their ending.
const SECRET_WORDS: [&str; 11] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "COOKIE",
    "PAT",
];

/// Replaces the secret values of one environment wherever they occur
/// literally, plain or escaped as in JSON.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// Longest first, so that a secret that contains another goes whole.
    secrets: Vec<Vec<u8>>,
}

impl Masker {
    /// Collects the secret-looking values of `environment`.
    #[must_use]
    pub fn of_environment(environment: &BTreeMap<String, String>) -> Self {
        let mut secrets: Vec<Vec<u8>> = Vec::new();
        for (name, value) in environment {
            let whole = secrets_in(name, value);
            // A key of several lines may be printed line by line.
            let lines = whole
                .iter()
                .flat_map(|secret| secret.lines())
                .filter(|line| line.len() >= MIN_SECRET_LEN);
            for secret in whole.iter().copied().chain(lines) {
                secrets.extend(forms(secret));
            }
        }
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// Whether there is anything to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// `line` with every secret replaced by [`MASK`].
    #[must_use]
    pub fn mask<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let mut masked = Cow::Borrowed(line);
        for secret in &self.secrets {
            if let Some(replaced) = replace_all(&masked, secret) {
                masked = Cow::Owned(replaced);
            }
        }
        masked
    }

    /// The same for a line whose end is missing: the beginning of a secret at
    /// its end is hidden too, unless it is as short as what is no secret.
    #[must_use]
    pub fn mask_open<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let masked = self.mask(line);
        let begun = self
            .secrets
            .iter()
            .filter_map(|secret| {
                let lens = (MIN_SECRET_LEN..secret.len()).rev();
                lens.into_iter()
                    .find(|len| masked.ends_with(&secret[..*len]))
            })
            .max();
        match begun {
            Some(len) => {
                let mut hidden = masked[..masked.len() - len].to_vec();
                hidden.extend_from_slice(MASK.as_bytes());
                Cow::Owned(hidden)
            }
            None => masked,
        }
    }

    /// Length of the longest secret, bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.secrets.first().map_or(0, Vec::len)
    }

    /// Overwrites every secret with asterisks, length for length; whether
    /// there was any.
    pub fn blank(&self, bytes: &mut [u8]) -> bool {
        let mut changed = false;
        for secret in &self.secrets {
            let mut from = 0;
            while let Some(at) = find(&bytes[from..], secret) {
                bytes[from + at..from + at + secret.len()].fill(b'*');
                from += at + secret.len();
                changed = true;
            }
        }
        changed
    }

    /// `text` with every secret replaced by [`MASK`].
    #[must_use]
    pub fn mask_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned()
    }
}

/// A secret as it is and as it stands within texts of JSON.
fn forms(secret: &str) -> impl Iterator<Item = Vec<u8>> {
    let escaped = |text: &String| {
        let quoted = serde_json::Value::from(text.as_str()).to_string();
        Some(quoted[1..quoted.len() - 1].to_owned())
    };
    std::iter::successors(Some(secret.to_owned()), escaped)
        .take(1 + JSON_WITHIN_JSON)
        .map(String::into_bytes)
}

fn secrets_in<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    let name = name.to_ascii_uppercase();
    let mut secrets = Vec::new();
    let names_secret = name.split('_').any(|word| {
        SECRET_WORDS.contains(&word)
            || ["KEY", "TOKEN", "SECRET", "PASSWORD"]
                .iter()
                .any(|end| word.ends_with(end))
    });
    if names_secret && !is_path_like(&name, value) {
        secrets.push(value);
    }
    // A proxy address may carry `user:password@`.
    if let Some((credentials, _)) = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'))
        && let Some((_, password)) = credentials.split_once(':')
    {
        secrets.push(password);
    }
    secrets.retain(|secret| secret.len() >= MIN_SECRET_LEN);
    secrets
}

/// `SSH_AUTH_SOCK` and the like name places, not secrets.
fn is_path_like(name: &str, value: &str) -> bool {
    value.starts_with('/')
        && (name.ends_with("_SOCK") || name.ends_with("_FILE") || name.ends_with("_PATH"))
}

fn replace_all(haystack: &[u8], needle: &[u8]) -> Option<Vec<u8>> {
    let mut found = find(haystack, needle)?;
    let mut out = Vec::with_capacity(haystack.len());
    let mut rest = haystack;
    loop {
        out.extend_from_slice(&rest[..found]);
        out.extend_from_slice(MASK.as_bytes());
        rest = &rest[found + needle.len()..];
        match find(rest, needle) {
            Some(next) => found = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    Some(out)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == first) {
        let start = from + at;
        if haystack[start..].starts_with(needle) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(pairs: &[(&str, &str)]) -> Masker {
        let environment = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Masker::of_environment(&environment)
    }

    #[test]
    fn secrets_go_plain_and_escaped() {
        let masker = masker(&[("MY_API_KEY", "abc\"def\\ghi"), ("PATH", "/usr/bin:/bin")]);
        let line = br#"key abc"def\ghi and json "abc\"def\\ghi" in /usr/bin:/bin"#;
        assert_eq!(
            String::from_utf8_lossy(&masker.mask(line)),
            r#"key [masked] and json "[masked]" in /usr/bin:/bin"#
        );
    }

    #[test]
    fn secrets_go_from_json_within_json() {
        let masker = masker(&[("MY_API_KEY", "abc\"def\\ghi")]);
        let mut text = "abc\"def\\ghi".to_owned();
        for _ in 0..JSON_WITHIN_JSON {
            text = serde_json::json!({ "text": text }).to_string();
            assert!(!masker.mask_text(&text).contains("def"), "{text}");
        }
    }

    #[test]
    fn proxy_passwords_go_and_short_values_stay() {
        let masker = masker(&[
            ("HTTPS_PROXY", "http://me:hunter2hunter2@proxy:1"),
            ("A_TOKEN", "short"),
        ]);
        assert_eq!(
            masker.mask_text("http://me:hunter2hunter2@proxy:1 short"),
            "http://me:[masked]@proxy:1 short"
        );
    }

    #[test]
    fn lines_of_a_long_secret_go_one_by_one() {
        let masker = masker(&[("A_KEY", "-----BEGIN-----\nabcdefghij\nshort")]);
        assert_eq!(masker.mask_text("x abcdefghij short"), "x [masked] short");
    }

    #[test]
    fn the_beginning_of_a_secret_is_hidden_at_the_end_of_a_cut_line() {
        let masker = masker(&[("A_TOKEN", "0123456789abcdef")]);
        let shown = |line: &str| {
            let masked = masker.mask_open(line.as_bytes()).into_owned();
            String::from_utf8(masked).unwrap()
        };
        assert_eq!(shown("x 0123456789abcde"), "x [masked]");
        assert_eq!(shown("0123456789abcdef"), "[masked]");
        assert_eq!(shown("x 0123456"), "x 0123456");
        assert_eq!(shown("0123456789 x"), "0123456789 x");
    }

    #[test]
    fn blanking_keeps_the_length() {
        let masker = masker(&[("A_TOKEN", "longsecret")]);
        let mut bytes = b"x longsecret y longsecret".to_vec();
        assert!(masker.blank(&mut bytes));
        assert_eq!(bytes, b"x ********** y **********");
        assert!(!masker.blank(&mut bytes));
    }

    #[test]
    fn a_secret_within_another_goes_whole() {
        let masker = masker(&[
            ("A_TOKEN", "longsecret"),
            ("B_TOKEN", "longsecret-and-more"),
        ]);
        assert_eq!(
            masker.mask_text("longsecret-and-more longsecret"),
            "[masked] [masked]"
        );
    }
}
