//! A container of a list as it is in the Engine's answer, for those who write it in another form:
//! a list of many hosts then costs no copies of its texts. Pure.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

use super::list::ListItem;
use super::text::{Pairs, Text};
use super::wire::{engine_id, null_to_default, parse, set_time, texts};
use super::{ContainerSummary, Port};

/// An item of `GET /containers/json`. Its fields mean what those of [`ContainerSummary`] do.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerRow<'a> {
    /// Full ID.
    #[serde(borrow, deserialize_with = "engine_id")]
    pub id: Text<'a>,
    /// The first is its own.
    #[serde(borrow, default, deserialize_with = "names")]
    pub names: Vec<Text<'a>>,
    /// Reference or ID of the image.
    #[serde(borrow, default, deserialize_with = "null_to_default")]
    pub image: Text<'a>,
    /// ID of the image.
    #[serde(borrow, default, rename = "ImageID", deserialize_with = "null_to_default")]
    pub image_id: Text<'a>,
    /// Command line.
    #[serde(borrow, default, deserialize_with = "null_to_default")]
    pub command: Text<'a>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "time")]
    pub created: Option<i64>,
    /// Such as `running`.
    #[serde(borrow, default, deserialize_with = "null_to_default")]
    pub state: Text<'a>,
    /// Such as `Up 5 minutes`.
    #[serde(borrow, default, deserialize_with = "null_to_default")]
    pub status: Text<'a>,
    /// Ports.
    #[serde(borrow, default, deserialize_with = "null_to_default")]
    pub ports: Vec<PortRow<'a>>,
    /// Labels, sorted by key.
    #[serde(borrow, default, deserialize_with = "null_to_default")]
    pub labels: Pairs<'a, Text<'a>>,
    /// Names of networks, sorted.
    #[serde(borrow, default, rename = "NetworkSettings", deserialize_with = "networks")]
    pub networks: Vec<Text<'a>>,
    /// Bytes.
    #[serde(default, deserialize_with = "null_to_default")]
    pub size_rw: i64,
    /// Bytes.
    #[serde(default, deserialize_with = "null_to_default")]
    pub size_root_fs: i64,
    /// The Engine's JSON, if requested.
    #[serde(skip)]
    pub json: Option<&'a str>,
}

/// A port of a container of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortRow<'a> {
    /// In the container.
    #[serde(default, rename = "PrivatePort", deserialize_with = "port")]
    pub private: u16,
    /// On the host; 0 if not published.
    #[serde(default, rename = "PublicPort", deserialize_with = "port")]
    pub public: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(borrow, default, rename = "Type", deserialize_with = "null_to_default")]
    pub protocol: Text<'a>,
    /// Address on the host.
    #[serde(borrow, default, rename = "IP", deserialize_with = "null_to_default")]
    pub ip: Text<'a>,
}

impl ContainerSummary {
    /// The container as in an answer.
    pub fn row(&self) -> ContainerRow<'_> {
        ContainerRow {
            id: Text::from(&self.id),
            names: self.names.iter().map(Text::from).collect(),
            image: Text::from(&self.image),
            image_id: Text::from(&self.image_id),
            command: Text::from(&self.command),
            created: self.created,
            state: Text::from(&self.state),
            status: Text::from(&self.status),
            ports: self.ports.iter().map(PortRow::from).collect(),
            labels: Pairs(self.labels.iter().map(|(key, it)| (key.into(), it.into())).collect()),
            networks: self.networks.iter().map(Text::from).collect(),
            size_rw: self.size_rw,
            size_root_fs: self.size_root_fs,
            json: self.json.as_deref(),
        }
    }
}

impl ListItem for ContainerSummary {
    fn read(json: &str) -> serde_json::Result<Self> {
        parse::<ContainerRow<'_>>(json).map(Into::into)
    }

    fn keep_json(&mut self, json: String) {
        self.json = Some(json);
    }

    fn memory(&self) -> usize {
        let own = [&self.id, &self.image, &self.image_id, &self.command, &self.state, &self.status];
        let ports = self.ports.iter().flat_map(|port| [&port.protocol, &port.ip]);
        size_of::<Self>()
            + texts(own)
            + texts(self.names.iter().chain(&self.networks))
            + texts(ports)
            + texts(self.labels.iter().flat_map(|(key, value)| [key, value]))
    }
}

impl From<ContainerRow<'_>> for ContainerSummary {
    fn from(row: ContainerRow<'_>) -> Self {
        Self {
            id: row.id.into(),
            names: row.names.into_iter().map(Into::into).collect(),
            image: row.image.into(),
            image_id: row.image_id.into(),
            command: row.command.into(),
            created: row.created,
            state: row.state.into(),
            status: row.status.into(),
            ports: row.ports.into_iter().map(Into::into).collect(),
            labels: row.labels.0.into_iter().map(|(key, it)| (key.into(), it.into())).collect(),
            networks: row.networks.into_iter().map(Into::into).collect(),
            size_rw: row.size_rw,
            size_root_fs: row.size_root_fs,
            json: row.json.map(str::to_owned),
        }
    }
}

impl<'a> From<&'a Port> for PortRow<'a> {
    fn from(port: &'a Port) -> Self {
        Self {
            private: port.private,
            public: port.public,
            protocol: Text::from(&port.protocol),
            ip: Text::from(&port.ip),
        }
    }
}

impl From<PortRow<'_>> for Port {
    fn from(row: PortRow<'_>) -> Self {
        Self {
            private: row.private,
            public: row.public,
            protocol: row.protocol.into(),
            ip: row.ip.into(),
        }
    }
}

/// The name that is no link comes first: links are "/other/alias".
fn names<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Text<'a>>, D::Error> {
    let names: Vec<Text<'a>> = null_to_default(deserializer)?;
    let bare = |name: Text<'a>| if name.starts_with('/') { name.without_start(1) } else { name };
    let mut names: Vec<_> = names.into_iter().map(bare).collect();
    names.sort_by_key(|name| name.contains('/'));
    Ok(names)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::deserialize(deserializer).map(set_time)
}

/// 0 for what is no port.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    null_to_default::<D, i64>(deserializer).map(|port| u16::try_from(port).unwrap_or(0))
}

fn networks<'de: 'a, 'a, D>(deserializer: D) -> Result<Vec<Text<'a>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase")]
    struct NetworkSettings<'a> {
        #[serde(borrow, default, deserialize_with = "null_to_default")]
        networks: Pairs<'a, IgnoredAny>,
    }
    let settings: NetworkSettings<'a> = null_to_default(deserializer)?;
    Ok(settings.networks.0.into_iter().map(|(name, _)| name).collect())
}
