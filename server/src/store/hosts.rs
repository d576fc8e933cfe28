//! Hosts that were added over the API. Called by the inventory alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, from_millis, to_millis};
use crate::domain::{
    HostAddress, HostName, HostSource, LabelKey, LabelValue, Labels, Secret, TlsMaterial, Transport,
};

/// A host in the store: a certificate group is a name here, because its material belongs to the
/// configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHost {
    /// Its name.
    pub name: HostName,
    /// `Api` or `Local`.
    pub source: HostSource,
    /// The address of its Engine.
    pub address: HostAddress,
    /// Its labels.
    pub labels: Labels,
    /// How its connection is secured.
    pub tls: StoredTls,
    /// Whether plain TCP to another machine was accepted.
    pub insecure: bool,
    /// When it was added, in milliseconds.
    pub created_at: SystemTime,
}

/// How the connection of a stored host is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredTls {
    /// Not at all.
    Plain,
    /// By a group of the configuration file.
    Group(String),
    /// By the host's own certificates.
    Own(Arc<TlsMaterial>),
}

impl Store {
    /// All hosts, sorted by name.
    pub async fn hosts(&self) -> Result<Vec<StoredHost>, StoreError> {
        let failed = self.failed("read its hosts");
        // One transaction, so that the two readings are of the same moment.
        let mut transaction = self.pool().begin().await.map_err(&failed)?;
        let mut labels: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT host, key, value FROM host_labels")
                .fetch_all(&mut *transaction)
                .await
                .map_err(&failed)?;
        for (host, key, value) in rows {
            labels.entry(host).or_default().push((key, value));
        }
        let rows = sqlx::query(
            "SELECT name, source, address, tls_group, insecure, created_at,
                    ca_pem, certificate_pem, sealed
             FROM hosts LEFT JOIN host_tls ON host_tls.host = hosts.name
             ORDER BY name",
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get("name").map_err(&failed)?;
                self.host(row, labels.remove(&name).unwrap_or_default(), &name)
            })
            .collect()
    }

    /// Adds a host; `HostTaken` if its name already exists.
    pub async fn insert_host(&self, host: &StoredHost) -> Result<(), StoreError> {
        let failed = self.failed("add a host");
        let group = match &host.tls {
            StoredTls::Group(group) => Some(group),
            _ => None,
        };
        let mut transaction = self.begin().await.map_err(&failed)?;
        let inserted = sqlx::query(
            "INSERT INTO hosts (name, source, address, tls_group, insecure, created_at)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(host.name.as_str())
        .bind(if host.source == HostSource::Local { "local" } else { "api" })
        .bind(host.address.to_string())
        .bind(group)
        .bind(host.insecure)
        .bind(to_millis(host.created_at))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::HostTaken(host.name.clone()));
        }
        if let StoredTls::Own(material) = &host.tls {
            let sealed = material
                .private_key_pem()
                .map(|key| self.sealer().seal("host_tls", host.name.as_str(), key))
                .transpose()?;
            sqlx::query(
                "INSERT INTO host_tls (host, ca_pem, certificate_pem, sealed) VALUES (?, ?, ?, ?)",
            )
            .bind(host.name.as_str())
            .bind(material.ca_pem())
            .bind(material.certificate_pem())
            .bind(sealed)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        }
        write_labels(&mut transaction, &host.name, &host.labels).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        self.checkpoint().await;
        Ok(())
    }

    /// Replaces the labels of several hosts, all or none. Names that are not there are left out.
    pub async fn set_host_labels(
        &self,
        labels: &BTreeMap<HostName, Labels>,
    ) -> Result<(), StoreError> {
        let failed = self.failed("change labels of hosts");
        let mut transaction = self.begin().await.map_err(&failed)?;
        for (name, labels) in labels {
            sqlx::query("DELETE FROM host_labels WHERE host = ?")
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
            write_labels(&mut transaction, name, labels).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        self.checkpoint().await;
        Ok(())
    }

    /// Removes a host with all its data; false if it does not exist.
    pub async fn remove_host(&self, name: &HostName) -> Result<bool, StoreError> {
        let failed = self.failed("remove a host");
        let mut transaction = self.begin().await.map_err(&failed)?;
        let removed = sqlx::query("DELETE FROM hosts WHERE name = ?")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        // A host that gets this name later is another one.
        sqlx::query("DELETE FROM host_cordons WHERE host = ?")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        self.checkpoint().await;
        Ok(removed.rows_affected() > 0)
    }

    fn host(
        &self,
        row: &SqliteRow,
        labels: Vec<(String, String)>,
        name: &str,
    ) -> Result<StoredHost, StoreError> {
        let failed = self.failed("read its hosts");
        let group: Option<String> = row.try_get("tls_group").map_err(&failed)?;
        let ca_pem: Option<String> = row.try_get("ca_pem").map_err(&failed)?;
        let certificate: Option<String> = row.try_get("certificate_pem").map_err(&failed)?;
        let sealed: Option<Vec<u8>> = row.try_get("sealed").map_err(&failed)?;
        let source: String = row.try_get("source").map_err(&failed)?;
        let address: String = row.try_get("address").map_err(&failed)?;
        let tls = match (group, ca_pem) {
            (Some(group), _) => StoredTls::Group(group),
            (None, None) => StoredTls::Plain,
            (None, Some(ca)) => {
                let key = match sealed {
                    Some(sealed) => self.sealer().open("host_tls", name, &sealed)?,
                    None => Secret::new(""),
                };
                let material = TlsMaterial::new(ca, certificate.unwrap_or_default(), key)
                    .map_err(|error| StoreError::row("host_tls", name, error))?;
                StoredTls::Own(Arc::new(material))
            }
        };
        // Every stored address has its port, so the transport has no effect here.
        let address = HostAddress::parse(&address, Transport::Plain)
            .map_err(|error| StoreError::row("hosts", name, error))?;
        Ok(StoredHost {
            name: HostName::parse(name).map_err(|error| StoreError::row("hosts", name, error))?,
            source: if source == "local" { HostSource::Local } else { HostSource::Api },
            address,
            labels: Labels::from_pairs(labels)
                .map_err(|error| StoreError::row("host_labels", name, error))?,
            tls,
            insecure: row.try_get("insecure").map_err(&failed)?,
            created_at: from_millis(row.try_get("created_at").map_err(&failed)?),
        })
    }
}

async fn write_labels(
    connection: &mut sqlx::SqliteConnection,
    host: &HostName,
    labels: &Labels,
) -> Result<(), sqlx::Error> {
    for (key, value) in labels.iter() {
        // From the hosts, so that a name that is not there gets no labels either.
        sqlx::query(
            "INSERT INTO host_labels (host, key, value)
             SELECT name, ?, ? FROM hosts WHERE name = ?",
        )
        .bind(LabelKey::as_str(key))
        .bind(LabelValue::as_str(value))
        .bind(host.as_str())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
