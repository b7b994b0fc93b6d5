//! What clients send to the daemon: bodies, queries, durations and sizes.

use std::fmt::Debug;

use axum::{extract::Query, http::Uri};
use convoke_api::{
    control::{CancelRequest, InterruptRequest, WaitRequest},
    daemon::{DaemonFile, StopRequest},
    doctor::DoctorRequest,
    error::{ApiError, RequestCode},
    events::EventsQuery,
    job::JobsQuery,
    openapi,
    result::{ResultQuery, SessionsQuery},
    spawn::SpawnRequest,
};
use convoke_core::{
    ids::{JobId, RunnerId},
    owner::Owner,
    time::UnixMillis,
};
use convoke_daemon::inputs::{EventsRequest, parse_bytes, parse_duration_ms};
use jsonschema::Validator;
use proptest::{collection::vec, prelude::*, sample::select};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{corpus, harness, json};

/// Keys and words of all requests.
const WORDS: &[&str] = &[
    "caller",
    "jobs",
    "idempotencyKey",
    "prompt",
    "review",
    "argv",
    "label",
    "model",
    "reasoningEffort",
    "high",
    "sandbox",
    "read-only",
    "fullAuto",
    "access",
    "write",
    "workingDirectory",
    "configOverrides",
    "addDirs",
    "mcpServers",
    "inherit",
    "none",
    "hostSkills",
    "outputSchema",
    "timeoutMs",
    "env",
    "needs",
    "priority",
    "session",
    "jobIds",
    "waitMs",
    "force",
    "newPrompt",
    "overrides",
    "cursor",
    "maxEvents",
    "maxBytes",
    "contentLimit",
    "state",
    "since",
    "limit",
    "environment",
    "maxJobs",
    "base",
    "commit",
    "client",
    "folder",
];

/// The published schemas of the requests.
struct Published {
    spawn: Validator,
    wait: Validator,
    cancel: Validator,
    interrupt: Validator,
    stop: Validator,
    doctor: Validator,
}

impl Published {
    fn read() -> Self {
        let document = openapi::document();
        let of = |name: &str| {
            assert!(
                document["components"]["schemas"][name].is_object(),
                "{name}"
            );
            let schema = json!({
                "$ref": format!("#/components/schemas/{name}"),
                "components": document["components"],
            });
            jsonschema::validator_for(&schema).expect("a schema")
        };
        Self {
            spawn: of("SpawnRequest"),
            wait: of("WaitRequest"),
            cancel: of("CancelRequest"),
            interrupt: of("InterruptRequest"),
            stop: of("StopRequest"),
            doctor: of("DoctorRequest"),
        }
    }

    fn check(&self, bytes: &[u8]) {
        body::<SpawnRequest>(bytes, Some(&self.spawn));
        body::<WaitRequest>(bytes, Some(&self.wait));
        body::<CancelRequest>(bytes, Some(&self.cancel));
        body::<InterruptRequest>(bytes, Some(&self.interrupt));
        body::<StopRequest>(bytes, Some(&self.stop));
        body::<DoctorRequest>(bytes, Some(&self.doctor));
        body::<DaemonFile>(bytes, None);
        body::<ApiError>(bytes, None);
    }
}

/// What is accepted is written and read back the same, as the schema says.
fn body<T: DeserializeOwned + Serialize + PartialEq + Debug>(
    bytes: &[u8],
    schema: Option<&Validator>,
) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_value(&read).expect("serialises");
    let again: T = serde_json::from_value(written.clone()).expect("read back");
    assert_eq!(again, read);
    if let Some(error) = schema.and_then(|schema| schema.validate(&written).err()) {
        panic!("not as published: {error}\n{written}");
    }
}

#[test]
fn api_bodies() {
    let published = Published::read();
    let kept = corpus::kept("api", &[]);
    corpus::run("api_bodies", 300, kept, WORDS, |bytes| {
        published.check(bytes)
    });
}

