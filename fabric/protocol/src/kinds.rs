//! The names of the kinds of messages.

/// Gives each variant of an enumeration its name on the wire. A variant without a name does not compile, and a name
/// that differs from what serde writes fails for lack of a fixture.
macro_rules! kinds {
    ($type:ident { $($variant:ident = $name:literal,)+ }) => {
        impl $type {
            /// The names of all kinds, as they go on the wire.
            pub const KINDS: &'static [&'static str] = &[$($name),+];

            /// The name of its kind.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }
        }
    };
}

pub(crate) use kinds;
