//! Who this node is, for hooks.

use std::net::IpAddr;

use koi_config::Config;

/// Who this node is, for hooks.
#[derive(Clone, Debug)]
pub(crate) struct NodeIdentity {
    /// `node.name`.
    pub(crate) name: String,
    /// The node's UUID.
    pub(crate) id: String,
    /// `cluster.id`.
    pub(crate) cluster: String,
    /// `node.bind`, if it is one address.
    pub(crate) address: Option<IpAddr>,
}

impl NodeIdentity {
    /// As the configuration has it; `id` is the node's UUID.
    pub(crate) fn from_config(config: &Config, id: &str) -> NodeIdentity {
        NodeIdentity {
            name: config.node.name.clone(),
            id: id.to_owned(),
            cluster: config.cluster.id.to_string(),
            address: Some(config.node.bind).filter(|ip| !ip.is_unspecified()),
        }
    }
}
