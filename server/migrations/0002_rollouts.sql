-- Rollouts: a journal that only grows, and beside it what is needed to find things in it.

-- One row: who writes. Counted up when a wharfd takes the store over; a lower one is refused.
CREATE TABLE journal_epoch (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
) STRICT;

INSERT INTO journal_epoch (only, epoch) VALUES (1, 0);

-- What lists show; made of the journal in the transaction that appends to it.
CREATE TABLE rollouts (
    id         TEXT    PRIMARY KEY,
    container  TEXT    NOT NULL,
    phase      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX rollouts_by_age ON rollouts (created_at);

-- AUTOINCREMENT: a revision is never given twice, even if the newest rows were deleted.
CREATE TABLE journal (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    rollout  TEXT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    record   TEXT NOT NULL
) STRICT;

CREATE INDEX journal_by_rollout ON journal (rollout, revision);

-- One active rollout for each container of a host. Owned by the rollout, not by a process.
CREATE TABLE rollout_locks (
    host      TEXT NOT NULL,
    container TEXT NOT NULL,
    rollout   TEXT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    PRIMARY KEY (host, container)
) STRICT, WITHOUT ROWID;

-- What may hold secrets: the change that was asked for, bodies of containers.
CREATE TABLE rollout_secrets (
    rollout TEXT NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    -- Empty for the rollout as a whole.
    host    TEXT NOT NULL,
    kind    TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    PRIMARY KEY (rollout, host, kind)
) STRICT, WITHOUT ROWID;
