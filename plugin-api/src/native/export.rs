//! From the C ABI to [`NativeHandler`] and back. A panic never crosses the boundary.

use std::any::Any;
use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr;
use std::time::Duration;

use koi_hook::{DownReason, Hook, Observed, StatusReport, TargetRole};

use super::abi::{self, Text};
use super::handler::{Error, Host, Key, NativeHandler, Setup};
use crate::hook::{Circumstances, Context, Failure, Peer, PeerState};

/// Exports a type that implements [`NativeHandler`](crate::native::NativeHandler) as the plugin of this library. Once per library.
#[macro_export]
macro_rules! export_plugin {
    ($handler:ty) => {
        const _: () = {
            const KEYS: &[$crate::native::Key] = <$handler as $crate::native::NativeHandler>::CONFIG;
            static CONFIG: [$crate::native::abi::RawConfigKey; KEYS.len()] =
                $crate::native::config_keys(KEYS);
            /// Read by koi before anything else.
            #[allow(non_upper_case_globals, unsafe_code)]
            #[unsafe(no_mangle)]
            pub static koi_plugin_v1: $crate::native::abi::Plugin =
                $crate::native::table::<$handler>(&CONFIG);
        };
    };
}

/// The table of a plugin; for [`export_plugin!`](crate::export_plugin).
pub const fn table<T: NativeHandler>(config: &'static [abi::RawConfigKey]) -> abi::Plugin {
    let mut hooks = 0;
    let mut at = 0;
    while at < T::HOOKS.len() {
        hooks |= 1 << T::HOOKS[at] as u32;
        at += 1;
    }
    abi::Plugin {
        magic: abi::MAGIC,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        size: size_of::<abi::Plugin>() as u32,
        hooks,
        name: Text::of(T::NAME),
        version: Text::of(T::VERSION),
        description: Text::of(T::DESCRIPTION),
        config: config.as_ptr(),
        config_count: config.len(),
        config_key_size: size_of::<abi::RawConfigKey>() as u32,
        reserved: 0,
        create: Some(create::<T>),
        destroy: Some(destroy::<T>),
        call: Some(call::<T>),
    }
}

/// The declared keys as the table wants them; for [`export_plugin!`](crate::export_plugin). `N` is how many there are.
pub const fn config_keys<const N: usize>(keys: &'static [Key]) -> [abi::RawConfigKey; N] {
    let none = abi::RawConfigKey {
        name: Text::NONE,
        description: Text::NONE,
        default_value: Text::NONE,
        required: 0,
        reserved: 0,
    };
    let mut all = [none; N];
    let mut at = 0;
    while at < N {
        let key = &keys[at];
        all[at].name = Text::of(key.name);
        all[at].description = Text::of(key.description);
        all[at].required = key.required as u32;
        if let Some(default) = key.default {
            all[at].default_value = Text::of(default);
        }
        at += 1;
    }
    all
}

/// Makes an instance: a boxed `T`.
///
/// # Safety
/// As koi_plugin.h says: the pointers lead to whole tables that live until this returns.
unsafe extern "C" fn create<T: NativeHandler>(
    host: *const abi::RawHost,
    setup: *const abi::RawSetup,
    instance: *mut *mut c_void,
) -> i32 {
    // SAFETY: koi's tables are whole and live until this returns; `instance` is koi's, to be written.
    let (host, setup) = unsafe { (host_of(host), setup_of(&*setup)) };
    answer(&host, || {
        let boxed = Box::new(T::create(setup, &host)?);
        // SAFETY: as above.
        unsafe { *instance = Box::into_raw(boxed).cast() };
        Ok(abi::DONE)
    })
}

/// Drops an instance.
///
/// # Safety
/// `instance` came from [`create`] and is not used any more.
unsafe extern "C" fn destroy<T: NativeHandler>(instance: *mut c_void, _host: *const abi::RawHost) {
    let dropped = catch_unwind(|| {
        // SAFETY: `create` made it of a box, and koi gives it back once.
        drop(unsafe { Box::from_raw(instance.cast::<T>()) });
    });
    // The panic has been printed; there is nobody left to fail.
    drop(dropped);
}

