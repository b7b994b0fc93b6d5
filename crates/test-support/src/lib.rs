//! Scripted agent, hermetic test environments and waits.

pub mod census;
pub mod codex;
pub mod environment;
pub mod files;
pub mod mcp_client;
pub mod scripted_agent;
pub mod wait;
