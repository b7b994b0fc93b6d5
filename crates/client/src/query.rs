//! Query strings from the query types of the API.

use serde::Serialize;
use serde_json::Value;

/// A path with the query's fields appended. Fields without a value are left
/// out; every field of a query type is a text, a number or a truth value.
pub(crate) fn with_query<Q: Serialize>(path: &str, query: &Q) -> String {
    let mut target = path.to_owned();
    let Ok(Value::Object(fields)) = serde_json::to_value(query) else {
        return target;
    };
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in fields {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        target.push(separator);
        separator = '&';
        escape(&name, &mut target);
        target.push('=');
        escape(&text, &mut target);
    }
    target
}

fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_api::{events::EventsQuery, job::JobsQuery};

    use super::*;

    #[test]
    fn only_what_is_set_is_sent() {
        let query = EventsQuery {
            cursor: Some("0".into()),
            max_events: Some(5),
            ..EventsQuery::default()
        };
        assert_eq!(with_query("/p", &query), "/p?cursor=0&maxEvents=5");
        let query = JobsQuery {
            label: Some("a b&c=ü".into()),
            ..JobsQuery::default()
        };
        assert_eq!(with_query("/p", &query), "/p?label=a%20b%26c%3D%C3%BC");
        assert_eq!(with_query("/p", &()), "/p");
    }
}
