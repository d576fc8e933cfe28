-- Times are milliseconds since 1970 in UTC. A column named `sealed` holds what store::seal made
-- of a secret: nothing in this file can be read without the key beside it.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Hosts added over the API, and this machine's own socket once it was taken in.
CREATE TABLE hosts (
    name       TEXT    PRIMARY KEY,
    source     TEXT    NOT NULL CHECK (source IN ('api', 'local')),
    address    TEXT    NOT NULL,
    -- A group of the configuration file; a host with its own certificates has a row in host_tls.
    tls_group  TEXT,
    insecure   INTEGER NOT NULL CHECK (insecure IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE host_labels (
    host  TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (host, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE host_tls (
    host            TEXT PRIMARY KEY REFERENCES hosts (name) ON DELETE CASCADE,
    ca_pem          TEXT NOT NULL,
    certificate_pem TEXT,
    -- The private key.
    sealed          BLOB,
    CHECK ((certificate_pem IS NULL) = (sealed IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE registry_logins (
    registry   TEXT    PRIMARY KEY,
    username   TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('password', 'identity_token')),
    -- The password or the identity token.
    sealed     BLOB    NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Writes that carried a request_id, so that a retry gives the first answer.
CREATE TABLE operations (
    request_id     TEXT    PRIMARY KEY,
    principal      TEXT    NOT NULL,
    method         TEXT    NOT NULL,
    request_sha256 BLOB    NOT NULL CHECK (length(request_sha256) = 32),
    created_at     INTEGER NOT NULL,
    finished_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_by_age ON operations (created_at);

-- `begun` is written before a host is asked for anything, `done` with the outcome after.
CREATE TABLE operation_hosts (
    request_id TEXT NOT NULL REFERENCES operations (request_id) ON DELETE CASCADE,
    host       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('begun', 'done')),
    outcome    BLOB,
    PRIMARY KEY (request_id, host),
    CHECK ((state = 'done') = (outcome IS NOT NULL))
) STRICT, WITHOUT ROWID;
