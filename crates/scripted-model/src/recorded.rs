//! The requests a server got, for assertions.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One request, in the order of arrival.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query, for example `/v1/responses`.
    pub path: String,
    /// The headers, names in lower case. Codex sends `thread-id`, `session-id`, `originator`, `user-agent` and, with a key, `authorization`.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; null when there is none.
    pub body: Value,
    /// When its body had been read.
    pub at: Instant,
}

impl RecordedRequest {
    /// The Codex thread it belongs to: the `thread-id` header, else the body's `prompt_cache_key`.
    pub fn thread_id(&self) -> Option<&str> {
        self.headers
            .get("thread-id")
            .map(String::as_str)
            .or_else(|| self.body["prompt_cache_key"].as_str())
    }

    /// The texts of all messages with this role (`user`, `developer`, `assistant`), in order.
    pub fn messages(&self, role: &str) -> Vec<&str> {
        let items = self.body["input"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let of_role = items
            .iter()
            .filter(|item| item["type"] == "message" && item["role"] == role);
        of_role
            .flat_map(|item| item["content"].as_array().into_iter().flatten())
            .filter_map(|part| part["text"].as_str())
            .collect()
    }

    /// The raw `output` values of all function calls, in order.
    pub fn tool_outputs(&self) -> Vec<&Value> {
        let items = self.body["input"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        items
            .iter()
            .filter(|item| item["type"] == "function_call_output")
            .map(|item| &item["output"])
            .collect()
    }

    /// The names of the offered tools: a function or namespace by its name, any other tool by its type.
    pub fn tool_names(&self) -> Vec<&str> {
        let tools = self.body["tools"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        tools
            .iter()
            .filter_map(|tool| tool["name"].as_str().or_else(|| tool["type"].as_str()))
            .collect()
    }
}

/// The awaited requests did not come.
#[derive(Debug, thiserror::Error)]
#[error(
    "waited {waited:?} for requests to the scripted model; {count} came, the last one for {last}"
)]
pub struct WaitTimedOut {
    /// How long was waited.
    pub waited: Duration,
    /// How many requests there are.
    pub count: usize,
    /// Path of the last request, or `nothing`.
    pub last: String,
}

/// The growing list.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    requests: Mutex<Vec<RecordedRequest>>,
    arrived: Condvar,
}

impl Recorder {
    /// Adds a request and wakes those who wait.
    pub(crate) fn push(&self, request: RecordedRequest) {
        self.lock().push(request);
        self.arrived.notify_all();
    }

    /// A copy of all requests.
    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.lock().clone()
    }

    /// Waits until the requests meet a condition and returns them.
    pub(crate) fn wait_for(
        &self,
        timeout: Duration,
        mut is_met: impl FnMut(&[RecordedRequest]) -> bool,
    ) -> Result<Vec<RecordedRequest>, WaitTimedOut> {
        let (requests, result) = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, |requests| !is_met(requests))
            .unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            let last = requests
                .last()
                .map_or("nothing", |request| request.path.as_str())
                .to_owned();
            return Err(WaitTimedOut {
                waited: timeout,
                count: requests.len(),
                last,
            });
        }
        Ok(requests.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RecordedRequest>> {
        // A list that only grows by whole entries is fine after a panic elsewhere.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
