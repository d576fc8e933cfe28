-- By the name of the host, because hosts of the configuration file are in no table.
CREATE TABLE host_cordons (
    host        TEXT    PRIMARY KEY,
    reason      TEXT    NOT NULL,
    cordoned_by TEXT    NOT NULL,
    since       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
