//! Pins, and what keeps the store in order.

use mc_types::Cid;
use serde::{Deserialize, Serialize};

/// A pin: a name that keeps a DAG from being collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinView {
    /// The name.
    pub name: String,
    /// The root.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
}

/// `GET /api/v1/pins`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinList {
    /// By name.
    pub pins: Vec<PinView>,
}

/// `POST /api/v1/fsck`: what a look at all blocks found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FsckView {
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that were not what they should be. They are in the data directory's quarantine now.
    #[serde(with = "mc_types::cid::portable::list")]
    pub corrupt: Vec<Cid>,
    /// Pins with blocks that are not there.
    pub incomplete_pins: Vec<String>,
}

/// The query of `POST /api/v1/gc?…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcQuery {
    /// Whether to remove also blocks that were stored or asked for just now.
    #[serde(default)]
    pub now: bool,
}

/// Answer of `POST /api/v1/gc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcView {
    /// Blocks that were removed.
    pub removed_blocks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blocks that stay.
    pub kept_blocks: u64,
    /// How many of these no pin needs: they stay since they were stored or asked for just now.
    #[serde(default)]
    pub recent_blocks: u64,
    /// Their bytes.
    #[serde(default)]
    pub recent_bytes: u64,
    /// For how long such blocks are spared, in milliseconds.
    #[serde(default)]
    pub grace_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;
    use serde_json::json;

    #[test]
    fn a_pin_has_a_name_and_a_root_and_nothing_else() {
        let cid = cid::of(cid::RAW, b"root");
        let pin = PinView {
            name: "a b".to_owned(),
            cid,
        };
        let json = serde_json::to_value(&pin).unwrap();
        assert_eq!(json, json!({"name": "a b", "cid": cid.to_string()}));
        assert_eq!(serde_json::from_value::<PinView>(json).unwrap(), pin);
        let unknown = json!({"name": "a", "cid": cid.to_string(), "deep": true});
        assert!(serde_json::from_value::<PinView>(unknown).is_err());
        let list = PinList { pins: vec![pin] };
        let json = serde_json::to_string(&list).unwrap();
        assert_eq!(
            serde_json::from_str::<PinList>(&json).unwrap().pins,
            list.pins
        );
    }

    #[test]
    fn a_collection_spares_what_is_new_unless_told_otherwise() {
        assert!(!serde_json::from_value::<GcQuery>(json!({})).unwrap().now);
        assert!(serde_json::from_value::<GcQuery>(json!({"now": true, "all": true})).is_err());
        // As an older node answers.
        let json = json!({"removed_blocks": 1, "removed_bytes": 2, "kept_blocks": 3});
        let view: GcView = serde_json::from_value(json).unwrap();
        assert_eq!(
            (view.recent_blocks, view.recent_bytes, view.grace_ms),
            (0, 0, 0)
        );
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(serde_json::from_value::<GcView>(json).unwrap(), view);
    }

    #[test]
    fn corrupt_blocks_are_named() {
        let corrupt = vec![cid::of(cid::RAW, b"bad")];
        let view = FsckView {
            blocks: 2,
            bytes: 6,
            corrupt: corrupt.clone(),
            incomplete_pins: vec!["a".to_owned()],
        };
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["corrupt"], json!([corrupt[0].to_string()]));
        let read: FsckView = serde_json::from_value(json).unwrap();
        assert_eq!(
            (read.corrupt, read.incomplete_pins),
            (corrupt, view.incomplete_pins)
        );
    }
}
