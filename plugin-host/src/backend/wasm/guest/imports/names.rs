//! `wasi:sockets/ip-name-lookup`: koid looks the names up. wasmtime-wasi would do so in this process, which is to have neither the threads
//! nor the files for that.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::vec;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use url::Host as UrlHost;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    Host, HostResolveAddressStream, ResolveAddressStream, add_to_linker,
};
use wasmtime_wasi::p2::bindings::sockets::network;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, HostNetwork, IpAddress};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, SocketError, subscribe};
use wasmtime_wasi::sockets::{WasiSocketsCtxView, WasiSocketsView};

use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::protocol::{LookupAnswer, may_be_looked_up};

/// Lets guests of `linker` look names up.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    add_to_linker::<Guest, HasNames>(linker, |guest| Names {
        link: guest.call.link.clone(),
        sockets: guest.sockets(),
    })
}

struct HasNames;

impl HasData for HasNames {
    type Data<'a> = Names<'a>;
}

/// What a look-up takes of a guest.
struct Names<'a> {
    link: Arc<Link>,
    sockets: WasiSocketsCtxView<'a>,
}

/// What the guest knows as a [`ResolveAddressStream`]. Nobody but wasmtime-wasi can make one of these; but to the guest a resource is a
/// number in the table, and what stands there is known here alone.
enum Resolution {
    Waits(oneshot::Receiver<LookupAnswer>),
    Done(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

impl Resolution {
    fn new(name: &str, link: &Link) -> Resolution {
        let name = match UrlHost::parse(name) {
            Ok(UrlHost::Domain(name)) => name,
            Ok(UrlHost::Ipv4(ip)) => return Resolution::known(ip.into()),
            Ok(UrlHost::Ipv6(ip)) => return Resolution::known(ip.into()),
            // In a URL it has brackets.
            Err(_) => match name.parse::<Ipv6Addr>() {
                Ok(ip) => return Resolution::known(ip.into()),
                Err(_) => return Resolution::Done(Err(ErrorCode::InvalidArgument)),
            },
        };
        match may_be_looked_up(&name) {
            true => Resolution::Waits(link.look_up(name)),
            // Longer than any name is.
            false => Resolution::Done(Err(ErrorCode::NameUnresolvable)),
        }
    }

    fn known(ip: IpAddr) -> Resolution {
        Resolution::Done(Ok(vec![ip].into_iter()))
    }

    fn answered(answer: Option<LookupAnswer>) -> Resolution {
        Resolution::Done(match answer {
            Some(LookupAnswer::Addresses(ips)) => Ok(ips.into_iter()),
            Some(LookupAnswer::Unknown) => Err(ErrorCode::NameUnresolvable),
            Some(LookupAnswer::Busy) => Err(ErrorCode::TemporaryResolverFailure),
            // A component that only says what it is has nobody to ask.
            None => Err(ErrorCode::PermanentResolverFailure),
        })
    }

    fn next(&mut self) -> Result<Option<IpAddr>, ErrorCode> {
        if let Resolution::Waits(receiver) = self {
            *self = match receiver.try_recv() {
                Ok(answer) => Resolution::answered(Some(answer)),
                Err(TryRecvError::Closed) => Resolution::answered(None),
                Err(TryRecvError::Empty) => return Err(ErrorCode::WouldBlock),
            };
        }
        match self {
            Resolution::Done(Ok(ips)) => Ok(ips.next()),
            Resolution::Done(Err(code)) => Err(*code),
            Resolution::Waits(_) => Err(ErrorCode::WouldBlock),
        }
    }
}

#[async_trait]
impl Pollable for Resolution {
    async fn ready(&mut self) {
        if let Resolution::Waits(receiver) = self {
            *self = Resolution::answered(receiver.await.ok());
        }
    }
}

fn borrowed(stream: &Resource<ResolveAddressStream>) -> Resource<Resolution> {
    Resource::new_borrow(stream.rep())
}

impl Host for Names<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        self.sockets.table.get(&network)?;
        let resolution = Resolution::new(&name, &self.link);
        if let Resolution::Done(Err(code)) = &resolution {
            return Err((*code).into());
        }
        Ok(Resource::new_own(self.sockets.table.push(resolution)?.rep()))
    }
}

impl HostResolveAddressStream for Names<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        Ok(self.sockets.table.get_mut(&borrowed(&stream))?.next()?.map(IpAddress::from))
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.sockets.table, borrowed(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.sockets.table.delete(Resource::<Resolution>::new_own(stream.rep()))?;
        Ok(())
    }
}

/// As wasmtime-wasi has it: errors of its kind become those that the guest knows.
impl network::Host for Names<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.sockets.convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets.network_error_code(error)
    }
}

impl HostNetwork for Names<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.sockets, network)
    }
}
