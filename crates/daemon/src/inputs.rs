//! What reads bytes from outside and can be called without a daemon, for the
//! fuzz targets. No part of what this package offers.

pub use crate::{
    config::{parse_bytes, parse_duration_ms},
    event_pages::Request as EventsRequest,
    executor::projection::{Fact, Projection, State},
};
