//! `koi tree`: the nodes, and below each its services.

use koi_proto::api::{NodeStatus, Status};

use super::{node, service};
use crate::render::layout::Tone;
use crate::render::layout::table::{Cell, Table};
use crate::render::layout::{View, text};

/// Columns of a name with the branch before it.
const NAME: usize = 40;

/// The whole tree.
pub(crate) fn tree(status: &Status, view: &View) -> String {
    let names = status.nodes.iter().map(|node| text::width(&node.name)).max().unwrap_or(0);
    let mut drawn = format!("{}\n", view.paint.head(&format!("cluster {}", status.cluster.id)));
    for (index, node) in status.nodes.iter().enumerate() {
        let last = index + 1 == status.nodes.len();
        drawn.push_str(&branch(node, last, names, view));
    }
    drawn
}

fn branch(node: &NodeStatus, last: bool, names: usize, view: &View) -> String {
    let (twig, stem) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    let mut head = Table::new(0, NAME);
    head.row(vec![
        format!("{twig}{}", text::pad(&text::clean(&node.name), names)).into(),
        node::flags(node).into(),
        state(node),
    ]);
    let mut drawn = head.draw(view);
    let mut leaves = Table::new(0, NAME);
    let services = node.services.as_deref().unwrap_or_default();
    for (index, service) in services.iter().enumerate() {
        let twig = if index + 1 == services.len() { "└─ " } else { "├─ " };
        let mut row = vec![format!("{stem}{twig}{:>2} {}", service::priority(service), service.name).into()];
        if node::runs_several(node) {
            row.push(Cell::new(service.group.as_str()).tone(Tone::Dim));
        }
        row.extend([
            Cell::new(&service.state).tone(service::tone(service)),
            service::mark(service).into(),
            service::doing(service).into(),
            Cell::new(service::said(service)).tone(Tone::Dim),
        ]);
        leaves.row(row);
    }
    drawn.push_str(&leaves.draw(view));
    if node.services.is_none() && node.runner {
        drawn.push_str(&format!("{stem}└─ {}\n", view.paint.dim("services unknown: it did not answer")));
    }
    drawn
}

/// Its state, in each group where it runs several.
fn state(node: &NodeStatus) -> Cell {
    if !node::runs_several(node) {
        return Cell::new(&node.state).tone(node::tone(&node.state));
    }
    let states: Vec<String> = node.groups.iter().map(|of| format!("{} {}", of.name, of.state)).collect();
    Cell::new(states.join(", "))
}
