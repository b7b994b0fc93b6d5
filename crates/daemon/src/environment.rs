//! The environment of a job, fixed at acceptance.

use std::collections::BTreeMap;

use crate::config::Config;

/// Names that no job gets from anyone: marks of this program.
const OWN_MARKS: [&str; 2] = [
    convoke_core::runner_protocol::MARK_JOB_ID,
    convoke_core::runner_protocol::MARK_RUNNER_ID,
];

/// Builds the whole environment of a job. Of several sources of one name the
/// first wins: the call, the requester's variables that `env.pass` names, and
/// `env.set`. Nothing comes from the daemon's own environment.
#[must_use]
pub fn of_job(
    config: &Config,
    call: &BTreeMap<String, String>,
    requester: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment = config.env_set.clone();
    let passed = requester
        .iter()
        .filter(|(name, _)| config.env_pass.iter().any(|pattern| matches(pattern, name)));
    environment.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    environment.extend(call.clone());
    for mark in OWN_MARKS {
        environment.remove(mark);
    }
    environment
}

/// Whether a name can stand in an environment.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// `*` at the beginning or end of a pattern stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('*') {
        name.starts_with(prefix)
    } else if let Some(suffix) = pattern.strip_prefix('*') {
        name.ends_with(suffix)
    } else {
        pattern == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_first_source_wins() {
        let mut config = Config::default();
        config.env_set = vars(&[("LANG", "set"), ("A", "set"), ("B", "set")]);
        let requester = vars(&[
            ("LANG", "requester"),
            ("A", "requester"),
            ("SSH_AUTH_SOCK", "x"),
            ("HTTPS_PROXY", "p"),
        ]);
        let built = of_job(&config, &vars(&[("LANG", "call")]), &requester);
        assert_eq!(
            built,
            vars(&[
                ("LANG", "call"),
                ("A", "set"),
                ("B", "set"),
                ("HTTPS_PROXY", "p")
            ])
        );
    }

    #[test]
    fn own_marks_never_get_in() {
        let built = of_job(
            &Config::default(),
            &vars(&[("CONVOKE_JOB_ID", "j1")]),
            &BTreeMap::new(),
        );
        assert!(built.is_empty());
    }
}
