//! What has the hook `changed` was told how its group is, once nothing moves any more.

use koi_core::types::{Hook, ServiceState};

use crate::machine::Heard;
use crate::world::World;

/// A service that stands and was told something else than is so, or nothing.
pub(super) fn untold(world: &World) -> Option<String> {
    for (at, machine) in world.machines.iter().enumerate() {
        let (Some(core), Some(view)) = (&machine.core, world.view(at)) else { continue };
        let hears = |(group, specs)| {
            let specs: &Vec<koi_core::io::ServiceSpec> = specs;
            specs.iter().filter(|spec| spec.hooks.has(Hook::Changed)).map(move |spec| (group, &spec.name))
        };
        for (group, name) in machine.folders.iter().flat_map(hears) {
            let in_group = view
                .groups
                .iter()
                .find(|g| g.name == *group)
                .and_then(|g| g.own.as_ref())
                .map(|own| &own.services);
            let shown = in_group.unwrap_or(&view.services).iter().find(|s| s.name == *name);
            let waits = |message: &String| message.contains("`changed` fails");
            let rests = shown.is_some_and(|s| {
                !s.message.as_ref().is_some_and(waits)
                    && s.hook.is_none()
                    && matches!(s.state, ServiceState::Started | ServiceState::Promoted)
            });
            let Some(others) = core.roster(group).filter(|_| rests) else { continue };
            let master = core.applied().group(group).master.as_ref().map(|m| m.name.clone());
            let so = Heard::new(master, &others);
            let heard = machine.services.get(name).and_then(|real| real.heard.as_ref());
            if heard != Some(&so) {
                return Some(format!(
                    "in calm {name} of {group} on m{at} was told {heard:?}, and it is {so:?}"
                ));
            }
        }
    }
    None
}
