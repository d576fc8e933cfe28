//! Cordons of hosts, by name. Called by the inventory alone.

use std::collections::BTreeMap;

use super::{Store, StoreError, from_millis, to_millis};
use crate::domain::{Cordon, CordonReason, HostName};

impl Store {
    /// All cordons, also of hosts that are not in the inventory now.
    pub async fn cordons(&self) -> Result<BTreeMap<HostName, Cordon>, StoreError> {
        let rows: Vec<(String, String, String, i64)> =
            sqlx::query_as("SELECT host, reason, cordoned_by, since FROM host_cordons")
                .fetch_all(self.pool())
                .await
                .map_err(self.failed("read its cordons"))?;
        rows.into_iter()
            .map(|(host, reason, by, since)| {
                let name = HostName::parse(&host)
                    .map_err(|error| StoreError::row("host_cordons", &host, error))?;
                let reason = CordonReason::parse(&reason)
                    .map_err(|error| StoreError::row("host_cordons", &host, error))?;
                Ok((name, Cordon { reason, by, since: from_millis(since) }))
            })
            .collect()
    }

    /// Sets the cordons of several hosts, or with `None` removes them; all or none.
    pub async fn set_cordons(
        &self,
        hosts: &[HostName],
        cordon: Option<&Cordon>,
    ) -> Result<(), StoreError> {
        let failed = self.failed("change cordons of hosts");
        let mut transaction = self.begin().await.map_err(&failed)?;
        for host in hosts {
            let query = match cordon {
                Some(cordon) => sqlx::query(
                    "INSERT OR REPLACE INTO host_cordons (host, reason, cordoned_by, since)
                     VALUES (?, ?, ?, ?)",
                )
                .bind(host.as_str())
                .bind(cordon.reason.as_str())
                .bind(&cordon.by)
                .bind(to_millis(cordon.since)),
                None => sqlx::query("DELETE FROM host_cordons WHERE host = ?").bind(host.as_str()),
            };
            query.execute(&mut *transaction).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        self.checkpoint().await;
        Ok(())
    }
}
