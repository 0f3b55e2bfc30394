//! What a guest has of the host while one call runs.

use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::AbortSignal;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::backend::wasm::guest::imports::http::HttpGate;
use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::guest::run::test_time::TestTime;
use crate::backend::wasm::limits::{Limiter, MemoryMark};

/// The data of one call's wasmtime store.
pub(crate) struct Guest {
    /// Directories, variables, sockets: what `[grants]` names.
    pub(crate) wasi: WasiCtx,
    /// Outgoing HTTP.
    pub(crate) http: WasiHttpCtx,
    /// Looks at every request before it is sent.
    pub(crate) http_gate: HttpGate,
    /// The resources that the guest holds.
    pub(crate) table: ResourceTable,
    /// Bounds its memory.
    pub(crate) limits: Limiter,
    /// The call itself.
    pub(crate) call: GuestCall,
}

/// One call, as the host's functions see it.
pub(crate) struct GuestCall {
    /// The way to koid.
    pub(crate) link: Arc<Link>,
    /// When it should be over: at its time-out, or when lease and grace are.
    pub(crate) deadline: Instant,
    /// Tells when it is to end earlier.
    pub(crate) abort: AbortSignal,
    /// `context.epoch`.
    pub(crate) epoch: u64,
    /// In a test: its time.
    pub(crate) test: Option<TestTime>,
    /// How far its memory has grown.
    pub(crate) memory: MemoryMark,
}

impl GuestCall {
    /// What is left of its time; nothing once koi wants it to end.
    pub(crate) fn remaining(&self) -> Duration {
        match self.abort.asked() {
            Some(_) => Duration::ZERO,
            None => self.deadline.saturating_duration_since(Instant::now()).saturating_sub(self.slept()),
        }
    }

    /// What of the call's time was slept away at once.
    fn slept(&self) -> Duration {
        self.test.as_ref().map(TestTime::spared).unwrap_or_default()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http_gate, table: &mut self.table, ctx: &mut self.http }
    }
}
