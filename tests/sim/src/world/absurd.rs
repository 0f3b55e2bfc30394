//! What an authenticated peer may say that no node of the cluster can have come to.

use std::collections::BTreeMap;
use std::time::Duration;

use koi_core::message::{Body, Heartbeat, NodeInfo, PreVote, RULES, RequestVote, StaleTerm};
use koi_core::record::{Record, StateOrigin};
use koi_core::settings::Settings;
use koi_core::types::{Epoch, Term, Version};

/// One of them.
pub(crate) fn body(draw: u64, term: Term, record: Record, settings: &Settings) -> Body {
    let far = Term([u64::MAX, u64::MAX - 1, 1 << 47, term.0 + (1 << 33)][(draw >> 8) as usize % 4]);
    let info = NodeInfo {
        name: settings.name.clone(),
        elector: true,
        runner: settings.runner,
        origin: StateOrigin::Member,
        agreed: settings.agreed(),
        rules: RULES,
        ..NodeInfo::default()
    };
    let next = Term(term.0 + 1);
    let beat = |term: Term, lease: Duration, record: Record| {
        let (committed, number) = (record.version, 1);
        let (info, master_address, address) = (info.clone(), None, None);
        Body::Heartbeat(Heartbeat {
            info,
            term,
            number,
            lease,
            record,
            committed,
            master_address,
            address,
            other_masters: BTreeMap::new(),
        })
    };
    let at = |term: Term, n: u64| Record { version: Version { term, n }, ..record.clone() };
    let lease = settings.leader_lease;
    match draw % 8 {
        0 => beat(far, lease, at(term, record.version.n)),
        1 => beat(next, Duration::from_secs(3600), at(term, record.version.n)),
        2 => beat(next, Duration::from_micros(u64::MAX), at(term, record.version.n)),
        3 => beat(next, lease, at(next, u64::MAX)),
        4 => beat(next, lease, at(far, record.version.n)),
        5 => beat(next, lease, Record { last_epoch: Epoch(u64::MAX), ..at(term, record.version.n) }),
        6 => Body::StaleTerm(StaleTerm { newest: far }),
        _ if draw & 1 << 20 == 0 => {
            Body::RequestVote(RequestVote { info, term: far, founding: Default::default() })
        }
        _ => Body::PreVote(PreVote { info, term: far, founding: Default::default() }),
    }
}
