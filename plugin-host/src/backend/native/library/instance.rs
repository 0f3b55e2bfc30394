//! Calling the functions of a plugin.

use std::ffi::c_void;
use std::ptr;

use koi_plugin_api::native::abi::{self, Pair, Text};

use crate::backend::native::helper::protocol::{
    AttributesAnswer, AttributesAsk, CallRequest, CreateRequest, PeerRequest,
};
use crate::backend::native::library::callbacks::Link;

/// An instance of the plugin, and the table of callbacks that it was given.
pub(crate) struct Instance {
    table: &'static abi::Plugin,
    host: &'static abi::RawHost,
    /// The plugin's own.
    instance: *mut c_void,
}

impl Instance {
    /// Makes one; with any other code than done there is none.
    pub(crate) fn create(
        table: &'static abi::Plugin,
        link: &'static Link,
        order: &CreateRequest,
    ) -> (i32, Option<Instance>) {
        let host: &'static abi::RawHost = Box::leak(Box::new(abi::RawHost {
            size: size_of::<abi::RawHost>() as u32,
            reserved: 0,
            self_: ptr::from_ref(link).cast_mut().cast(),
            put,
            log,
            remaining_ms,
            epoch_current,
            attributes: Some(attributes),
            set_attribute: Some(set_attribute),
        }));
        let (service, home) = (CText::new(&order.service), CText::new(&order.home));
        let config = CPairs::new(&order.config);
        let setup = abi::RawSetup {
            size: size_of::<abi::RawSetup>() as u32,
            reserved: 0,
            service: service.text(),
            home: home.text(),
            config: config.pairs.as_ptr(),
            config_count: config.pairs.len(),
        };
        let mut instance = ptr::null_mut();
        // A table without it was refused.
        let Some(create) = table.create else { return (abi::BROKEN, None) };
        // SAFETY: the tables are whole and live until it returns, as koi_plugin.h promises.
        let code = unsafe { create(host, &setup, &mut instance) };
        flush();
        (code, (code == abi::DONE).then_some(Instance { table, host, instance }))
    }

    /// Runs a hook.
    pub(crate) fn call(&mut self, order: &CallRequest) -> i32 {
        let [service, node, node_id, cluster, node_state, home, workdir, group] = [
            &order.service,
            &order.node,
            &order.node_id,
            &order.cluster,
            &order.node_state,
            &order.home,
            &order.workdir,
            &order.group,
        ]
        .map(|text| CText::new(text));
        let master = order.master.as_ref().map(|(name, address)| (CText::new(name), CText::new(address)));
        let previous = order.previous.as_ref().map(|(name, epoch)| (CText::new(name), *epoch));
        let reason = order.reason.as_ref().map(|reason| CText::new(reason));
        let (config, failure) = (CPairs::new(&order.config), order.failure.as_ref());
        let failure = failure.map(|(hook, message, timed_out)| (*hook, CText::new(message), *timed_out));
        let failure = failure.as_ref().map(|(hook, message, timed_out)| abi::RawFailure {
            size: size_of::<abi::RawFailure>() as u32,
            hook: *hook,
            timed_out: u32::from(*timed_out),
            reserved: 0,
            message: message.text(),
        });
        let texts: Option<Vec<CPeer>> = order.peers.as_ref().map(|all| all.iter().map(CPeer::new).collect());
        let peers: Option<Vec<abi::RawPeer>> = texts.as_ref().map(|all| all.iter().map(CPeer::raw).collect());
        let context = abi::RawContext {
            size: size_of::<abi::RawContext>() as u32,
            attempt: order.attempt,
            call_id: order.call_id,
            epoch: order.epoch,
            timeout_ms: order.timeout_ms,
            role: order.role,
            reserved: 0,
            service: service.text(),
            node: node.text(),
            node_id: node_id.text(),
            cluster: cluster.text(),
            node_state: node_state.text(),
            master_name: master.as_ref().map_or(Text::NONE, |(name, _)| name.text()),
            master_address: master.as_ref().map_or(Text::NONE, |(_, address)| address.text()),
            home: home.text(),
            workdir: workdir.text(),
            config: config.pairs.as_ptr(),
            config_count: config.pairs.len(),
            failure: failure.as_ref().map_or(ptr::null(), ptr::from_ref),
            deadline_ms: order.deadline_ms,
            promoted_epoch: order.promoted_epoch,
            previous_epoch: previous.as_ref().map_or(0, |(_, epoch)| *epoch),
            previous_master: previous.as_ref().map_or(Text::NONE, |(name, _)| name.text()),
            reason: reason.as_ref().map_or(Text::NONE, CText::text),
            group: group.text(),
            peers: peers.as_ref().map_or(ptr::null(), |all| all.as_ptr()),
            peers_count: peers.as_ref().map_or(0, Vec::len),
            peer_size: size_of::<abi::RawPeer>() as u32,
            reserved_peers: 0,
        };
        let Some(call) = self.table.call else { return abi::BROKEN };
        // SAFETY: as above; the instance is the plugin's own, and nobody else uses it.
        let code = unsafe { call(self.instance, self.host, order.hook, &context) };
        flush();
        code
    }

    /// Ends it.
    pub(crate) fn destroy(self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: it is the plugin's own, given back once.
            unsafe { destroy(self.instance, self.host) };
        }
        flush();
    }
}

