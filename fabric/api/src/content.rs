//! Blocks and CARs on their way in, and what is there.

use mc_types::Cid;
use serde::{Deserialize, Serialize};

/// Body and answer of `POST /api/v1/content/missing`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CidList {
    /// In the request: roots. In the answer: those whose DAG is not complete in the node's store.
    #[serde(with = "mc_types::cid::portable::list")]
    pub cids: Vec<Cid>,
}

/// Answer of `POST /api/v1/content`, a CAR upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Blocks that were received and are durable.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `GET /api/v1/blocks/{cid}/stat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockStat {
    /// The block.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
    /// Its length in bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;
    use serde_json::json;

    #[test]
    fn cids_are_text_and_nothing_else_is_taken() {
        let cids = vec![cid::of(cid::RAW, b"a"), cid::of(cid::RAW, b"b")];
        let json = serde_json::to_value(CidList { cids: cids.clone() }).unwrap();
        let texts: Vec<_> = cids.iter().map(ToString::to_string).collect();
        assert_eq!(json, json!({"cids": texts}));
        let read: CidList = serde_json::from_value(json).unwrap();
        assert_eq!(read.cids, cids);
        for bad in [
            json!({}),
            json!({"cids": ["no cid"]}),
            json!({"cids": [], "deep": true}),
        ] {
            assert!(serde_json::from_value::<CidList>(bad).is_err());
        }
    }

    #[test]
    fn sizes_are_numbers() {
        let cid = cid::of(cid::RAW, b"a");
        let stat = BlockStat { cid, size: 1 };
        let json = serde_json::to_value(&stat).unwrap();
        assert_eq!(json, json!({"cid": cid.to_string(), "size": 1}));
        assert_eq!(serde_json::from_value::<BlockStat>(json).unwrap(), stat);
        let imported = Imported {
            blocks: 2,
            bytes: 5,
        };
        let json = serde_json::to_value(&imported).unwrap();
        assert_eq!(json, json!({"blocks": 2, "bytes": 5}));
        assert_eq!(serde_json::from_value::<Imported>(json).unwrap(), imported);
    }
}
