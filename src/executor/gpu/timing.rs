//! Times each dispatch of a plan on the device.

use std::{fmt, time::Duration};

use super::{
    connection::Connection,
    session::{Dispatch, Session},
};
use crate::{Error, Result, executor::gpu::plan::Plan, tensor::Tensor};

/// Clocks that time dispatches, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// Timestamps between the dispatches of one pass: the network runs as usual.
    InsidePasses,
    /// Timestamps around passes of one dispatch each, which take a little time between them.
    Passes,
    /// The host's clock around submissions of one dispatch each; includes submitting and waiting.
    Host,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Clock::InsidePasses => "timestamps between the dispatches of one pass",
            Clock::Passes => "timestamps around passes of one dispatch each (the device has none inside passes)",
            Clock::Host => "the host's clock around submissions of one dispatch each (the device has no timestamps)",
        })
    }
}

impl Clock {
    /// The best clock for a device with these features.
    pub(super) fn best(features: wgpu::Features) -> Self {
        [Clock::InsidePasses, Clock::Passes]
            .into_iter()
            .find(|clock| features.contains(clock.feature()))
            .unwrap_or(Clock::Host)
    }

    fn feature(self) -> wgpu::Features {
        match self {
            Clock::InsidePasses => wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES,
            Clock::Passes => wgpu::Features::TIMESTAMP_QUERY,
            Clock::Host => wgpu::Features::empty(),
        }
    }
}

/// A plan on a device, ready to be run and timed repeatedly.
#[derive(Debug)]
pub struct Stopwatch(pub(super) Session);

impl Stopwatch {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Runs the plan. Returns the wanted values for a normalised `input`; an element that no kernel has written is NaN.
    ///
    /// # Errors
    /// The device's (`gpu.*`).
    pub async fn run(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.0.attempt(input.into()).await
    }

    /// Runs every dispatch again, on the values that the last run left, and returns the time of each by `clock`. Real values
    /// matter: some kernels take another time on zeros or denormal numbers.
    ///
    /// # Errors
    /// As [`Stopwatch::run`]; [`Error::GpuFeature`] if the device does not have the clock, [`Error::GpuLimits`] if there are more
    /// dispatches than it can time.
    pub async fn times(&self, clock: Clock) -> Result<Vec<Duration>> {
        let Session { connection, dispatches, .. } = &self.0;
        let device = || connection.caps.device.clone();
        if !connection.device.features().contains(clock.feature()) {
            return Err(Error::GpuFeature { device: device(), feature: "timestamp queries of that kind".into() });
        }
        if clock == Clock::Host {
            let mut times = Vec::with_capacity(dispatches.len());
            for dispatch in dispatches {
                times.push(host_time(connection, dispatch).await?);
            }
            return Ok(times);
        }
        let stamps = match clock {
            Clock::InsidePasses => dispatches.len() + 1,
            Clock::Passes | Clock::Host => 2 * dispatches.len(),
        };
        if stamps > wgpu::QUERY_SET_MAX_QUERIES as usize {
            return Err(Error::GpuLimits {
                device: device(),
                what: "timestamps of a profile".into(),
                needed: stamps as u64,
                limit: wgpu::QUERY_SET_MAX_QUERIES.into(),
            });
        }
        let descriptor = wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: stamps as u32,
        };
        let set = connection.guarded("timestamps", || connection.device.create_query_set(&descriptor)).await?;
        let ticks = read(connection, &set, stamps, |encoder| match clock {
            Clock::InsidePasses => {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                for (stamp, dispatch) in (0..).zip(dispatches) {
                    pass.write_timestamp(&set, stamp);
                    dispatch.record(connection, &mut pass);
                }
                pass.write_timestamp(&set, dispatches.len() as u32);
            }
            Clock::Passes | Clock::Host => {
                for (i, dispatch) in (0..).zip(dispatches) {
                    let writes = wgpu::ComputePassTimestampWrites {
                        query_set: &set,
                        beginning_of_pass_write_index: Some(2 * i),
                        end_of_pass_write_index: Some(2 * i + 1),
                    };
                    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
                    dispatch.record(connection, &mut encoder.begin_compute_pass(&descriptor));
                }
            }
        })
        .await?;
        let period = f64::from(connection.queue.get_timestamp_period());
        let time = |first: u64, last: u64| Duration::from_nanos((last.saturating_sub(first) as f64 * period) as u64);
        Ok(match clock {
            Clock::InsidePasses => ticks.windows(2).map(|pair| time(pair[0], pair[1])).collect(),
            Clock::Passes | Clock::Host => ticks.chunks_exact(2).map(|pair| time(pair[0], pair[1])).collect(),
        })
    }
}

/// Submits the commands that `record` records, and reads the `stamps` timestamps that they write to `set`.
async fn read(
    connection: &Connection,
    set: &wgpu::QuerySet,
    stamps: usize,
    record: impl FnOnce(&mut wgpu::CommandEncoder),
) -> Result<Vec<u64>> {
    let size = stamps as u64 * u64::from(wgpu::QUERY_SIZE);
    let buffer = |usage| connection.buffer("timestamps", size, usage);
    let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC).await?;
    let host = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST).await?;
    let record = |encoder: &mut wgpu::CommandEncoder| {
        record(encoder);
        encoder.resolve_query_set(set, 0..stamps as u32, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &host, 0, host.size());
    };
    let submission = connection.submit("timestamps", record).await?;
    connection.map(&host, wgpu::MapMode::Read, Some(submission.index)).await?;
    let view = host.get_mapped_range(..).map_err(|error| connection.lose(error))?;
    Ok(bytemuck::pod_collect_to_vec(&view))
}

async fn host_time(connection: &Connection, dispatch: &Dispatch) -> Result<Duration> {
    let began = connection.host.now();
    let record = |encoder: &mut wgpu::CommandEncoder| {
        dispatch.record(connection, &mut encoder.begin_compute_pass(&Default::default()));
    };
    let submission = connection.submit("timing", record).await?;
    connection.wait(Some(submission.index)).await?;
    Ok(connection.host.now().saturating_sub(began))
}
