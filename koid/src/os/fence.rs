//! The last resort (R7): something is promoted here that should not be, and it cannot be taken down.

use koi_config::Fence;

use crate::os::sys;

/// Fences this node as configured.
pub(crate) fn fence(how: Fence, reason: &str) {
    match how {
        Fence::None => tracing::error!(
            "this node should be fenced, and node.fence is \"none\": {reason}. Something may be promoted on two nodes; look \
             at once, or set node.fence = \"reboot\""
        ),
        // Refused when the configuration is loaded.
        Fence::Watchdog => {
            tracing::error!("this node should be fenced by its watchdog, which is not open: {reason}")
        }
        Fence::Reboot => {
            tracing::error!("rebooting this machine now: {reason}");
            let error = sys::reboot_now();
            tracing::error!(
                "the machine could not be rebooted ({error}): koid needs CAP_SYS_BOOT. Reboot it by hand"
            );
        }
    }
}