/// What the plugin has printed through C's library may lie there still: it belongs to this call.
fn flush() {
    // SAFETY: null stands for every stream that is open.
    unsafe { nix::libc::fflush(ptr::null_mut()) };
}

/// A text for the plugin, with the zero byte that koi_plugin.h promises.
struct CText(Vec<u8>);

impl CText {
    fn new(text: &str) -> CText {
        CText([text.as_bytes(), &[0]].concat())
    }

    fn text(&self) -> Text {
        Text { data: self.0.as_ptr(), len: self.0.len() - 1 }
    }
}

/// Another node, for the plugin.
struct CPeer {
    name: CText,
    state: CText,
    address: Option<CText>,
    score: Option<i64>,
    promotable: bool,
}

impl CPeer {
    fn new(peer: &PeerRequest) -> CPeer {
        CPeer {
            name: CText::new(&peer.name),
            state: CText::new(&peer.state),
            address: peer.address.as_ref().map(|address| CText::new(address)),
            score: peer.score,
            promotable: peer.promotable,
        }
    }

    fn raw(&self) -> abi::RawPeer {
        abi::RawPeer {
            name: self.name.text(),
            state: self.state.text(),
            address: self.address.as_ref().map_or(Text::NONE, CText::text),
            score: self.score.unwrap_or(0),
            scored: u32::from(self.score.is_some()),
            promotable: u32::from(self.promotable),
        }
    }
}

/// `[config]` for the plugin.
struct CPairs {
    pairs: Vec<Pair>,
    /// What the pairs point to.
    _texts: Vec<(CText, CText)>,
}

impl CPairs {
    fn new(config: &[(String, String)]) -> CPairs {
        let texts: Vec<_> = config.iter().map(|(key, value)| (CText::new(key), CText::new(value))).collect();
        let pairs = texts.iter().map(|(key, value)| Pair { key: key.text(), value: value.text() }).collect();
        CPairs { pairs, _texts: texts }
    }
}

/// # Safety
/// `self_` is that of the table that koi gave.
unsafe fn link<'l>(self_: *mut c_void) -> &'l Link {
    // SAFETY: it points to a link that is never freed.
    unsafe { &*self_.cast::<Link>() }
}

unsafe extern "C" fn put(self_: *mut c_void, what: u32, key: Text, value: Text, number: i64) {
    // SAFETY: the plugin hands back `self`, and texts that are there until this returns.
    let (link, key, value) = unsafe { (link(self_), key.string(), value.string()) };
    link.put(what, &key.unwrap_or_default(), &value.unwrap_or_default(), number);
}

unsafe extern "C" fn log(self_: *mut c_void, level: u32, line: Text) {
    // SAFETY: as above.
    let (link, line) = unsafe { (link(self_), line.string()) };
    link.log(level, &line.unwrap_or_default());
}

unsafe extern "C" fn remaining_ms(self_: *mut c_void) -> u64 {
    // SAFETY: as above.
    unsafe { link(self_) }.remaining_ms()
}

unsafe extern "C" fn epoch_current(self_: *mut c_void) -> u32 {
    // SAFETY: as above.
    u32::from(unsafe { link(self_) }.epoch_current())
}

unsafe extern "C" fn attributes(self_: *mut c_void, fresh: u32, take: abi::TakeFn, to: *mut c_void) -> i32 {
    // SAFETY: as above.
    let answer = unsafe { link(self_) }.ask_attributes(AttributesAsk::Read(fresh != 0));
    let (code, word) = match answer {
        AttributesAnswer::Read(version, values) => {
            for (key, value) in &values {
                let key = CText::new(key);
                // SAFETY: as below.
                unsafe { give(take, to, key.text(), value) };
            }
            (abi::DONE, version)
        }
        AttributesAnswer::Refused(code, why) => (code, why),
        AttributesAnswer::Written => (abi::ATTRIBUTES_UNAVAILABLE, "koid answered something else".to_owned()),
    };
    // SAFETY: `take` and `to` are the plugin's own, and go together.
    unsafe { give(take, to, Text::NONE, &word) };
    code
}

unsafe extern "C" fn set_attribute(
    self_: *mut c_void,
    key: Text,
    value: Text,
    take: abi::TakeFn,
    to: *mut c_void,
) -> i32 {
    // SAFETY: as above.
    let (link, key, value) = unsafe { (link(self_), key.string(), value.string()) };
    let (code, why) = match link.ask_attributes(AttributesAsk::Write(key.unwrap_or_default(), value)) {
        AttributesAnswer::Written => return abi::DONE,
        AttributesAnswer::Refused(code, why) => (code, why),
        AttributesAnswer::Read(..) => (abi::ATTRIBUTES_UNKNOWN, "koid answered something else".to_owned()),
    };
    // SAFETY: as above.
    unsafe { give(take, to, Text::NONE, &why) };
    code
}

/// # Safety
/// `take` is the plugin's, and takes `to`.
unsafe fn give(take: abi::TakeFn, to: *mut c_void, key: Text, value: &str) {
    let value = CText::new(value);
    if let Some(take) = take {
        // SAFETY: the caller vouches for it; the texts are there until it returns.
        unsafe { take(to, key, value.text()) };
    }
}
