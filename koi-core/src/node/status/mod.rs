//! What a node says of itself and of the cluster.

mod fitness;
mod health;
mod status_builder;
