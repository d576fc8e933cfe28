//! Networks and volumes in a listing.

use jiff::Timestamp;
use serde_json::{Value, json};
use wharf::v1::{Network, Volume};

use super::{labels, short_id, units};
use crate::report::listing::View;
use crate::table::Column;

impl View for Network {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME").shrinks(),
        Column::new("NETWORK ID"),
        Column::new("DRIVER"),
        Column::new("SCOPE"),
        Column::new("SUBNETS").wide(),
        Column::new("INTERNAL").wide(),
        Column::new("IPV6").wide(),
        Column::new("LABELS").wide().shrinks(),
    ];

    const ID: Option<(usize, fn(&Self) -> &str)> = Some((1, |item| &item.id));

    const FIELDS: &'static [&'static str] = &[
        "Name",
        "ID",
        "Driver",
        "Scope",
        "Subnets",
        "Internal",
        "IPv6",
        "Labels",
        "CreatedAt",
        "Label",
    ];

    fn more(&self) -> Vec<Value> {
        vec![units::rfc3339(self.created_at.as_ref()).into(), json!(self.labels)]
    }

    fn rows(&self, _now: Timestamp) -> Vec<Vec<String>> {
        let subnets: Vec<&str> = self.pools.iter().map(|pool| pool.subnet.as_str()).collect();
        vec![vec![
            self.name.clone(),
            short_id(&self.id),
            self.driver.clone(),
            self.scope.clone(),
            subnets.join(","),
            self.internal.to_string(),
            self.enable_ipv6.to_string(),
            labels(&self.labels),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl View for Volume {
    const COLUMNS: &'static [Column] = &[
        Column::new("VOLUME NAME"),
        Column::new("DRIVER"),
        Column::new("SCOPE").wide(),
        Column::new("CREATED").wide(),
        Column::new("MOUNTPOINT").wide(),
        Column::new("LABELS").wide(),
    ];

    const ID: Option<(usize, fn(&Self) -> &str)> = Some((0, |item| &item.name));

    const FIELDS: &'static [&'static str] =
        &["Name", "Driver", "Scope", "CreatedSince", "Mountpoint", "Labels", "CreatedAt", "Label"];

    fn more(&self) -> Vec<Value> {
        vec![units::rfc3339(self.created_at.as_ref()).into(), json!(self.labels)]
    }

    fn rows(&self, now: Timestamp) -> Vec<Vec<String>> {
        vec![vec![
            self.name.clone(),
            self.driver.clone(),
            self.scope.clone(),
            units::ago(self.created_at.as_ref(), now),
            self.mountpoint.clone(),
            labels(&self.labels),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

#[cfg(test)]
mod tests {
    use wharf::v1::NetworkPool;

    use super::*;

    #[test]
    fn a_network_has_its_subnets_in_a_cell() {
        let pool = |subnet: &str| NetworkPool { subnet: subnet.into(), ..Default::default() };
        let network = Network {
            id: "0123456789abcdef".into(),
            name: "front".into(),
            driver: "bridge".into(),
            scope: "local".into(),
            pools: vec![pool("10.1.0.0/16"), pool("fd00::/64")],
            ..Default::default()
        };
        let rows = network.rows(Timestamp::UNIX_EPOCH);
        assert_eq!(
            rows[0][..5],
            ["front", "0123456789ab", "bridge", "local", "10.1.0.0/16,fd00::/64"]
        );
        assert_eq!(rows[0].len(), Network::COLUMNS.len());
        assert_eq!(Network::FIELDS.len(), Network::COLUMNS.len() + network.more().len());
    }

    #[test]
    fn a_volume_is_its_name() {
        let volume = Volume { name: "0a".repeat(32), ..Default::default() };
        let rows = volume.rows(Timestamp::UNIX_EPOCH);
        assert_eq!((&rows[0][0], rows[0].len()), (&volume.name, Volume::COLUMNS.len()));
        assert_eq!(Volume::FIELDS.len(), Volume::COLUMNS.len() + volume.more().len());
    }
}
