//! `codex_spawn_group`: starts several jobs; each succeeds or fails by itself.

use convoke_api::{error::ApiError, spawn::SpawnResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    answers, arguments,
    errors::Outcome,
    events::{self, Page},
    schema_pass,
    server::Call,
    settings::{self, Own, Settings},
    spawn::{self, Repeats, Started},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    /// The jobs to start.
    jobs: Vec<Map<String, Value>>,
    /// Settings of all jobs that do not say otherwise.
    defaults: Option<Map<String, Value>>,
    /// Also answer the first events of each job.
    include_handshake: Option<bool>,
    /// At most so many events per job; 1 to 2000, default 20.
    handshake_max_events: Option<u64>,
    /// Accepted for older callers: writers per folder are limited by the setting limits.writers.
    k_write: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// One per job, in the order of the call: a started job, or an error.
    results: Vec<One>,
    /// What was done differently than asked, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

/// What came of one job. The facts of a started job stand beside the handshake,
/// so the schema is put together by hand.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct One(Map<String, Value>);

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Extras {
    /// Why this job was not started.
    error: String,
    code: String,
    hint: String,
    retryable: bool,
    handshake: Page,
}

impl JsonSchema for One {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SpawnResult".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Started::json_schema(generator);
        let extras = Extras::json_schema(generator);
        let object = schema.ensure_object();
        let properties = object.get_mut("properties").and_then(Value::as_object_mut);
        let more = extras.get("properties").and_then(Value::as_object);
        if let (Some(properties), Some(more)) = (properties, more) {
            properties.extend(more.clone());
        }
        object.remove("required");
        object.insert(
            "anyOf".into(),
            json!([{"required": ["jobId", "status", "startedAt"]}, {"required": ["error"]}]),
        );
        schema
    }
}

/// The schema of the arguments: jobs are prompts with settings.
pub(crate) fn input() -> Map<String, Value> {
    let mut schema = schema_pass::input_of_both::<Arguments, Repeats>();
    let job = schema_pass::input_of_both::<Own, Settings>();
    let mut defaults = schema_pass::input::<Settings>();
    defaults.remove("required");
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.expect("input schemas have properties");
    for (name, place, inner) in [("jobs", Some("items"), job), ("defaults", None, defaults)] {
        let property = properties.get_mut(name).and_then(Value::as_object_mut);
        let property = property.expect("the property is declared above");
        match place {
            Some(place) => {
                property.insert(place.into(), Value::Object(inner));
            }
            None => {
                property.remove("additionalProperties");
                property.extend(inner);
            }
        }
    }
    schema
}

pub(crate) async fn codex_spawn_group(call: &Call) -> Outcome {
    let given: Arguments = arguments::read(&call.arguments)?;
    let repeats: Repeats = arguments::read(&call.arguments)?;
    let handshake = handshake_size(&given)?;
    if given.jobs.is_empty() {
        return Err(ApiError::invalid("`jobs` is empty; name at least one job").into());
    }
    let defaults = given.defaults.unwrap_or_default();
    let folder = &call.config.folder;
    let jobs = given
        .jobs
        .iter()
        .map(|job| settings::job(&settings::with_defaults(job, &defaults), folder))
        .collect::<Result<Vec<_>, _>>()?;
    let labels: Vec<Option<String>> = jobs.iter().map(|job| job.label.clone()).collect();
    let results = spawn::start(call, jobs, repeats.idempotency_key).await?;
    let mut answer = Answer {
        results: Vec::new(),
        notices: Vec::new(),
    };
    if given.k_write.is_some() {
        answer
            .notices
            .push("kWrite has no effect on one call: the setting limits.writers rules".into());
    }
    for (result, label) in results.into_iter().zip(labels) {
        answer
            .results
            .push(one(call, result, label, handshake, &mut answer.notices).await);
    }
    answers::json(&answer)
}

/// How many events of each job are answered; none if no handshake is wanted.
fn handshake_size(given: &Arguments) -> Result<Option<u32>, ApiError> {
    let size = arguments::within(
        "handshakeMaxEvents",
        given.handshake_max_events,
        20,
        1..=2000,
    )?;
    let wanted = given.include_handshake == Some(true);
    Ok(wanted.then(|| u32::try_from(size).expect("at most 2000")))
}

async fn one(
    call: &Call,
    result: SpawnResult,
    label: Option<String>,
    handshake: Option<u32>,
    notices: &mut Vec<String>,
) -> One {
    let (job, existed, own_notices) = match spawn::accepted(result) {
        Ok(accepted) => accepted,
        Err(error) => return One(refused(&error, label)),
    };
    let mut facts = answers::structured(&Started::new(&job, existed, own_notices));
    if let Some(size) = handshake {
        match events::first_page(&call.config.client, &job.job_id, size).await {
            Ok(page) => {
                facts.insert(
                    "handshake".into(),
                    Value::Object(answers::structured(&page)),
                );
            }
            Err(error) => {
                notices.push(format!(
                    "no handshake for {}: {}",
                    job.job_id,
                    error.to_api_error().message
                ));
            }
        }
    }
    One(facts)
}

fn refused(error: &ApiError, label: Option<String>) -> Map<String, Value> {
    let mut facts = crate::errors::object(error);
    let message = facts.remove("message").unwrap_or_default();
    facts.insert("error".into(), message);
    if let Some(label) = label {
        facts.insert("label".into(), Value::from(label));
    }
    facts
}
