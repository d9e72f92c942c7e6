//! The schema of each kind of database, as steps that are never edited once released.
//!
//! `sqlx::migrate!` would do the same, but its macro compiles sqlx, both drivers and SQLite a second time, for the
//! compiler. What it writes to the table of migrations (version, description and the SHA-384 of the text) is the same.

use crate::kind::DatabaseKind;
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// A step: its version, what it is about, and the statements.
type Step = (i64, &'static str, &'static str);

const SQLITE: &[Step] = &[
    (
        1,
        "jobs",
        include_str!("../migrations/sqlite/0001_jobs.sql"),
    ),
    (
        2,
        "checkpoints",
        include_str!("../migrations/sqlite/0002_checkpoints.sql"),
    ),
    (
        3,
        "coordinators",
        include_str!("../migrations/sqlite/0003_coordinators.sql"),
    ),
    (
        4,
        "attempt logs",
        include_str!("../migrations/sqlite/0004_attempt_logs.sql"),
    ),
];
const POSTGRES: &[Step] = &[
    (
        1,
        "ledger",
        include_str!("../migrations/postgres/0001_ledger.sql"),
    ),
    (
        2,
        "attempt logs",
        include_str!("../migrations/postgres/0002_attempt_logs.sql"),
    ),
];

/// The steps for a database of this kind. Each runs in a transaction.
pub(crate) fn of(kind: DatabaseKind) -> Migrator {
    let steps = match kind {
        DatabaseKind::Sqlite => SQLITE,
        DatabaseKind::Postgres => POSTGRES,
    };
    let migration = |(version, description, sql): &Step| {
        let simple = MigrationType::Simple;
        Migration::new(
            *version,
            (*description).into(),
            simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(steps.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in the tables of migrations of all databases that there are, by which sqlx sees that a step was not
    /// changed.
    const RELEASED: &[(DatabaseKind, i64, &str, &str)] = &[
        (
            DatabaseKind::Sqlite,
            1,
            "jobs",
            "755f15de714f204886653810cbbde8349f0b08e0e3c51d9f45b22c6e73540ea1a9ac0997b96ace2b79c620a8af90b496",
        ),
        (
            DatabaseKind::Sqlite,
            2,
            "checkpoints",
            "a7600dddcf9ecfaeb22917d56d83a2696322e4ed0427afe943c33317a18df62d018feee61ddbbea1da860b14761944db",
        ),
        (
            DatabaseKind::Sqlite,
            3,
            "coordinators",
            "47d677d5722abd11d1996359d033c453002bf541b79046a5137b597480359271c30ded087b04a5583614eb9088ba476c",
        ),
        (
            DatabaseKind::Sqlite,
            4,
            "attempt logs",
            "b6423a021154cf9f23b7da6ab63df9e85b4eb94dfd478559cb1f5c78d592d9a833a6f67a8de8fef4b306fa45cd0b326b",
        ),
        (
            DatabaseKind::Postgres,
            1,
            "ledger",
            "f516d5c861b3525f1dc8e21d12fdc875e451ddfeb8fe815c5c41dab65eab076b39febdec8640f9ec003131c8ed0ea99e",
        ),
        (
            DatabaseKind::Postgres,
            2,
            "attempt logs",
            "a9ef2496132f335f3eba713cd4b5ca7e81367dfb5e365edef0dde0b7fd7ef8c653fdbaa5691ad1c49a07611156668a60",
        ),
    ];

    #[test]
    fn databases_that_were_made_before_can_be_opened() {
        for (kind, version, description, checksum) in RELEASED {
            let migrator = of(*kind);
            let step = migrator.iter().find(|step| step.version == *version);
            let step = step.unwrap_or_else(|| panic!("{kind:?} has no step {version}"));
            let bytes = step.checksum.iter();
            let found: String = bytes.map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(step.description, *description, "{kind:?} {version}");
            assert_eq!(found, *checksum, "{kind:?} {version}");
        }
    }
}
