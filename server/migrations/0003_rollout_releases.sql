-- When a rollout gave a container back: the revision of its last record. A plan that was made
-- before describes a container that has changed since.
CREATE TABLE rollout_releases (
    host      TEXT NOT NULL,
    container TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    PRIMARY KEY (host, container)
) STRICT, WITHOUT ROWID;
