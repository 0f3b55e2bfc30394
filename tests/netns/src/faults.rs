//! What is wrong with the network now.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Cuts and loss, between nodes by their numbers. Whatever goes over the wire is concerned: UDP, TCP and ARP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nothing goes from the first to the second.
    cut: BTreeSet<(usize, usize)>,
    /// So much of everything else is lost.
    loss_percent: u8,
}

impl Faults {
    /// Nothing goes from `from` to `to`; what goes the other way arrives.
    pub fn cut_one_way(mut self, from: usize, to: usize) -> Faults {
        self.cut.insert((from, to));
        self
    }

    /// Nothing goes between these two.
    pub fn cut_pair(self, a: usize, b: usize) -> Faults {
        self.cut_one_way(a, b).cut_one_way(b, a)
    }

    /// Nothing goes between `group` and the other nodes of `nodes`; within the group all is well.
    pub fn cut_off(self, group: &[usize], nodes: usize) -> Faults {
        let outside: Vec<usize> = (0..nodes).filter(|n| !group.contains(n)).collect();
        let pairs = group.iter().flat_map(|a| outside.iter().map(move |b| (*a, *b)));
        pairs.fold(self, |faults, (a, b)| faults.cut_pair(a, b))
    }

    /// `node` hears nobody, and is heard.
    pub fn deaf(self, node: usize, nodes: usize) -> Faults {
        (0..nodes).filter(|n| *n != node).fold(self, |faults, other| faults.cut_one_way(other, node))
    }

    /// `node` is heard by nobody, and hears.
    pub fn mute(self, node: usize, nodes: usize) -> Faults {
        (0..nodes).filter(|n| *n != node).fold(self, |faults, other| faults.cut_one_way(node, other))
    }

    /// So much of all that is sent is lost, each packet by itself.
    pub fn lose_percent(mut self, loss_percent: u8) -> Faults {
        assert!(loss_percent <= 100, "{loss_percent} % cannot be lost");
        self.loss_percent = loss_percent;
        self
    }

    /// The table for `nft -f`; it replaces the one before at one instant. `port` names the bridge's port of a node.
    pub(crate) fn table(&self, port: impl Fn(usize) -> String) -> String {
        let mut rules = String::new();
        for (from, to) in &self.cut {
            let _ = writeln!(rules, "    iifname \"{}\" oifname \"{}\" drop", port(*from), port(*to));
        }
        if self.loss_percent > 0 {
            let _ = writeln!(rules, "    numgen random mod 100 < {} drop", self.loss_percent);
        }
        // Named once so that it exists and can be deleted.
        format!(
            "table bridge faults {{}}\ndelete table bridge faults\ntable bridge faults {{\n  chain forward {{\n    \
             type filter hook forward priority 0; policy accept;\n{rules}  }}\n}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_cut_off_is_so_both_ways_and_from_all() {
        let cut = Faults::default().cut_off(&[1], 3).cut;
        assert_eq!(cut, BTreeSet::from([(0, 1), (1, 0), (1, 2), (2, 1)]));
        let mute = Faults::default().mute(0, 3).cut;
        assert_eq!(mute, BTreeSet::from([(0, 1), (0, 2)]));
        let deaf = Faults::default().deaf(0, 3).cut;
        assert_eq!(deaf, BTreeSet::from([(1, 0), (2, 0)]));
    }

    #[test]
    fn the_table_names_ports() {
        let table = Faults::default().cut_one_way(0, 1).lose_percent(20).table(|n| format!("p{n}"));
        assert!(table.contains("iifname \"p0\" oifname \"p1\" drop"), "{table}");
        assert!(table.contains("mod 100 < 20 drop"), "{table}");
    }
}
