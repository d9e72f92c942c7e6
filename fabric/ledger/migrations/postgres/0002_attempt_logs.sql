-- What attempts wrote that came to no outcome: the CIDs of files. Times are milliseconds since the Unix epoch.
CREATE TABLE attempt_logs (
    job         TEXT    COLLATE "C" NOT NULL REFERENCES jobs (id),
    token       BIGINT  NOT NULL CHECK (token >= 0),
    attempt     BIGINT  NOT NULL CHECK (attempt >= 0),
    node        TEXT    NOT NULL,
    stdout      TEXT    NOT NULL,
    stderr      TEXT    NOT NULL,
    kept        BIGINT  NOT NULL,
    PRIMARY KEY (job, token)
);
