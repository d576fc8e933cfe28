//! Containers in a listing.

use jiff::Timestamp;
use serde_json::{Value, json};
use wharf::v1::{Container, ContainerPort};

use super::{labels, short_id, units};
use crate::report::listing::View;
use crate::table::Column;

impl View for Container {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("CONTAINER ID"),
        Column::new("IMAGE").shrinks(),
        Column::new("CREATED").shrinks(),
        Column::new("STATUS").shrinks(),
        Column::new("PORTS").shrinks(),
        Column::new("COMMAND").wide().shrinks(),
        Column::new("NETWORKS").wide().shrinks(),
        Column::new("SIZE").wide(),
        Column::new("LABELS").wide().shrinks(),
    ];

    const ID: Option<(usize, fn(&Self) -> &str)> = Some((1, |item| &item.id));

    const FIELDS: &'static [&'static str] = &[
        "Names",
        "ID",
        "Image",
        "RunningFor",
        "Status",
        "Ports",
        "Command",
        "Networks",
        "Size",
        "Labels",
        "State",
        "CreatedAt",
        "Label",
    ];

    fn more(&self) -> Vec<Value> {
        let created = units::rfc3339(self.created_at.as_ref());
        vec![self.state.as_str().into(), created.into(), json!(self.labels)]
    }

    fn rows(&self, now: Timestamp) -> Vec<Vec<String>> {
        let size = match (self.size_bytes, self.root_size_bytes) {
            (_, 0) => String::new(),
            (own, all) => {
                format!("{} (virtual {})", units::size(own as f64), units::size(all as f64))
            }
        };
        vec![vec![
            self.name.clone(),
            short_id(&self.id),
            self.image
                .strip_prefix("sha256:")
                .map_or_else(|| self.image.clone(), |_| short_id(&self.image)),
            units::ago(self.created_at.as_ref(), now),
            self.status.clone(),
            ports(&self.ports),
            self.command.clone(),
            self.networks.join(","),
            size,
            labels(&self.labels),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`, sorted by the port in the container.
fn ports(ports: &[ContainerPort]) -> String {
    let mut sorted: Vec<&ContainerPort> = ports.iter().collect();
    sorted.sort_by_key(|port| (port.private_port, &port.protocol, port.public_port, &port.host_ip));
    let text = |port: &&ContainerPort| {
        let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
        match (port.public_port, port.host_ip.as_str()) {
            (0, _) => format!("{}/{protocol}", port.private_port),
            (public, "") => format!("{public}->{}/{protocol}", port.private_port),
            (public, ip) if ip.contains(':') => {
                format!("[{ip}]:{public}->{}/{protocol}", port.private_port)
            }
            (public, ip) => format!("{ip}:{public}->{}/{protocol}", port.private_port),
        }
    };
    let mut texts: Vec<String> = sorted.iter().map(text).collect();
    texts.dedup();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_look_as_docker_shows_them() {
        let port = |private_port, public_port, host_ip: &str| ContainerPort {
            private_port,
            public_port,
            protocol: "tcp".into(),
            host_ip: host_ip.into(),
        };
        let all = [port(443, 0, ""), port(80, 8080, "::"), port(80, 8080, "0.0.0.0")];
        assert_eq!(ports(&all), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp");
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let now = Timestamp::from_second(100).unwrap();
        for row in Container::default().rows(now) {
            assert_eq!(row.len(), Container::COLUMNS.len());
        }
    }
}
