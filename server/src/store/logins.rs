//! Stored logins of registries. Called by the API.

use std::time::SystemTime;

use super::{Store, StoreError, from_millis, to_millis};
use crate::domain::{Credential, RegistryHost, RegistryLogin, Secret};

const TABLE: &str = "registry_logins";

type LoginRow = (String, String, String, Vec<u8>);

impl Store {
    /// Stores a login, and replaces an earlier one for the registry.
    pub async fn put_login(
        &self,
        login: &RegistryLogin,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        let registry = login.registry().as_str();
        let (kind, secret) = match login.credential() {
            Credential::Password(secret) => ("password", secret),
            Credential::IdentityToken(secret) => ("identity_token", secret),
        };
        let sealed = self.sealer().seal(TABLE, registry, secret)?;
        let write = sqlx::query(
            "INSERT OR REPLACE INTO registry_logins (registry, username, kind, sealed, updated_at)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(registry)
        .bind(login.username())
        .bind(kind)
        .bind(sealed)
        .bind(to_millis(now));
        self.write(write).await.map_err(self.failed("keep a login"))?;
        self.checkpoint().await;
        Ok(())
    }

    /// The login for a registry, if stored.
    pub async fn login(
        &self,
        registry: &RegistryHost,
    ) -> Result<Option<RegistryLogin>, StoreError> {
        let row: Option<LoginRow> = sqlx::query_as(
            "SELECT registry, username, kind, sealed FROM registry_logins WHERE registry = ?",
        )
        .bind(registry.as_str())
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("read a login"))?;
        row.map(|row| self.open_login(row)).transpose()
    }

    /// Registry, user name, and time of every login, sorted by registry. Opens no secret.
    pub async fn logins(&self) -> Result<Vec<(RegistryHost, String, SystemTime)>, StoreError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT registry, username, updated_at FROM registry_logins ORDER BY registry",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("read its logins"))?;
        rows.into_iter()
            .map(|(registry, username, updated_at)| {
                let host = RegistryHost::parse(&registry)
                    .map_err(|error| StoreError::row(TABLE, &registry, error))?;
                Ok((host, username, from_millis(updated_at)))
            })
            .collect()
    }

    /// Removes a login; false if there was none.
    pub async fn remove_login(&self, registry: &RegistryHost) -> Result<bool, StoreError> {
        let write =
            sqlx::query("DELETE FROM registry_logins WHERE registry = ?").bind(registry.as_str());
        let removed = self.write(write).await.map_err(self.failed("remove a login"))?;
        self.checkpoint().await;
        Ok(removed.rows_affected() > 0)
    }

    fn open_login(
        &self,
        (registry, username, kind, sealed): LoginRow,
    ) -> Result<RegistryLogin, StoreError> {
        let secret = self.sealer().open(TABLE, &registry, &sealed)?;
        let (password, token) = match kind.as_str() {
            "password" => (secret, Secret::new("")),
            _ => (Secret::new(""), secret),
        };
        let host = RegistryHost::parse(&registry)
            .map_err(|error| StoreError::row(TABLE, &registry, error))?;
        RegistryLogin::new(host, username, password, token)
            .map_err(|error| StoreError::row(TABLE, &registry, error))
    }
}
