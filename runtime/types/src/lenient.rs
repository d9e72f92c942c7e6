//! Reading enumerations that later versions may extend.

use serde::{Deserialize, Deserializer, de::IgnoredAny};

#[derive(Deserialize)]
#[serde(untagged)]
enum Perhaps<T> {
    Known(T),
    Unknown(IgnoredAny),
}

impl<T: Default> Perhaps<T> {
    fn or_default(self) -> T {
        match self {
            Self::Known(value) => value,
            Self::Unknown(IgnoredAny) => T::default(),
        }
    }
}

/// Reads a value; an unknown one becomes the default of its type.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Perhaps::deserialize(deserializer).map(Perhaps::or_default)
}

/// The same of each value of a list.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let values = Vec::<Perhaps<T>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(Perhaps::or_default).collect())
}
