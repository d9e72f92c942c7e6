-- The checkpoints of open jobs, from which they go on elsewhere. Times are milliseconds since the Unix
-- epoch.
CREATE TABLE checkpoints (
    job         TEXT    NOT NULL REFERENCES jobs (id),
    position    INTEGER NOT NULL CHECK (position >= 0),
    cid         TEXT    NOT NULL,
    token       INTEGER NOT NULL CHECK (token >= 0),
    node        TEXT    NOT NULL,
    taken       INTEGER NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
