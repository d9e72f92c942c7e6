//! What a look into the DHT finds.

use mc_types::NodeId;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/dht/providers/{cid}` and `GET /api/v1/dht/peers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DhtPeers {
    /// The nodes found.
    pub peers: Vec<PeerAddresses>,
}

/// A node and where it may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddresses {
    /// The node.
    pub id: NodeId,
    /// Its known addresses.
    pub addresses: Vec<String>,
}

/// `GET /api/v1/dht/records/{key}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DhtRecord {
    /// The key as asked for.
    pub key: String,
    /// The value in hexadecimal.
    pub value_hex: String,
    /// Who claims to have published it.
    pub publisher: Option<NodeId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn peers_have_addresses() {
        let json = json!({"peers": [{"id": "12D3KooWA", "addresses": ["/ip4/192.0.2.7/tcp/1"]}]});
        let found: DhtPeers = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&found).unwrap(), json);
        let bad = json!({"peers": [{"id": "not a node", "addresses": []}]});
        assert!(serde_json::from_value::<DhtPeers>(bad).is_err());
    }

    #[test]
    fn a_record_may_have_no_publisher() {
        let json = json!({"key": "k", "value_hex": "00ff", "publisher": null});
        let record: DhtRecord = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(record.publisher, None);
        assert_eq!(serde_json::to_value(&record).unwrap(), json);
    }
}