/// Runs a hook.
///
/// # Safety
/// `instance` came from [`create`], nobody else uses it now, and the tables are whole and live until this returns.
unsafe extern "C" fn call<T: NativeHandler>(
    instance: *mut c_void,
    host: *const abi::RawHost,
    hook: u32,
    context: *const abi::RawContext,
) -> i32 {
    // SAFETY: the caller vouches for all three, and koi calls one hook at a time.
    let (handler, host, context) =
        unsafe { (&mut *instance.cast::<T>(), host_of(host), context_of(&whole(context))) };
    answer(&host, || {
        match Hook::ALL.get(hook as usize) {
            Some(Hook::Start) => handler.start(&context, &host)?,
            Some(Hook::Stop) => handler.stop(&context, &host)?,
            Some(Hook::Promote) => handler.promote(&context, &host)?,
            Some(Hook::Demote) => handler.demote(&context, &host)?,
            Some(Hook::Failed) => handler.failed(&context, &host)?,
            Some(Hook::Changed) => handler.changed(&context, &host)?,
            Some(Hook::Status) => return Ok(report(&host, &handler.status(&context, &host)?)),
            // A hook of a later minor version, that this table does not name.
            None => return Err(Error::Unsupported),
        }
        Ok(abi::DONE)
    })
}

/// Runs a part of the plugin, and makes a code of whatever comes of it.
fn answer(host: &Host<'_>, work: impl FnOnce() -> Result<i32, Error>) -> i32 {
    let (code, text) = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(code)) => return code,
        Ok(Err(Error::Retry(text))) => (abi::RETRY, text),
        Ok(Err(Error::Fatal(text))) => (abi::FATAL, text),
        Ok(Err(Error::Misconfigured(text))) => (abi::MISCONFIGURED, text),
        Ok(Err(Error::Unsupported)) => return abi::UNSUPPORTED,
        Err(panic) => (abi::BROKEN, format!("it panicked: {}", panic_text(&*panic))),
    };
    host.put(abi::PUT_MESSAGE, "", &text, 0);
    code
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a word",
    }
}

/// Hands over what a status says, all but its code.
fn report(host: &Host<'_>, report: &StatusReport) -> i32 {
    host.put(abi::PUT_MESSAGE, "", &report.message, 0);
    if let Some(score) = report.score {
        host.put(abi::PUT_SCORE, "", "", score);
    }
    for (key, value) in &report.details {
        host.put(abi::PUT_DETAIL, key, value, 0);
    }
    report.processes.iter().for_each(|process| host.process(process));
    match report.observed {
        Observed::Healthy => abi::STATE_OK,
        Observed::Promoted => abi::STATE_PROMOTED,
        Observed::Standby => abi::STATE_STANDBY,
        Observed::Live => abi::STATE_LIVE,
        Observed::Stopped => abi::STATE_STOPPED,
    }
}

/// # Safety
/// What the table points to is there.
unsafe fn setup_of(setup: &abi::RawSetup) -> Setup {
    // SAFETY: the caller vouches for it.
    unsafe {
        Setup {
            service: setup.service.string().unwrap_or_default(),
            home: path(setup.home),
            config: pairs(setup.config, setup.config_count),
        }
    }
}

/// What koi offers, of which an older koi has only the beginning: what is missing is none.
///
/// # Safety
/// Behind the pointer are as many bytes as its `size` says, and they stay during `'h`.
unsafe fn host_of<'h>(host: *const abi::RawHost) -> Host<'h> {
    let mut whole = MaybeUninit::<abi::RawHost>::zeroed();
    // SAFETY: the size is the table's first field; no more than both have is copied, and every koi has all that may not be none.
    unsafe {
        let size = (*host.cast::<u32>()) as usize;
        let bytes = size.min(size_of::<abi::RawHost>());
        ptr::copy_nonoverlapping(host.cast::<u8>(), whole.as_mut_ptr().cast::<u8>(), bytes);
        Host::new(whole.assume_init())
    }
}

