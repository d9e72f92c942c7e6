//! Names that keep DAGs.

use super::{Store, blocking, engine::storage, writer::Operation};
use crate::{Block, Error};
use mc_types::Cid;

/// Longest name of a pin, in bytes.
const MAX_PIN_NAME_BYTES: usize = 256;

impl Store {
    /// Stores blocks and pins the DAG below `root` in one write; durable on return.
    ///
    /// # Errors
    ///
    /// As [`Self::put`] and [`Self::pin`]; then neither was done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether both were done.
    pub async fn put_pinned(&self, blocks: Vec<Block>, name: &str, root: Cid) -> Result<(), Error> {
        let name = pin_name(name)?;
        self.put_all(blocks, Some((name, root)), true).await
    }

    /// Gives the DAG below `root` a name that keeps it; durable on return. The DAG may still be
    /// incomplete. A name that was used for another root is moved to this one.
    ///
    /// # Errors
    ///
    /// [`Error::PinName`] or what [`Self::put`] gives.
    pub async fn pin(&self, name: &str, root: Cid) -> Result<(), Error> {
        let name = pin_name(name)?;
        self.write(|reply| Operation::Pin { name, root, reply })
            .await
    }

    /// Refuses what cannot be the name of a pin.
    ///
    /// # Errors
    ///
    /// [`Error::PinName`].
    pub fn check_pin_name(name: &str) -> Result<(), Error> {
        pin_name(name).map(drop)
    }

    /// Removes a pin; says whether there was one.
    ///
    /// # Errors
    ///
    /// What [`Self::put`] gives.
    pub async fn unpin(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.write(|reply| Operation::Unpin { name, reply }).await
    }

    /// All pins by name.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub async fn pins(&self) -> Result<Vec<(String, Cid)>, Error> {
        let engine = self.inner.engine.clone();
        blocking(move || {
            let mut pins = Vec::new();
            for entry in engine.pins.iter() {
                let (name, root) = entry.into_inner().map_err(storage)?;
                let name = String::from_utf8_lossy(&name).into_owned();
                let root = Cid::try_from(&root[..])
                    .map_err(|e| Error::Storage(format!("pin {name:?}: {e}")))?;
                pins.push((name, root));
            }
            Ok(pins)
        })
        .await
    }

    /// The root of a pin.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub async fn pinned(&self, name: &str) -> Result<Option<Cid>, Error> {
        let (engine, name) = (self.inner.engine.clone(), name.to_owned());
        blocking(move || {
            let root = engine.pins.get(&name).map_err(storage)?;
            let root = root.map(|root| Cid::try_from(&root[..]));
            let root = root.transpose();
            root.map_err(|e| Error::Storage(format!("pin {name:?}: {e}")))
        })
        .await
    }
}

/// A name as a pin may have it.
fn pin_name(name: &str) -> Result<String, Error> {
    let valid = (1..=MAX_PIN_NAME_BYTES).contains(&name.len());
    if !valid || name.chars().any(char::is_control) {
        return Err(Error::PinName {
            name: name.chars().take(80).collect(),
        });
    }
    Ok(name.to_owned())
}
