//! A change of leader alone demotes nobody.

use crate::world::World;

/// What a change of leader must leave as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masters {
    masters: Vec<usize>,
    demotes: u64,
}

impl Masters {
    /// As they are now.
    pub fn of(world: &World) -> Masters {
        Masters { masters: world.masters(), demotes: world.demotes }
    }

    /// Whether all is still so.
    pub fn unmoved(&self, world: &World) -> Result<(), String> {
        let now = Masters::of(world);
        match now == *self {
            true => Ok(()),
            false => Err(format!(
                "a change of leader moved the master from {:?} to {:?}",
                self.masters, now.masters
            )),
        }
    }
}
