-- One row per job. Times are milliseconds since the Unix epoch; spec and ending are canonical
-- DAG-CBOR, and what is searched for stands in columns of its own.
CREATE TABLE jobs (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 26),
    task_cid    TEXT    NOT NULL,
    spec        BLOB    NOT NULL,
    state       TEXT    NOT NULL
        CHECK (state IN ('queued', 'assigned', 'running', 'succeeded', 'failed', 'cancelled')),
    holder      TEXT,
    expires     INTEGER,
    last_node   TEXT,
    last_token  INTEGER NOT NULL CHECK (last_token >= 0),
    attempts    INTEGER NOT NULL CHECK (attempts >= 0),
    not_before  INTEGER NOT NULL,
    ending      BLOB,
    submitted   INTEGER NOT NULL,
    started     INTEGER,
    finished    INTEGER,
    CHECK ((holder IS NULL) = (expires IS NULL)),
    CHECK ((state IN ('assigned', 'running')) = (holder IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (ending IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The open jobs, which are few, without walking over the ended ones, which are many.
CREATE INDEX jobs_open ON jobs (state) WHERE state IN ('queued', 'assigned', 'running');
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_token ON jobs (last_token);
