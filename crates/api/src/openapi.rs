//! The OpenAPI document, generated from the wire types.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    changes, control, daemon, delegate, doctor, error, events, gc, job, paths, result, spawn,
    versions,
};

/// The OpenAPI 3.1 description of version 1.
#[must_use]
pub fn document() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let mut builder = Builder {
        generator: settings.into_generator(),
        paths: Map::new(),
    };
    builder.post::<spawn::SpawnRequest, spawn::SpawnResponse>(paths::JOBS, "Start jobs");
    builder.get::<job::JobsQuery, job::JobsPage>(paths::JOBS, "List jobs, newest first");
    builder.post::<control::WaitRequest, control::WaitResponse>(
        paths::WAIT,
        "Wait for the first of some jobs to end",
    );
    builder.get::<(), job::JobView>(paths::JOB, "One job");
    builder.get::<events::EventsQuery, events::EventsPage>(
        paths::JOB_EVENTS,
        "A page of a job's events",
    );
    builder.stream::<events::EventsQuery, events::EventView>(
        paths::JOB_EVENT_STREAM,
        "A job's events as they come",
    );
    builder.get::<result::ResultQuery, result::JobResult>(paths::JOB_RESULT, "What came of a job");
    builder.get::<changes::ChangesQuery, changes::JobChanges>(
        paths::JOB_CHANGES,
        "What a job changed in its working tree",
    );
    builder.get::<changes::ConflictsQuery, changes::Conflicts>(
        paths::CONFLICTS,
        "Paths that several jobs changed while they were at work together",
    );
    builder.get::<versions::VersionsQuery, versions::FileVersions>(
        paths::VERSIONS,
        "The versions that a file went through while jobs wrote in its working tree",
    );
    builder.post::<changes::ReconcileRequest, changes::ReconcileResponse>(
        paths::RECONCILE,
        "Start a job that brings together what several jobs did to the same files",
    );
    builder.post::<changes::RollbackRequest, changes::RollbackResponse>(
        paths::ROLLBACK,
        "Take back what a job changed, or what jobs changed since a state",
    );
    builder.post::<changes::ApplyRequest, changes::ApplyResponse>(
        paths::JOB_APPLY,
        "Bring what a job did in a working tree of its own into the caller's, all or nothing",
    );
    builder.post::<changes::DiscardRequest, changes::DiscardResponse>(
        paths::JOB_DISCARD,
        "Drop what a job did in a working tree of its own",
    );
    builder
        .post::<control::CancelRequest, control::CancelResponse>(paths::JOB_CANCEL, "Stop a job");
    builder.post::<(), control::ReleaseResponse>(
        paths::JOB_RELEASE,
        "Let go of what is left of a job that is over",
    );
    builder.post::<control::InterruptRequest, control::InterruptResponse>(
        paths::JOB_INTERRUPT,
        "Stop a job and go on in its conversation with another prompt",
    );
    builder.post::<delegate::StartRunRequest, delegate::RunView>(
        paths::RUNS,
        "Delegate work to one agent, with everything about it kept in a folder",
    );
    builder.get::<delegate::RunsQuery, delegate::RunsPage>(
        paths::RUNS,
        "List delegated runs, newest first",
    );
    builder.get::<delegate::RunQuery, delegate::RunView>(
        paths::RUN,
        "One delegated run, by its name; its answer once it is over",
    );
    builder.post::<(), delegate::CancelRunResponse>(paths::RUN_CANCEL, "Stop a delegated run");
    builder.post::<(), ()>(
        paths::RUN_DELIVERED,
        "Tell that the answer of a delegated run reached whoever asked",
    );
    builder.stream::<(), events::LifecycleView>(
        paths::EVENTS,
        "All lifecycle events as they come; resumes after Last-Event-ID",
    );
    builder.get::<result::SessionsQuery, result::SessionsPage>(
        paths::SESSIONS,
        "Conversations of the synchronous tool",
    );
    builder.get::<(), daemon::DaemonView>(paths::DAEMON, "The daemon");
    builder.post::<gc::GcRequest, gc::GcResponse>(paths::GC, "Forget ended jobs");
    builder.post::<daemon::StopRequest, ()>(paths::DAEMON_STOP, "Stop the daemon");
    builder.get::<(), daemon::ConfigView>(paths::CONFIG, "Settings with their origins");
    builder.post::<doctor::DoctorRequest, doctor::DoctorReport>(
        paths::DOCTOR,
        "Check the installation",
    );
    builder.finish()
}

struct Builder {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Builder {
    fn get<Q: JsonSchema, A: JsonSchema>(&mut self, path: &str, summary: &str) {
        let parameters = self.parameters::<Q>(path);
        let answer = self.answer::<A>("application/json");
        self.add(
            path,
            "get",
            json!({"summary": summary, "parameters": parameters, "responses": answer}),
        );
    }

    fn stream<Q: JsonSchema, A: JsonSchema>(&mut self, path: &str, summary: &str) {
        let parameters = self.parameters::<Q>(path);
        let answer = self.answer::<A>("text/event-stream");
        self.add(
            path,
            "get",
            json!({"summary": summary, "parameters": parameters, "responses": answer}),
        );
    }

    fn post<B: JsonSchema, A: JsonSchema>(&mut self, path: &str, summary: &str) {
        let body = self.generator.subschema_for::<B>();
        let parameters = self.parameters::<()>(path);
        let answer = self.answer::<A>("application/json");
        let operation = json!({
            "summary": summary,
            "parameters": parameters,
            "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
            "responses": answer,
        });
        self.add(path, "post", operation);
    }

    fn parameters<Q: JsonSchema>(&mut self, path: &str) -> Vec<Value> {
        let mut parameters = Vec::new();
        if path.contains("{job}") {
            parameters.push(json!({"name": "job", "in": "path", "required": true, "schema": {"type": "string"}}));
        }
        let schema = Q::json_schema(&mut self.generator);
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, schema) in properties {
                let mut schema = schema.clone();
                let description = schema.as_object_mut().and_then(|s| s.remove("description"));
                parameters.push(json!({"name": name, "in": "query", "description": description, "schema": schema}));
            }
        }
        parameters
    }

    fn answer<A: JsonSchema>(&mut self, media_type: &str) -> Value {
        let answer = self.generator.subschema_for::<A>();
        let error = self.generator.subschema_for::<error::ApiError>();
        json!({
            "200": {"description": "Done", "content": {media_type: {"schema": answer}}},
            "default": {"description": "Refused", "content": {"application/json": {"schema": error}}},
        })
    }

    fn add(&mut self, path: &str, method: &str, operation: Value) {
        let entry = self.paths.entry(path).or_insert_with(|| json!({}));
        entry[method] = operation;
    }

    fn finish(mut self) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "convoke",
                "version": crate::API_VERSION.to_string(),
                "description": "HTTP/1.1 and JSON over the unix socket named in daemon.json of the state home.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": self.paths,
            "components": {"schemas": self.generator.take_definitions(true)},
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_path_is_described() {
        let document = super::document();
        let paths = document["paths"].as_object().expect("paths");
        assert_eq!(paths.len(), 27);
        assert!(document["components"]["schemas"]["JobView"].is_object());
    }
}