/// The context, of which an older koi has only the beginning: what is missing is no text, and zero.
///
/// # Safety
/// Behind the pointer are as many bytes as its `size` says.
unsafe fn whole(context: *const abi::RawContext) -> abi::RawContext {
    let mut whole = MaybeUninit::<abi::RawContext>::zeroed();
    // SAFETY: the size is the table's first field; no more than both have is copied; and zeroes are a context: null pointers and numbers.
    unsafe {
        let size = (*context.cast::<u32>()) as usize;
        let bytes = size.min(size_of::<abi::RawContext>());
        ptr::copy_nonoverlapping(context.cast::<u8>(), whole.as_mut_ptr().cast::<u8>(), bytes);
        whole.assume_init()
    }
}

/// Whether a context of this size has a deadline.
fn has_deadline(size: u32) -> bool {
    size as usize >= offset_of!(abi::RawContext, deadline_ms) + size_of::<u64>()
}

/// The group that is meant where none is named.
const MAIN_GROUP: &str = "main";

fn reason_of(word: &str) -> Option<DownReason> {
    DownReason::ALL.into_iter().find(|reason| reason.as_str() == word)
}

/// # Safety
/// What the table points to is there.
unsafe fn context_of(context: &abi::RawContext) -> Context {
    // SAFETY: the caller vouches for it.
    unsafe {
        Context {
            service: context.service.string().unwrap_or_default(),
            node: context.node.string().unwrap_or_default(),
            node_id: context.node_id.string().unwrap_or_default(),
            cluster: context.cluster.string().unwrap_or_default(),
            call_id: context.call_id,
            attempt: context.attempt,
            role: match context.role {
                abi::ROLE_PROMOTED => TargetRole::Promoted,
                abi::ROLE_STANDBY => TargetRole::Standby,
                _ => TargetRole::None,
            },
            node_state: context.node_state.string().unwrap_or_default(),
            epoch: context.epoch,
            master: context
                .master_name
                .string()
                .map(|name| (name, context.master_address.string().unwrap_or_default())),
            timeout: Duration::from_millis(context.timeout_ms),
            home: path(context.home),
            workdir: path(context.workdir),
            config: pairs(context.config, context.config_count),
            cause: context.failure.as_ref().map(|failure| Failure {
                hook: Hook::ALL.get(failure.hook as usize).copied().unwrap_or(Hook::Status),
                message: failure.message.string().unwrap_or_default(),
                timed_out: failure.timed_out != 0,
            }),
            circumstances: Circumstances {
                reason: context.reason.string().as_deref().and_then(reason_of),
                left: has_deadline(context.size).then(|| Duration::from_millis(context.deadline_ms)),
                promoted_epoch: context.promoted_epoch,
                group: context.group.string().filter(|group| group != MAIN_GROUP),
                previous: context.previous_master.string().map(|name| (name, context.previous_epoch)),
                peers: peers(context),
            },
            access: None,
        }
    }
}

/// The other nodes, each as far as this koi tells of it; none: nothing is known of them.
///
/// # Safety
/// As many of them as the context says are there, each `peer_size` bytes after the one before, with their texts.
unsafe fn peers(context: &abi::RawContext) -> Option<Vec<Peer>> {
    if context.peers.is_null() {
        return None;
    }
    let step = context.peer_size as usize;
    let state = |word: Option<String>| {
        let known = PeerState::ALL.into_iter().find(|state| word.as_deref() == Some(state.as_str()));
        known.unwrap_or(PeerState::Disconnected)
    };
    let one = |place: usize| {
        let mut whole = MaybeUninit::<abi::RawPeer>::zeroed();
        // SAFETY: the caller vouches for it; no more than both have is copied, and zeroes are a peer without texts.
        unsafe {
            let from = context.peers.cast::<u8>().add(place * step);
            let bytes = step.min(size_of::<abi::RawPeer>());
            ptr::copy_nonoverlapping(from, whole.as_mut_ptr().cast::<u8>(), bytes);
            let peer = whole.assume_init();
            Peer {
                name: peer.name.string().unwrap_or_default(),
                state: state(peer.state.string()),
                promotable: peer.promotable != 0,
                score: (peer.scored != 0).then_some(peer.score),
                address: peer.address.string(),
            }
        }
    };
    Some((0..context.peers_count).map(one).collect())
}

/// # Safety
/// As [`Text::bytes`].
unsafe fn path(text: Text) -> PathBuf {
    // SAFETY: the caller vouches for it.
    PathBuf::from(unsafe { text.string() }.unwrap_or_default())
}

