//! What makes two requests the same.

use convoke_api::spawn::{JobRequest, SpawnRequest};
use convoke_store::IdempotencyKey;
use sha2::{Digest, Sha256};

/// The key of one job of a request: the caller's own, else the name of the
/// call, which a client repeats when it lost the answer.
#[must_use]
pub fn key_of(request: &SpawnRequest, job: &JobRequest, index: usize) -> Option<IdempotencyKey> {
    let (key, explicit) = match (&request.idempotency_key, &request.caller.call) {
        (Some(key), _) => (format!("key:{key}:{index}"), true),
        (None, Some(call)) => (format!("call:{call}:{index}"), false),
        (None, None) => return None,
    };
    Some(IdempotencyKey {
        key,
        arguments_hash: hash_of(request, job),
        explicit,
    })
}

fn hash_of(request: &SpawnRequest, job: &JobRequest) -> String {
    // Variables set by the call are arguments; those of the requester are not.
    let arguments = serde_json::json!({"job": job, "folder": request.caller.folder});
    let digest = Sha256::digest(arguments.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
