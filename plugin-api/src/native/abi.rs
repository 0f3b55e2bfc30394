//! The tables and constants of `include/koi_plugin.h`, name by name. What a field means stands there; `tests/header.rs` compares
//! sizes, offsets and values.
//!
//! Room to grow: every table that may grow begins with its size or is reached by a stride. A minor version appends fields and
//! callbacks, and adds codes; whoever reads a field that came with a minor version looks at the size first, and an older koi ignores a code
//! that it does not know. What the header does not mark as later is 1.0, and is there in every 1.x.

#![allow(missing_docs)] // The header documents each of them, once.

use std::ffi::c_void;

pub const MAGIC: u32 = 0x3169_6f6b;
pub const ABI_MAJOR: u16 = 1;
pub const ABI_MINOR: u16 = 2;

pub const HOOK_START: u32 = 0;
pub const HOOK_STOP: u32 = 1;
pub const HOOK_PROMOTE: u32 = 2;
pub const HOOK_DEMOTE: u32 = 3;
pub const HOOK_STATUS: u32 = 4;
pub const HOOK_FAILED: u32 = 5;
/// `KOI_HOOK_CHANGED`, since 1.2.
pub const HOOK_CHANGED: u32 = 6;
pub const HOOKS_ALL: u32 = 0x3f;

pub const DONE: i32 = 0;
pub const RETRY: i32 = 1;
pub const FATAL: i32 = 2;
pub const MISCONFIGURED: i32 = 3;
pub const UNSUPPORTED: i32 = 4;
pub const BROKEN: i32 = 5;

pub const STATE_OK: i32 = 0;
pub const STATE_PROMOTED: i32 = 16;
pub const STATE_STANDBY: i32 = 17;
pub const STATE_LIVE: i32 = 18;
pub const STATE_STOPPED: i32 = 19;
pub const STATE_FAILED: i32 = 20;

pub const ROLE_NONE: u32 = 0;
pub const ROLE_STANDBY: u32 = 1;
pub const ROLE_PROMOTED: u32 = 2;

pub const PUT_MESSAGE: u32 = 0;
pub const PUT_SCORE: u32 = 1;
pub const PUT_DETAIL: u32 = 2;
pub const PUT_PROCESS: u32 = 3;

pub const ATTRIBUTES_NOT_MASTER: i32 = 32;
pub const ATTRIBUTES_INVALID: i32 = 33;
pub const ATTRIBUTES_UNAVAILABLE: i32 = 34;
pub const ATTRIBUTES_UNKNOWN: i32 = 35;

pub const ATTRIBUTE_KEY_BYTES: usize = koi_hook::ATTRIBUTE_KEY_BYTES;
pub const ATTRIBUTE_VALUE_BYTES: usize = koi_hook::ATTRIBUTE_VALUE_BYTES;

pub const LOG_TRACE: u32 = 0;
pub const LOG_DEBUG: u32 = 1;
pub const LOG_INFO: u32 = 2;
pub const LOG_WARN: u32 = 3;
pub const LOG_ERROR: u32 = 4;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    pub data: *const u8,
    pub len: usize,
}

impl Text {
    /// No text at all, which is something else than an empty one.
    pub const NONE: Text = Text { data: std::ptr::null(), len: 0 };

    /// The text, borrowed: it must live as long as this is used.
    pub const fn of(text: &str) -> Text {
        Text { data: text.as_ptr(), len: text.len() }
    }

