//! The calls that only Linux has: a port to another system begins here.
//!
//! The one module of the daemon that may use `unsafe`.

#![allow(unsafe_code)]

mod clock;
mod files;
mod message_socket;
mod network;
mod process;
mod scheduling;
mod signals;
mod watchdog;

pub(crate) use clock::{BootTimer, local_time, now};
pub(crate) use files::{give_to_group, lock_file, random_u64};
pub(crate) use message_socket::{message_socket, receive_message, send_message, wait_readable};
pub(crate) use network::{Interface, address_towards, interfaces, is_hung_up, watch_socket};
pub(crate) use process::{
    ExitOutcome, Forked, execute_anew, fork, kill_parent, kill_self, leave_terminal, parent, reap_any,
    reboot_now,
};
pub(crate) use scheduling::{lock_memory, make_realtime};
pub(crate) use signals::{
    BlockedSignals, hold_all_signals, is_for_koid, let_signals_go, next_signal, pass_on,
};
#[cfg(test)]
pub(crate) use watchdog::open_fifo_for_tests;
pub(crate) use watchdog::{open_device, set_watchdog_timeout};
