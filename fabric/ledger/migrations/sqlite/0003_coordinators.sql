-- Several nodes may grant leases from one ledger; each job belongs to one of them. A node that is silent until
-- `expires` (milliseconds since the Unix epoch, by the clock of the database) loses its jobs to another one.
CREATE TABLE coordinators (
    node        TEXT    NOT NULL PRIMARY KEY,
    expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT '';

CREATE INDEX jobs_open_by_owner ON jobs (owner) WHERE ending IS NULL;
CREATE INDEX jobs_finished ON jobs (finished) WHERE finished IS NOT NULL;
DROP INDEX jobs_open;
