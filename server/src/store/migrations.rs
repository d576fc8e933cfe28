//! The migrations of the database, compiled in.
//!
//! A list and not `sqlx::migrate!()`: that macro makes every build compile SQLite a second time, for
//! the compiler's own use.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, description and statements, as in the name and the text of each file.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (1, "initial", include_str!("../../migrations/0001_initial.sql")),
    (2, "rollouts", include_str!("../../migrations/0002_rollouts.sql")),
    (3, "rollout releases", include_str!("../../migrations/0003_rollout_releases.sql")),
    (4, "unread columns", include_str!("../../migrations/0004_unread_columns.sql")),
    (5, "host cordons", include_str!("../../migrations/0005_host_cordons.sql")),
];

/// The newest version of the schema that this `wharfd` knows.
pub(super) const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

pub(super) fn migrator() -> Migrator {
    Migrator::with_migrations(
        MIGRATIONS
            .iter()
            .map(|&(version, description, statements)| {
                let kind = MigrationType::Simple;
                Migration::new(version, description.into(), kind, statements.into_sql_str(), false)
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_directory_is_in_the_list() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed = MIGRATIONS.map(|(version, description, _)| {
            format!("{version:04}_{}.sql", description.replace(' ', "_"))
        });
        assert_eq!(files, listed);
    }
}
