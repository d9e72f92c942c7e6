//! Nodes: the one that answers, and those that it knows or finds.

use mc_types::{NodeId, Reachability};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `POST /api/v1/connect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectRequest {
    /// A multiaddr that ends in `/p2p/` and the peer's id.
    pub address: String,
}

/// `GET /api/v1/node`: the node that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id, a libp2p PeerId.
    pub id: NodeId,
    /// The version of `mc-wasm`.
    pub version: String,
    /// The network (namespace) it belongs to.
    pub network: String,
    /// The addresses of the peers that it was told to connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bootstrap: Vec<String>,
    /// Its dialable addresses, each ending in `/p2p/<id>`.
    pub addresses: Vec<String>,
    /// Tasks it runs at a time; 0 when it executes nothing.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_free: u32,
    /// Processor cores.
    pub cpus: u32,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
    /// Connected peers.
    pub peers: u32,
    /// Connected IPFS nodes, with which only blocks are exchanged.
    #[serde(default)]
    pub ipfs_peers: u32,
    /// Whether others can connect to it.
    #[serde(default)]
    pub reachability: Reachability,
}

/// What is looked for in `GET /api/v1/nodes?…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeQuery {
    /// Look in the DHT for nodes that this one need not know yet.
    #[serde(default)]
    pub find: bool,
    /// Only nodes with a free slot.
    #[serde(default)]
    pub idle: bool,
    /// Only nodes with a GPU.
    #[serde(default)]
    pub gpu: bool,
    /// Only nodes with so much memory, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Only nodes with these labels: `name=value`, separated by commas.
    #[serde(default)]
    pub labels: String,
}

/// One entry of `GET /api/v1/nodes`: a node that the answering node knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its id.
    pub id: NodeId,
    /// Whether it is the answering node itself.
    pub this_node: bool,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Whether all connections to it lead over another node.
    #[serde(default)]
    pub relayed: bool,
    /// What it calls itself.
    pub agent: Option<String>,
    /// Round-trip time in microseconds, once measured.
    pub rtt_us: Option<u64>,
    /// Tasks it runs at a time, if it lends slots to the answering node.
    pub slots_total: Option<u32>,
    /// How many of them are free.
    pub slots_free: Option<u32>,
    /// Its processor cores.
    pub cpus: Option<u32>,
    /// Its memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Names and values that describe it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `GET /api/v1/nodes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeList {
    /// This node first.
    pub nodes: Vec<PeerView>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_connection_needs_an_address_and_nothing_else() {
        let address = "/ip4/192.0.2.7/tcp/7781/p2p/12D3KooWA";
        let request = ConnectRequest {
            address: address.to_owned(),
        };
        let json = json!({"address": address});
        assert_eq!(serde_json::to_value(&request).unwrap(), json);
        let unknown = json!({"address": address, "relay": true});
        assert!(serde_json::from_value::<ConnectRequest>(unknown).is_err());
    }

    #[test]
    fn a_node_of_before_is_read() {
        let json = json!({
            "id": "12D3KooWA", "version": "0.0.0", "network": "n", "addresses": [], "slots_total": 2,
            "slots_free": 1, "cpus": 2, "memory_bytes": 1024, "peers": 0,
        });
        let view: NodeView = serde_json::from_value(json).unwrap();
        assert_eq!(view.reachability, Reachability::Unknown);
        assert_eq!((view.bootstrap.len(), view.ipfs_peers), (0, 0));
        let json = serde_json::to_value(&view).unwrap();
        assert!(json.get("bootstrap").is_none(), "{json}");
        assert_eq!(json["reachability"], json!({"state": "unknown"}));
        assert_eq!(serde_json::from_value::<NodeView>(json).unwrap(), view);
    }

    #[test]
    fn a_query_that_asks_for_nothing_special_is_the_default() {
        let query: NodeQuery = serde_json::from_value(json!({})).unwrap();
        assert_eq!(query, NodeQuery::default());
        assert_eq!(
            serde_json::to_value(&query).unwrap(),
            json!({"find": false, "idle": false, "gpu": false, "memory_bytes": 0, "labels": ""})
        );
        assert!(serde_json::from_value::<NodeQuery>(json!({"memory": 1})).is_err());
    }

    #[test]
    fn a_peer_that_lends_nothing_has_no_numbers() {
        let json = json!({
            "id": "12D3KooWA", "this_node": false, "connected": true, "addresses": ["/ip4/192.0.2.7/tcp/1"],
            "agent": null, "rtt_us": null, "slots_total": null, "slots_free": null, "cpus": null,
            "memory_bytes": null,
        });
        let view: PeerView = serde_json::from_value(json).unwrap();
        assert!(!view.relayed && view.labels.is_empty());
        let list = NodeList { nodes: vec![view] };
        let json = serde_json::to_string(&list).unwrap();
        let read: NodeList = serde_json::from_str(&json).unwrap();
        assert_eq!(read.nodes, list.nodes);
    }
}
