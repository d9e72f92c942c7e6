-- One row per job. Times are milliseconds since the Unix epoch; spec and ending are canonical
-- DAG-CBOR, and what is searched for stands in columns of its own. Ids are compared byte by byte, so that
-- their order is that of their times.
CREATE TABLE jobs (
    id          TEXT    COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 26),
    task_cid    TEXT    NOT NULL,
    spec        BYTEA   NOT NULL,
    state       TEXT    NOT NULL
        CHECK (state IN ('queued', 'assigned', 'running', 'succeeded', 'failed', 'cancelled')),
    holder      TEXT,
    expires     BIGINT,
    last_node   TEXT,
    last_token  BIGINT  NOT NULL CHECK (last_token >= 0),
    attempts    BIGINT  NOT NULL CHECK (attempts >= 0),
    not_before  BIGINT  NOT NULL,
    ending      BYTEA,
    submitted   BIGINT  NOT NULL,
    started     BIGINT,
    finished    BIGINT,
    owner       TEXT    NOT NULL,
    CHECK ((holder IS NULL) = (expires IS NULL)),
    CHECK ((state IN ('assigned', 'running')) = (holder IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (ending IS NOT NULL))
);

CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_token ON jobs (last_token);
CREATE INDEX jobs_open_by_owner ON jobs (owner) WHERE ending IS NULL;
CREATE INDEX jobs_finished ON jobs (finished) WHERE finished IS NOT NULL;

-- The checkpoints of open jobs, from which they go on elsewhere.
CREATE TABLE checkpoints (
    job         TEXT    COLLATE "C" NOT NULL REFERENCES jobs (id),
    position    BIGINT  NOT NULL CHECK (position >= 0),
    cid         TEXT    NOT NULL,
    token       BIGINT  NOT NULL CHECK (token >= 0),
    node        TEXT    NOT NULL,
    taken       BIGINT  NOT NULL,
    PRIMARY KEY (job, position)
);

-- The nodes that grant leases from this ledger. One that is silent until `expires`, by the clock of the
-- database, loses its jobs to another one.
CREATE TABLE coordinators (
    node        TEXT    NOT NULL PRIMARY KEY,
    expires     BIGINT  NOT NULL
);