#[test]
fn api_body_fields() {
    let published = Published::read();
    let fields = json::object(WORDS, WORDS);
    let changed = (select(corpus::kept_json("api")), fields);
    harness::run("api_body_fields", 200, &changed, |(mut json, fields)| {
        for (key, value) in fields {
            if json.pointer("/jobs/0").is_some_and(Value::is_object) {
                json["jobs"][0][key] = value;
            } else {
                json[key] = value;
            }
        }
        published.check(json.to_string().as_bytes());
    });
}

#[test]
fn api_queries() {
    let value = prop_oneof![
        3 => "[0-9]{1,20}",
        1 => "(%[0-9a-f]{2}|[a-z+&=%.-]){0,8}",
        1 => select(&["live", "ended", "2026-01-01T00:00:00Z", "-1", ""][..]).prop_map(str::to_owned),
    ];
    let query = vec((select(WORDS), value), 0..6).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join("&")
    });
    harness::run("api_queries", 600, &query, |query| {
        let Ok(uri) = format!("/v1/jobs?{query}").parse::<Uri>() else {
            return;
        };
        let _ = Query::<JobsQuery>::try_from_uri(&uri);
        let _ = Query::<ResultQuery>::try_from_uri(&uri);
        let _ = Query::<SessionsQuery>::try_from_uri(&uri);
        let Ok(Query(events)) = Query::<EventsQuery>::try_from_uri(&uri) else {
            return;
        };
        match EventsRequest::parse(&events) {
            Ok(request) => drop(request.next(u64::MAX)),
            Err(error) => {
                let expected = [RequestCode::BadCursor, RequestCode::InvalidArgument];
                assert!(expected.contains(&error.code), "{error:?}");
                assert!(!error.message.is_empty());
            }
        }
    });
}

#[test]
fn durations_and_sizes() {
    let text = prop_oneof![
        2 => "-?[0-9]{1,22} ?(ms|s|m|min|h|d|days|weeks|years|KiB|MB|GiB|B|[a-z]{0,3})( ?[0-9]{1,5}(s|m))?",
        1 => json::text(),
        1 => "PT[0-9]{1,20}[HMS]",
    ];
    harness::run("durations_and_sizes", 2_000, &text, |text| {
        let _ = parse_duration_ms(&text);
        let _ = parse_bytes(&text);
        if let Ok(number) = text.parse::<u64>() {
            assert_eq!(parse_bytes(&text), Some(number));
        }
    });
}

#[test]
fn durations_of_numbers() {
    harness::run(
        "durations_of_numbers",
        300,
        &(0..4_000_000_000u64),
        |number| {
            assert_eq!(parse_duration_ms(&format!("{number}ms")), Some(number));
            assert_eq!(
                parse_duration_ms(&format!("{number}s")),
                Some(number * 1_000)
            );
            assert_eq!(parse_bytes(&format!("{number}KiB")), Some(number * 1_024));
            assert_eq!(
                parse_bytes(&format!(" {number} GB ")),
                Some(number * 1_000_000_000)
            );
        },
    );
}

/// Names of jobs, runners and owners, and instants.
#[test]
fn names_and_instants() {
    let text = prop_oneof![
        2 => "j[0-9a-hjkmnp-tv-z]{12}(\\.[0-9]{1,12})?",
        2 => "(thread|user|client):[a-z0-9:/ ]{0,14}",
        2 => "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
        1 => json::text(),
    ];
    harness::run("names_and_instants", 2_000, &text, |text| {
        if let Some(id) = JobId::parse(&text) {
            assert_eq!(id.as_str(), text);
            assert!(!text.contains(['/', '.']), "an id names one folder");
            let runner = RunnerId::of_attempt(&id, 7);
            assert_eq!(runner.attempt(), Some((id, 7)));
        }
        if let Some(owner) = Owner::parse(&text) {
            assert_eq!(Owner::parse(&owner.to_string()), Some(owner));
        }
        if let Some(at) = UnixMillis::parse(&text) {
            assert_eq!(UnixMillis::parse(&at.to_rfc3339()), Some(at));
        }
    });
}
