//! Layers of container images.

use mc_types::{Cid, Digest};
use serde::{Deserialize, Serialize};

/// `POST /api/v1/layers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddLayer {
    /// A file, all of which is in the node's store.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
}

/// The query of `GET /api/v1/layers/{digest}?…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerQuery {
    /// How many bytes it has, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How long the layer may be looked for, in milliseconds; absent means as long as the node sees fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A layer of a container image that is in the node's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerView {
    /// The digest, as registries have it.
    pub digest: Digest,
    /// The file that has it.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
    /// Its bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;
    use serde_json::json;

    #[test]
    fn a_layer_is_named_by_its_digest_and_its_cid() {
        let cid = cid::of(cid::RAW, b"layer");
        let digest = Digest::new(cid::digest(&cid));
        let view = LayerView {
            digest,
            cid,
            size: 5,
        };
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(
            json,
            json!({"digest": digest.to_string(), "cid": cid.to_string(), "size": 5})
        );
        assert_eq!(serde_json::from_value::<LayerView>(json).unwrap(), view);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let cid = cid::of(cid::RAW, b"layer").to_string();
        let add: AddLayer = serde_json::from_value(json!({"cid": cid})).unwrap();
        assert_eq!(add.cid.to_string(), cid);
        assert!(serde_json::from_value::<AddLayer>(json!({"cid": cid, "size": 1})).is_err());
        assert!(serde_json::from_value::<LayerQuery>(json!({"timeout": 1})).is_err());
        assert_eq!(
            serde_json::to_value(LayerQuery::default()).unwrap(),
            json!({})
        );
    }
}
