//! In which form a component has handles.

use std::borrow::Cow;
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

/// A form of handles, each of which is the number of one of ours.
pub(crate) trait Form: 'static {
    /// A handle that a function gives away.
    type Own<T: 'static>: ComponentType + Lift + Lower + Send + Sync + 'static;
    /// A handle that a function is lent.
    type Borrow<T: 'static>: ComponentType + Lift + Lower + Send + Sync + 'static;

    /// The number of a handle that was lent.
    fn number<T: 'static>(handle: &Self::Borrow<T>) -> u32;
    /// A handle to give away.
    fn own<T: 'static>(number: u32) -> Self::Own<T>;
    /// The name under which a function of a resource is imported.
    fn name(name: &str) -> Cow<'_, str>;
}

/// Resources, in a table of wasmtime's.
pub(crate) struct Resources;

impl Form for Resources {
    type Own<T: 'static> = Resource<T>;
    type Borrow<T: 'static> = Resource<T>;

    fn number<T: 'static>(handle: &Resource<T>) -> u32 {
        handle.rep()
    }

    fn own<T: 'static>(number: u32) -> Resource<T> {
        Resource::new_own(number)
    }

    fn name(name: &str) -> Cow<'_, str> {
        Cow::Borrowed(name)
    }
}

/// Plain numbers, for components that can be stopped. They are signed where a handle is given away, so that this can be
/// told from lending.
pub(crate) struct Numbers;

impl Form for Numbers {
    type Own<T: 'static> = i32;
    type Borrow<T: 'static> = u32;

    fn number<T: 'static>(handle: &u32) -> u32 {
        *handle
    }

    fn own<T: 'static>(number: u32) -> i32 {
        number.cast_signed()
    }

    fn name(name: &str) -> Cow<'_, str> {
        mc_checkpoint::plain_name(name).map_or(Cow::Borrowed(name), Cow::Owned)
    }
}
