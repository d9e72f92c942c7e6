//! How many items a message has, before any of them takes memory.

/// Fields of a message that are items or have some, and that of a want-list, as the specification numbers them.
const WANTLIST: usize = 1;
const ENTRY: usize = 1;
const PAYLOAD: usize = 3;
const PRESENCE: usize = 4;

/// The number of entries, blocks and presences of an encoded message. An empty one takes two bytes when encoded, and
/// fifty when decoded. `None` for bytes that no writer of such messages writes.
pub(crate) fn count(message: &[u8]) -> Option<usize> {
    let mut items = 0;
    each_field(message, |field, value| {
        match field {
            WANTLIST => each_field(value, |field, _| {
                items += usize::from(field == ENTRY);
                Some(())
            })?,
            PAYLOAD | PRESENCE => items += 1,
            _ => {}
        }
        Some(())
    })?;
    Some(items)
}

/// Goes through the fields of an encoded message: their numbers, and the bytes of those that have some.
fn each_field(mut message: &[u8], mut see: impl FnMut(usize, &[u8]) -> Option<()>) -> Option<()> {
    /// The kinds of values: numbers, and bytes whose length is fixed or given.
    const NUMBER: usize = 0;
    const EIGHT_BYTES: usize = 1;
    const BYTES: usize = 2;
    const FOUR_BYTES: usize = 5;
    while !message.is_empty() {
        let key = number(&mut message)?;
        let value = match key & 7 {
            NUMBER => {
                number(&mut message)?;
                &[][..]
            }
            EIGHT_BYTES => take(&mut message, 8)?,
            BYTES => {
                let length = number(&mut message)?;
                take(&mut message, length)?
            }
            FOUR_BYTES => take(&mut message, 4)?,
            _ => return None,
        };
        see(key >> 3, value)?;
    }
    Some(())
}

fn number(message: &mut &[u8]) -> Option<usize> {
    prost::decode_length_delimiter(message).ok()
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Entry, Message, Payload, Presence, Wantlist};
    use prost::Message as _;

    #[test]
    fn items_of_all_kinds_are_counted() {
        let entry = Entry {
            cid: vec![7; 300],
            priority: -1,
            cancel: true,
            ..Entry::default()
        };
        let message = Message {
            wantlist: Some(Wantlist {
                entries: vec![entry, Entry::default()],
                full: true,
            }),
            payload: vec![Payload::default(); 3],
            presences: vec![Presence::default(); 4],
            pending_bytes: i32::MIN,
        };
        let bytes = message.encode_to_vec();
        assert_eq!(count(&bytes), Some(9));
        // Several want-lists are one when they are decoded.
        assert_eq!(count(&[bytes.clone(), bytes.clone()].concat()), Some(18));
        assert_eq!(count(&[]), Some(0));
        for length in 0..bytes.len() {
            let _ = count(&bytes[..length]);
        }
        assert_eq!(count(&bytes[..bytes.len() - 1]), None);
        // Fields that are not of this protocol, of every kind but groups, which nobody writes.
        let others = [
            0x78, 1, 0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7a, 1, 0, 0x7d, 0, 0, 0, 0,
        ];
        assert_eq!(count(&others), Some(0));
        assert_eq!(count(&[0x7b]), None);
    }
}
