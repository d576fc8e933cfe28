//! Calls whose payloads are not decoded: two hundred callers share the processors with the server, and
//! what they do with the containers is not what the soak is about. Outcomes and summaries are decoded.

use anyhow::{Context, ensure};
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use wharf::v1;
use wharf::v1::list_containers_response::Event;

use super::client::{everywhere, list};
use super::record::Work;

/// The field of `ListContainersResponse` with the containers.
const BATCH: u64 = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Raw;

/// Lists all containers from the views, and checks the end of the list.
pub async fn list_from_views(channel: Channel) -> anyhow::Result<()> {
    let request = list(Work::ListView, None);
    let mut messages = call(channel, "ListContainers", &request).await?;
    let (mut hosts, mut batches) = (0, 0);
    while let Some(message) = messages.message().await? {
        if field(&message) == Some(BATCH) {
            batches += 1;
            continue;
        }
        match v1::ListContainersResponse::decode(message)?.event.context("an event")? {
            Event::Started(started) => hosts = started.hosts.len(),
            Event::Outcome(outcome) => {
                let status = outcome.status.unwrap_or_default();
                ensure!(status.code == 0, "a host failed: {}", status.message);
            }
            Event::Summary(summary) => {
                ensure!(summary.succeeded as usize == hosts, "{summary:?} of {hosts} hosts");
                ensure!(batches >= hosts, "containers of {batches} of {hosts} hosts");
                return Ok(());
            }
            _ => {}
        }
    }
    anyhow::bail!("the stream ended before its summary")
}

/// Watches all containers.
pub async fn watch(channel: Channel) -> Result<Streaming<Bytes>, Status> {
    let request =
        v1::WatchContainersRequest { targets: Some(everywhere()), all: true, ..Default::default() };
    call(channel, "WatchContainers", &request).await
}

async fn call(
    channel: Channel,
    method: &'static str,
    request: &impl Message,
) -> Result<Streaming<Bytes>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = format!("/wharf.v1.ContainerService/{method}");
    let path = path.parse().map_err(|_| Status::internal("no path"))?;
    let request = Request::new(Bytes::from(request.encode_to_vec()));
    Ok(client.server_streaming(request, path, Raw).await?.into_inner())
}

/// The number of the field behind the name of the host: that of the event.
fn field(message: &Bytes) -> Option<u64> {
    let mut rest = message.clone();
    loop {
        let key = varint(&mut rest)?;
        let (number, kind) = (key >> 3, key & 7);
        if number != 1 || kind != 2 {
            return Some(number);
        }
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        rest = rest.get(length..).map(|_| rest.slice(length..))?;
    }
}

fn varint(bytes: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.has_remaining().then(|| bytes.get_u8())?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
