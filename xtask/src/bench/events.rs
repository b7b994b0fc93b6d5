//! A job with very many events: memory of the daemon, and reading any page.

use std::time::Instant;

use convoke_api::events::EventsQuery;
use convoke_client::Client;

use super::{Figure, stats, world::World};
use crate::error::Error;

const EVENTS: usize = 1_000_000;
const PAGES: usize = 200;

/// Turns a number into an event of Codex with a message.
const MESSAGE: &str = r#"s/.*/{"type":"item.completed","item":{"id":"item_&","type":"agent_message","text":"message &"}}/"#;

/// Writes the events, then reads pages from all over the file.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let count = world.scaled(EVENTS);
    let mut fresh = World::new(world.fdatasync_ms, world.quick)?;
    fresh.use_agent(&format!("seq {count} | sed '{MESSAGE}'"))?;
    let world = &fresh;
    let job = world.environment.ok(&["spawn", "--output-limit", "0", "x"]);
    let start = Instant::now();
    World::wait_until(|| world.environment.state(&job) == "completed");
    let took = stats::ms_since(start);
    let daemon = world.environment.daemon_pid().unwrap_or(0);
    let peak = World::resident_mib(daemon);
    let client = Client::new(world.environment.state_home(), None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let times = runtime.block_on(read_pages(&client, &job))?;
    Ok(vec![
        Figure::new(&format!("{count} events: from start to end"), took, "ms", 1),
        Figure::new(
            &format!("{count} events: daemon (RSS)"),
            peak.max(World::resident_mib(daemon)),
            "MiB",
            1,
        )
        .reach(60.0),
        Figure::new(
            "page of 200 anywhere, p50",
            stats::median(&times),
            "ms",
            times.len(),
        )
        .reach(5.0),
        Figure::new(
            "page of 200 anywhere, worst",
            stats::percentile(&times, 1.0),
            "ms",
            times.len(),
        )
        .reach(5.0),
    ])
}

async fn read_pages(client: &Client, job: &str) -> Result<Vec<f64>, Error> {
    let page = |cursor: String, max: u32| {
        let query = EventsQuery {
            cursor: Some(cursor),
            max_events: Some(max),
            max_bytes: Some(64 * 1024 * 1024),
            ..EventsQuery::default()
        };
        async move {
            client
                .events(job, &query)
                .await
                .map_err(|error| Error::Unexpected {
                    what: error.to_api_error().message,
                    hint: None,
                })
        }
    };
    let mut cursors = vec!["0".to_owned()];
    loop {
        let last = cursors.last().cloned().unwrap_or_default();
        let read = page(last, 2_000).await?;
        if read.done || read.events.is_empty() {
            break;
        }
        cursors.push(read.next_cursor);
    }
    let mut times = Vec::new();
    for index in 0..PAGES {
        // A fixed stride visits the file all over, not in order.
        let cursor = cursors[(index * 7919) % cursors.len()].clone();
        let start = Instant::now();
        page(cursor, 200).await?;
        times.push(stats::ms_since(start));
    }
    Ok(times)
}
