//! What a container uses, sample by sample as they come.

use std::sync::Arc;

use super::link::{Call, Link, bad_answer};
use crate::domain::ContainerRef;
use crate::engine::lines::{LineDecoder, LineTooLong};
use crate::engine::operation::{LINE_CAP, STREAM_STATS};
use crate::engine::{EngineError, Result, StatsSample, StatsSink};

/// A sample that cannot be read.
struct Invalid(String);

impl From<LineTooLong> for Invalid {
    fn from(error: LineTooLong) -> Self {
        Self(error.to_string())
    }
}

impl From<Invalid> for EngineError {
    fn from(Invalid(problem): Invalid) -> Self {
        bad_answer(&STREAM_STATS, &problem)
    }
}

/// Reads samples until the stream ends, or until nobody reads the sink.
pub(super) async fn read(
    link: &Arc<Link>,
    container: &ContainerRef,
    sink: &StatsSink,
) -> Result<()> {
    let call = Call::new(&STREAM_STATS, &["containers", container.as_str(), "stats"])
        .with("stream", "true");
    link.open(&call, |mut opened| async move {
        let mut lines = LineDecoder::new(LINE_CAP);
        let mut take = |line: &[u8]| {
            let sample = StatsSample::read(line, sink.borrow().as_ref()).map_err(Invalid)?;
            sink.send_replace(Some(sample));
            Ok::<(), Invalid>(())
        };
        loop {
            let chunk = tokio::select! {
                chunk = opened.chunk() => chunk?,
                () = sink.closed() => return Ok(()),
            };
            let Some(chunk) = chunk else {
                lines.finish(&mut take)?;
                return Ok(());
            };
            lines.push(&chunk, &mut take)?;
        }
    })
    .await
}
