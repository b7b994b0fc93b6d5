//! The program as its users meet it: real processes, a daemon of its own for
//! every test.

mod agent_deaths;
mod bad_input;
mod bad_state;
mod basics;
mod caps;
mod checks;
mod clock_jumps;
mod codex_world;
mod command_jobs;
mod daemon;
mod damage;
mod deaths;
mod disk;
mod earlier_state;
mod kills;
mod limits;
mod mcp_deaths;
mod mcp_tools;
mod pages;
mod power_cli;
mod real_codex_coordinator;
mod real_codex_failures;
mod real_codex_leftovers;
mod real_codex_power;
mod real_codex_recursion;
mod real_codex_retries;
mod real_codex_stops;
mod real_codex_tools;
mod retention;
mod secrets;
mod stops;
mod usage;
mod users;
mod world;