/// # Safety
/// `first` points to `count` pairs whose texts are there; with a `count` of 0 it may be null.
unsafe fn pairs(first: *const abi::Pair, count: usize) -> Vec<(String, String)> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe {
        let pairs = std::slice::from_raw_parts(first, count);
        pairs
            .iter()
            .map(|p| (p.key.string().unwrap_or_default(), p.value.string().unwrap_or_default()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(reason: &[u8]) -> abi::RawContext {
        abi::RawContext {
            size: size_of::<abi::RawContext>() as u32,
            attempt: 1,
            call_id: 2,
            epoch: 3,
            timeout_ms: 60_000,
            role: abi::ROLE_STANDBY,
            reserved: 0,
            service: Text::of("db"),
            node: Text::of("a"),
            node_id: Text::NONE,
            cluster: Text::NONE,
            node_state: Text::NONE,
            master_name: Text::NONE,
            master_address: Text::NONE,
            home: Text::NONE,
            workdir: Text::NONE,
            config: ptr::null(),
            config_count: 0,
            failure: ptr::null(),
            deadline_ms: 900,
            promoted_epoch: 5,
            previous_epoch: 4,
            previous_master: Text::of("b"),
            reason: Text { data: reason.as_ptr(), len: reason.len() },
            group: Text::of("db"),
            peers: ptr::null(),
            peers_count: 0,
            peer_size: size_of::<abi::RawPeer>() as u32,
            reserved_peers: 0,
        }
    }

    fn told(context: &abi::RawContext) -> Context {
        // SAFETY: it is whole, or says how far it goes.
        unsafe { context_of(&whole(context)) }
    }

    #[test]
    fn the_circumstances_of_a_call_come_along() {
        let told = told(&context(b"lease-lost"));
        let left = Some(Duration::from_millis(900));
        let previous = Some(("b".to_owned(), 4));
        let reason = Some(DownReason::LeaseLost);
        assert_eq!(
            told.circumstances,
            Circumstances {
                reason,
                left,
                promoted_epoch: 5,
                previous,
                group: Some("db".to_owned()),
                peers: None
            }
        );
    }

    #[test]
    fn the_other_nodes_come_along_each_as_far_as_it_is_told_of() {
        #[repr(C)]
        struct Later {
            known: abi::RawPeer,
            more: u64,
        }
        let peer = |name: &'static str, scored| Later {
            known: abi::RawPeer {
                name: Text::of(name),
                state: Text::of("Standby"),
                address: Text::NONE,
                score: -7,
                scored,
                promotable: 1,
            },
            more: u64::MAX,
        };
        let all = [peer("b", 1), peer("c", 0)];
        let told = told(&abi::RawContext {
            peers: all.as_ptr().cast(),
            peers_count: 2,
            peer_size: size_of::<Later>() as u32,
            ..context(b"")
        });
        let expected = |name: &str, score| Peer {
            name: name.to_owned(),
            state: PeerState::Standby,
            promotable: true,
            score,
            address: None,
        };
        assert_eq!(told.circumstances.peers, Some(vec![expected("b", Some(-7)), expected("c", None)]));
        assert_eq!(all[0].more, u64::MAX);
    }

    #[test]
    fn an_older_koi_says_nothing_of_them() {
        let size = offset_of!(abi::RawContext, deadline_ms) as u32;
        let told = told(&abi::RawContext { size, ..context(b"failed") });
        assert_eq!((told.service.as_str(), told.epoch), ("db", 3));
        assert_eq!(told.circumstances, Circumstances::default());
        assert_eq!(told.time_left(), Duration::from_secs(60));
    }

    #[test]
    fn main_is_the_group_of_a_koi_that_names_none() {
        assert_eq!(
            told(&abi::RawContext { group: Text::of("main"), ..context(b"") }).circumstances.group,
            None
        );
        let size = offset_of!(abi::RawContext, group) as u32;
        let told = told(&abi::RawContext { size, ..context(b"ordered") });
        assert_eq!((told.circumstances.reason, told.circumstances.group), (Some(DownReason::Ordered), None));
    }

    #[test]
    fn a_reason_of_a_later_version_is_none() {
        assert_eq!(told(&context(b"bored")).circumstances.reason, None);
    }
}
