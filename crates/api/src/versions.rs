//! The versions that a file went through while jobs wrote in its working tree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::changes::Gap;

/// Query of `GET /v1/versions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VersionsQuery {
    /// The file, absolute. It need not be there any more.
    pub path: String,
    /// Answer the content of this version too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// Answer to `GET /v1/versions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileVersions {
    /// Top of the working tree.
    pub top: String,
    /// The file, relative to the top.
    pub path: String,
    /// The oldest first.
    pub versions: Vec<FileVersion>,
    /// Spans of time over which the record is not complete.
    pub gaps: Vec<Gap>,
    /// Content of the version that was asked for, in base64 (RFC 4648, section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
}

/// One version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileVersion {
    /// Its name; none where the file is gone. The same content has the same name.
    pub version_id: Option<String>,
    /// When it came to be, RFC 3339; none if that is not known.
    pub at: Option<String>,
    /// The jobs of which one made it; nobody known if there are none.
    pub job_ids: Vec<String>,
    /// Versions between the one before and this one that stood too briefly to be kept.
    pub passed: u32,
}
