//! What keeps a worker from starting workers: this program's own MCP server is
//! switched off under every name, and so are the agent's own sub-agent tools.
//!
//! Codex merges a `-c` pair into the configured entry and then checks the
//! entry as a whole. So a pair that only says `enabled=false` fails for an
//! entry that stands in no `config.toml`, such as one of a plugin, and the list
//! of servers does not say where an entry stands. A pair that repeats the kind
//! of transport (`command` or `url`) works for both, and is used throughout.

use convoke_core::spec::McpServers;

use super::probe::{Capabilities, Registration, Transport};

/// `-c` pairs, in two places of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Before the caller's overrides: a pair for the whole table of MCP
    /// servers, which takes away all earlier pairs for that table. No override
    /// can undo it, because a key with dots cannot name a server in it, and
    /// the whole table is refused as an override.
    pub before_overrides: Vec<String>,
    /// After everything else, so that they win.
    pub after_overrides: Vec<String>,
}

/// The guards of one turn: `registrations` are the servers it would get,
/// `wanted` those the job asks for.
#[must_use]
pub fn guards(
    registrations: &[Registration],
    wanted: &McpServers,
    capabilities: &Capabilities,
) -> Guards {
    // An entry that is off needs nothing, unless it is ours: then it is
    // switched off again, should the list be older than the configuration.
    let (bare, quoted): (Vec<_>, Vec<_>) = registrations
        .iter()
        .filter(|entry| entry.ours || (entry.enabled && !is_wanted(entry, wanted)))
        .partition(|entry| is_bare(&entry.name));
    let table = quoted
        .iter()
        .map(|entry| format!("{}={}", toml_string(&entry.name), disabled(entry)))
        .collect::<Vec<_>>()
        .join(",");
    let before_overrides = match table.as_str() {
        "" => Vec::new(),
        _ => vec![format!("mcp_servers={{{table}}}")],
    };
    let singles = bare
        .iter()
        .map(|entry| format!("mcp_servers.{}={}", entry.name, disabled(entry)));
    Guards {
        before_overrides,
        after_overrides: capabilities
            .native_agents_off
            .iter()
            .cloned()
            .chain(singles)
            .collect(),
    }
}

fn is_wanted(entry: &Registration, wanted: &McpServers) -> bool {
    match wanted {
        McpServers::Inherit => true,
        McpServers::None => false,
        McpServers::Only(names) => names.contains(&entry.name),
    }
}

/// Whether a name can stand in a dotted key of `-c`, which Codex cuts at every
/// dot without regard to quotes.
fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-:@/".contains(c))
}

/// The entry, switched off, as a TOML inline table.
fn disabled(entry: &Registration) -> String {
    match &entry.transport {
        Transport::Stdio { .. } => r#"{command="true",enabled=false}"#.to_owned(),
        Transport::Url { url } => format!("{{url={},enabled=false}}", toml_string(url)),
        Transport::Unknown => "{enabled=false}".to_owned(),
    }
}

/// A text as a TOML basic string.
pub(super) fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{super::probe::REFERENCE, *};

    fn stdio(name: &str) -> Registration {
        Registration {
            name: name.to_owned(),
            enabled: true,
            transport: Transport::Stdio {
                command: "/bin/cat".to_owned(),
                args: Vec::new(),
                cwd: None,
            },
            ours: false,
        }
    }

    fn url(name: &str) -> Registration {
        Registration {
            transport: Transport::Url {
                url: "http://127.0.0.1:9/m\"cp".to_owned(),
            },
            ..stdio(name)
        }
    }

    fn ours(entry: Registration) -> Registration {
        Registration {
            ours: true,
            ..entry
        }
    }

    /// The pairs about MCP servers, before and after the overrides.
    fn pairs(registrations: &[Registration], wanted: &McpServers) -> (Vec<String>, Vec<String>) {
        let capabilities = Capabilities::of(REFERENCE).unwrap();
        let guards = guards(registrations, wanted, &capabilities);
        let (agents, servers) = guards.after_overrides.split_at(3);
        assert_eq!(agents, capabilities.native_agents_off);
        (guards.before_overrides, servers.to_vec())
    }

    #[test]
    fn our_own_server_is_off_in_every_form() {
        let registrations = [
            ours(stdio("convoke")),
            stdio("docs"),
            ours(url("remote")),
            ours(stdio("my.server")),
            ours(stdio("with \"quotes\" é")),
            ours(Registration {
                transport: Transport::Unknown,
                ..stdio("odd")
            }),
        ];
        let (before, after) = pairs(&registrations, &McpServers::Inherit);
        assert_eq!(
            before,
            [concat!(
                r#"mcp_servers={"my.server"={command="true",enabled=false},"#,
                r#""with \"quotes\" é"={command="true",enabled=false}}"#
            )]
        );
        assert_eq!(
            after,
            [
                r#"mcp_servers.convoke={command="true",enabled=false}"#,
                r#"mcp_servers.remote={url="http://127.0.0.1:9/m\"cp",enabled=false}"#,
                "mcp_servers.odd={enabled=false}",
            ]
        );
    }

    #[test]
    fn only_what_is_asked_for_stays() {
        let off = Registration {
            enabled: false,
            ..stdio("off")
        };
        let registrations = [ours(stdio("us")), stdio("a"), stdio("b"), off];
        let names = |wanted: &McpServers| -> Vec<String> {
            let (_, after) = pairs(&registrations, wanted);
            after
                .iter()
                .filter_map(|pair| Some(pair.strip_prefix("mcp_servers.")?.split_once('=')?.0))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(names(&McpServers::Inherit), ["us"]);
        assert_eq!(names(&McpServers::None), ["us", "a", "b"]);
        let only = McpServers::Only(vec!["b".to_owned(), "us".to_owned()]);
        assert_eq!(names(&only), ["us", "a"]);
    }
}
