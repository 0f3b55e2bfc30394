//! What befalls disks.

use super::queue::Happening;
use super::{MS, World};
use crate::machine::{Disk, DiskFault};

impl World {
    /// The disk of a machine without a running daemon is wiped.
    pub fn wipe(&mut self, machine: usize) {
        if self.machines[machine].core.is_none() {
            self.tell(format!("m{machine}: the disk is wiped"));
            self.machines[machine].disk = Disk::default();
        }
    }

    /// The state folder of one machine is copied to another, which never ran: the same id, and all that it had voted and acknowledged.
    pub fn clone_disk(&mut self, from: usize, to: usize) {
        self.tell(format!("m{to} is given a copy of m{from}'s disk"));
        let disk = self.machines[from].disk.clone();
        let name = self.machines[from].settings.name.clone();
        let copy = &mut self.machines[to];
        copy.disk = Disk { newest: (0, 0), fault: None, refused: Vec::new(), ..disk };
        copy.settings.name = name;
    }

    /// The state folder of a machine that is off is what a backup has.
    pub fn restore(&mut self, machine: usize, backup: Disk) {
        if self.machines[machine].core.is_none() {
            self.tell(format!("m{machine}: its disk is restored from a backup"));
            let newest = self.machines[machine].disk.newest;
            self.machines[machine].disk = Disk { newest, fault: None, refused: Vec::new(), ..backup };
        }
    }

    /// The state on a disk is damaged: its id and how often it was started are not.
    pub fn damage(&mut self, machine: usize) {
        if self.machines[machine].core.is_none() {
            self.tell(format!("m{machine}: the state on its disk is damaged"));
            self.machines[machine].disk.synced = None;
        }
    }

    /// The disk of a machine takes nothing any more.
    pub fn fill_disk(&mut self, machine: usize) {
        self.tell(format!("m{machine}: the disk is full"));
        self.machines[machine].disk.fault = Some(DiskFault::Full);
    }

    /// The disk of a machine hangs from now on.
    pub fn hang_disk(&mut self, machine: usize) {
        self.tell(format!("m{machine}: the disk hangs"));
        self.machines[machine].disk.fault = Some(DiskFault::Hangs);
    }

    /// The disk takes what it is given again: what it has not taken is written.
    pub fn mend_disk(&mut self, machine: usize) {
        let m = &mut self.machines[machine];
        let (delay, was_full) = (MS.min(m.disk_delay), m.disk.is_full());
        m.disk.fault = None;
        for (life, number, durable) in std::mem::take(&mut m.disk.refused) {
            if was_full {
                self.tell(format!("m{machine}: there is room on the disk again"));
            }
            self.later(delay, Happening::Synced { machine, life, number, durable });
        }
    }
}
