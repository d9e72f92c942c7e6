-- What attempts wrote that came to no outcome: the CIDs of files. Times are milliseconds since the Unix epoch.
CREATE TABLE attempt_logs (
    job         TEXT    NOT NULL REFERENCES jobs (id),
    token       INTEGER NOT NULL CHECK (token >= 0),
    attempt     INTEGER NOT NULL CHECK (attempt >= 0),
    node        TEXT    NOT NULL,
    stdout      TEXT    NOT NULL,
    stderr      TEXT    NOT NULL,
    kept        INTEGER NOT NULL,
    PRIMARY KEY (job, token)
) STRICT, WITHOUT ROWID;