    /// Its bytes; none: [`Text::NONE`].
    ///
    /// # Safety
    /// `data` is null, or points to `len` bytes that stay unchanged during `'a`.
    pub unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        if self.data.is_null() {
            return None;
        }
        // SAFETY: the caller vouches for it.
        Some(unsafe { std::slice::from_raw_parts(self.data, self.len) })
    }

    /// As a string, what is not UTF-8 replaced; none: [`Text::NONE`].
    ///
    /// # Safety
    /// As [`Text::bytes`].
    pub unsafe fn string(self) -> Option<String> {
        // SAFETY: the caller vouches for it.
        unsafe { self.bytes() }.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Pair {
    pub key: Text,
    pub value: Text,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawConfigKey {
    pub name: Text,
    pub description: Text,
    pub default_value: Text,
    pub required: u32,
    pub reserved: u32,
}

/// `koi_take`; none: NULL.
pub type TakeFn = Option<unsafe extern "C" fn(to: *mut c_void, key: Text, value: Text)>;
pub type AttributesFn =
    unsafe extern "C" fn(self_: *mut c_void, fresh: u32, take: TakeFn, to: *mut c_void) -> i32;
pub type SetAttributeFn =
    unsafe extern "C" fn(self_: *mut c_void, key: Text, value: Text, take: TakeFn, to: *mut c_void) -> i32;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawHost {
    pub size: u32,
    pub reserved: u32,
    pub self_: *mut c_void,
    pub put: unsafe extern "C" fn(self_: *mut c_void, what: u32, key: Text, value: Text, number: i64),
    pub log: unsafe extern "C" fn(self_: *mut c_void, level: u32, line: Text),
    pub remaining_ms: unsafe extern "C" fn(self_: *mut c_void) -> u64,
    pub epoch_current: unsafe extern "C" fn(self_: *mut c_void) -> u32,
    /// None: an older koi.
    pub attributes: Option<AttributesFn>,
    pub set_attribute: Option<SetAttributeFn>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawSetup {
    pub size: u32,
    pub reserved: u32,
    pub service: Text,
    pub home: Text,
    pub config: *const Pair,
    pub config_count: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawFailure {
    pub size: u32,
    pub hook: u32,
    pub timed_out: u32,
    pub reserved: u32,
    pub message: Text,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawContext {
    pub size: u32,
    pub attempt: u32,
    pub call_id: u64,
    pub epoch: u64,
    pub timeout_ms: u64,
    pub role: u32,
    pub reserved: u32,
    pub service: Text,
    pub node: Text,
    pub node_id: Text,
    pub cluster: Text,
    pub node_state: Text,
    pub master_name: Text,
    pub master_address: Text,
    pub home: Text,
    pub workdir: Text,
    pub config: *const Pair,
    pub config_count: usize,
    pub failure: *const RawFailure,
    pub deadline_ms: u64,
    pub promoted_epoch: u64,
    pub previous_epoch: u64,
    pub previous_master: Text,
    pub reason: Text,
    pub group: Text,
    /// Null: nothing is known of them.
    pub peers: *const RawPeer,
    pub peers_count: usize,
    /// From one of them to the next.
    pub peer_size: u32,
    pub reserved_peers: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawPeer {
    pub name: Text,
    pub state: Text,
    pub address: Text,
    pub score: i64,
    pub scored: u32,
    pub promotable: u32,
}

pub type CreateFn =
    unsafe extern "C" fn(host: *const RawHost, setup: *const RawSetup, instance: *mut *mut c_void) -> i32;
pub type DestroyFn = unsafe extern "C" fn(instance: *mut c_void, host: *const RawHost);
pub type CallFn = unsafe extern "C" fn(
    instance: *mut c_void,
    host: *const RawHost,
    hook: u32,
    context: *const RawContext,
) -> i32;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plugin {
    pub magic: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub size: u32,
    pub hooks: u32,
    pub name: Text,
    pub version: Text,
    pub description: Text,
    pub config: *const RawConfigKey,
    pub config_count: usize,
    pub config_key_size: u32,
    pub reserved: u32,
    pub create: Option<CreateFn>,
    pub destroy: Option<DestroyFn>,
    pub call: Option<CallFn>,
}

// SAFETY: both are constant tables, whose pointers lead to other constants; nothing is ever written through them.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Sync for RawConfigKey {}
