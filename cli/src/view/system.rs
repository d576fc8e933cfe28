//! Versions, information, and disk usage of Engines.

use jiff::Timestamp;
use wharf::v1::{DiskUsage, EngineInfo, EngineVersion, RegistryLogin};

use super::units;
use crate::report::listing::View;
use crate::table::Column;

impl View for EngineVersion {
    const COLUMNS: &'static [Column] = &[
        Column::new("ENGINE"),
        Column::new("API"),
        Column::new("API RANGE"),
        Column::new("PLATFORM"),
        Column::new("KERNEL").shrinks(),
    ];

    fn rows(&self, _now: Timestamp) -> Vec<Vec<String>> {
        vec![vec![
            self.version.clone(),
            self.api_version.clone(),
            format!("{}-{}", self.min_api_version, self.max_api_version),
            format!("{}/{}", self.os, self.arch),
            self.kernel.clone(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.version.clone()]
    }
}

impl View for EngineInfo {
    const COLUMNS: &'static [Column] = &[
        Column::new("HOSTNAME"),
        Column::new("ENGINE"),
        Column::new("RUNNING").number(),
        Column::new("PAUSED").number(),
        Column::new("STOPPED").number(),
        Column::new("IMAGES").number(),
        Column::new("CPUS").number(),
        Column::new("MEMORY").number(),
        Column::new("OS").shrinks(),
        Column::new("ARCH").wide(),
        Column::new("STORAGE").wide(),
        Column::new("ENGINE ID").wide(),
        Column::new("WARNINGS").wide().shrinks(),
    ];

    fn rows(&self, _now: Timestamp) -> Vec<Vec<String>> {
        vec![vec![
            self.hostname.clone(),
            self.engine_version.clone(),
            self.containers_running.to_string(),
            self.containers_paused.to_string(),
            self.containers_stopped.to_string(),
            self.images.to_string(),
            self.cpus.to_string(),
            units::size(self.memory_bytes as f64),
            self.operating_system.clone(),
            self.architecture.clone(),
            self.storage_driver.clone(),
            self.engine_id.clone(),
            self.warnings.join("; "),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.hostname.clone()]
    }
}

impl View for DiskUsage {
    /// In docker's order.
    const SORTED: bool = false;

    const COLUMNS: &'static [Column] = &[
        Column::new("TYPE"),
        Column::new("TOTAL").number(),
        Column::new("ACTIVE").number(),
        Column::new("SIZE").number(),
        Column::new("RECLAIMABLE").number(),
    ];

    fn rows(&self, _now: Timestamp) -> Vec<Vec<String>> {
        let kinds = [
            ("Images", &self.images),
            ("Containers", &self.containers),
            ("Local Volumes", &self.volumes),
            ("Build Cache", &self.build_cache),
        ];
        let row = |(kind, entry): (&str, &Option<wharf::v1::DiskUsageEntry>)| {
            let entry = entry.unwrap_or_default();
            vec![
                kind.to_owned(),
                entry.total.to_string(),
                entry.active.to_string(),
                units::size(entry.size_bytes as f64),
                units::size(entry.reclaimable_bytes as f64),
            ]
        };
        kinds.into_iter().map(row).collect()
    }

    fn names(&self) -> Vec<String> {
        ["images", "containers", "volumes", "build-cache"].map(str::to_owned).to_vec()
    }
}

/// Columns of `registry ls`.
pub const LOGIN_COLUMNS: &[Column] =
    &[Column::new("REGISTRY"), Column::new("USER"), Column::new("UPDATED")];

/// A row of `registry ls`.
pub fn login_row(login: &RegistryLogin, now: Timestamp) -> Vec<String> {
    let user = if login.username.is_empty() { "(token)" } else { &login.username };
    vec![login.registry.clone(), user.to_owned(), units::ago(login.updated_at.as_ref(), now)]
}
