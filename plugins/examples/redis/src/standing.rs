//! What a server's data is worth, and what that makes of it: pure.

use std::net::SocketAddr;

use crate::config::NOWHERE;
use crate::info::{Info, Source};

/// The key in which a master's server keeps the epoch of its mastership. It travels with the data, to replicas and to disk: whoever
/// has it has the writes that came before it, and a server that was cut off is known by its older one.
pub const EPOCH_KEY: &str = "koi:epoch";

/// How much of what was ever written a server holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The mastership whose writes it holds, by [`EPOCH_KEY`]; 0: of none.
    pub epoch: u64,
    /// How far it is in that mastership's stream of writes, in bytes.
    pub offset: u64,
    /// How many keys it has.
    pub keys: u64,
}

/// A quarter of the numbers that a score can have.
const BAND: u64 = 1 << 62;

impl Standing {
    /// The promotion score: data of the newest mastership goes before older data, that before data of unknown origin; within each it
    /// goes by offset. A score is as old as the last `status`: [`Standing::lacks`] is asked before a promotion.
    pub fn score(self, newest_epoch: u64) -> i64 {
        let (band, place) = match self.epoch {
            0 => (i64::MIN, self.keys.min(BAND - 1)),
            epoch if epoch < newest_epoch => (-(BAND as i64), self.offset % BAND),
            _ => (0, self.offset % BAND),
        };
        // Each band is as long as `place` can be: it always fits.
        band + place as i64
    }

    /// Whether writes would be lost if this server became the master instead of `other`.
    pub fn lacks(self, other: Standing) -> bool {
        match (self.epoch, other.epoch) {
            // Before the first mastership offsets are of different streams: data at all goes before none.
            (0, 0) => self.keys == 0 && other.keys > 0,
            (own, others) if own == others => self.offset < other.offset,
            (own, others) => own < others,
        }
    }
}

/// What koi wants of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The role.
    pub role: Role,
    /// Where the master's server is; none: there is no master, or this node is it, or its address is unknown.
    pub source: Option<SocketAddr>,
    /// The newest mastership.
    pub epoch: u64,
    /// The server's run id when it was promoted in that mastership; none: it was not yet.
    pub promoted_run: Option<String>,
    /// Every other server answers, and none has data of a mastership either: the cluster still is at its beginning, though a mastership
    /// was over before its promote came to redis.
    pub at_beginning: bool,
}

/// The role on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not to run.
    None,
    /// To copy from the master, ready for promotion.
    Standby,
    /// To take writes.
    Promoted,
}

/// What `status` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes writes.
    Promoted,
    /// It may be promoted.
    Standby,
    /// It must not be promoted now.
    Live,
    /// `start` has something to do.
    Stopped,
    /// Something is broken that only taking it down mends.
    Failed,
}

/// What the server is, with a line for people.
pub fn judge(info: &Info, standing: Standing, want: &Want) -> (Verdict, String) {
    let restarted = want.promoted_run.as_ref().is_some_and(|run| *run != info.run_id);
    if want.role == Role::Promoted && restarted {
        // It may have come back without its last writes, and its replicas would copy that.
        return (
            Verdict::Failed,
            "redis was restarted since it was promoted; a replica has what it may have lost".into(),
        );
    }
    let Some(source) = &info.source else {
        return (Verdict::Promoted, format!("master, {}", replicas(info.replicas.len())));
    };
    if want.role == Role::None && source.is(NOWHERE) {
        return (Verdict::Stopped, "takes no writes".into());
    }
    if info.loading {
        return (Verdict::Live, "reads its data from disk".into());
    }
    if let Some(master) = want.source.filter(|master| !source.is(*master)) {
        return (Verdict::Stopped, format!("{}; the master's server is {master}", whose_copy(source)));
    }
    if source.syncing {
        return (Verdict::Live, format!("receives its first copy from {}:{}", source.host, source.port));
    }
    if source.link_up {
        return (Verdict::Standby, whose_copy(source));
    }
    // The master may be dead, and this the only copy. What speaks for it is the mark in its data, or that it had all of the stream
    // up to some point (the mark goes when somebody clears the database). Without either it would be promoted empty.
    let has_data = standing.epoch > 0 || standing.offset > 1;
    // Its own promotion is under way: what spoke for it then still does, and promote compares once more.
    let chosen = want.role == Role::Promoted;
    if has_data || chosen || want.epoch == 0 || want.at_beginning {
        return (Verdict::Standby, format!("{}, {}", whose_copy(source), holds(standing)));
    }
    let what = format!(
        "has never had the data of this cluster, whose newest mastership is {}; if its own data is what the cluster is to begin with: \
         redis-cli REPLICAOF NO ONE, then redis-cli SET {EPOCH_KEY} {}",
        want.epoch, want.epoch
    );
    (Verdict::Live, what)
}

/// `data of epoch 5 up to 1234`.
pub fn holds(standing: Standing) -> String {
    match standing.epoch {
        0 => format!("{} keys of no mastership", standing.keys),
        epoch => format!("data of epoch {epoch} up to {}", standing.offset),
    }
}

fn whose_copy(source: &Source) -> String {
    match source {
        parked if parked.is(NOWHERE) => "takes no writes and has no master to copy from".into(),
        Source { host, port, link_up: true, .. } => format!("replica of {host}:{port}"),
        Source { host, port, down_s: Some(down_s), .. } => {
            format!("replica of {host}:{port}, link down for {down_s} s")
        }
        Source { host, port, .. } => format!("replica of {host}:{port}, no link yet"),
    }
}

fn replicas(count: usize) -> String {
    match count {
        0 => "no replica".into(),
        1 => "1 replica".into(),
        n => format!("{n} replicas"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(epoch: u64, offset: u64) -> Standing {
        Standing { epoch, offset, keys: 10 }
    }

    fn replica_of(address: &str, link_up: bool) -> Info {
        let address: SocketAddr = address.parse().unwrap();
        let source =
            Source { host: address.ip().to_string(), port: address.port(), link_up, ..Source::default() };
        Info { run_id: "r1".into(), source: Some(source), ..Info::default() }
    }

    fn want(role: Role, source: Option<&str>, epoch: u64) -> Want {
        Want {
            role,
            source: source.map(|s| s.parse().unwrap()),
            epoch,
            promoted_run: None,
            at_beginning: false,
        }
    }

    fn verdict(info: &Info, standing: Standing, want: &Want) -> Verdict {
        judge(info, standing, want).0
    }

    #[test]
    fn the_newest_mastership_scores_before_the_longest_stream() {
        let stale = data(5, 1 << 29).score(6);
        let fresh = data(6, 100).score(6);
        let unknown = Standing { epoch: 0, offset: 1 << 29, keys: 1 << 40 }.score(6);
        assert!(fresh > stale && stale > unknown, "{fresh} {stale} {unknown}");
        assert!(data(6, 101).score(6) > fresh, "one byte counts");
        assert_eq!(data(6, u64::MAX).score(6), i64::MAX >> 1);
        assert!(Standing::default().score(0) < Standing { keys: 1, ..Standing::default() }.score(0));
    }

    #[test]
    fn a_promotion_would_lose_what_another_server_has_more() {
        assert!(data(5, 100).lacks(data(5, 101)));
        assert!(!data(5, 101).lacks(data(5, 100)) && !data(5, 100).lacks(data(5, 100)));
        assert!(data(5, 1 << 40).lacks(data(6, 0)), "a newer mastership, whatever the offsets");
        let (empty, full) = (Standing::default(), Standing { keys: 9, ..Standing::default() });
        assert!(empty.lacks(full) && !full.lacks(empty) && !full.lacks(full));
    }

    #[test]
    fn a_replica_with_its_link_may_be_promoted_and_one_that_copies_must_not() {
        let standby = want(Role::Standby, Some("10.0.0.1:6379"), 5);
        let mut info = replica_of("10.0.0.1:6379", true);
        assert_eq!(verdict(&info, data(5, 9), &standby), Verdict::Standby);
        info.source.as_mut().unwrap().syncing = true;
        assert_eq!(verdict(&info, data(5, 9), &standby), Verdict::Live);
        info.loading = true;
        assert_eq!(verdict(&info, data(5, 9), &standby), Verdict::Live);
    }

    #[test]
    fn when_the_master_is_dead_only_a_server_that_has_its_data_may_follow_it() {
        let standby = want(Role::Standby, Some("10.0.0.1:6379"), 5);
        let info = replica_of("10.0.0.1:6379", false);
        assert_eq!(verdict(&info, data(5, 9), &standby), Verdict::Standby);
        assert_eq!(
            verdict(&info, Standing { offset: 900, ..Standing::default() }, &standby),
            Verdict::Standby,
            "cleared"
        );
        let (never, words) = judge(&info, Standing { keys: 3, ..Standing::default() }, &standby);
        assert_eq!(never, Verdict::Live);
        assert!(words.contains("SET koi:epoch 5"), "{words}");
        assert_eq!(
            verdict(&info, Standing::default(), &want(Role::Standby, None, 0)),
            Verdict::Standby,
            "a new cluster"
        );
    }

    #[test]
    fn a_mastership_that_was_over_before_redis_was_promoted_does_not_bar_everyone() {
        let parked = replica_of("127.0.0.1:1", false);
        let standby = want(Role::Standby, None, 65_537);
        assert_eq!(
            verdict(&parked, Standing::default(), &standby),
            Verdict::Live,
            "who knows what others have"
        );
        let at_beginning = Want { at_beginning: true, ..standby };
        assert_eq!(verdict(&parked, Standing::default(), &at_beginning), Verdict::Standby);
        let chosen = want(Role::Promoted, None, 65_537);
        assert_eq!(
            verdict(&parked, Standing::default(), &chosen),
            Verdict::Standby,
            "its promote is yet to come"
        );
    }

    #[test]
    fn a_new_master_is_for_start_to_follow() {
        let info = replica_of("10.0.0.1:6379", true);
        let (verdict_now, words) = judge(&info, data(5, 9), &want(Role::Standby, Some("10.0.0.2:6379"), 6));
        assert_eq!(verdict_now, Verdict::Stopped);
        assert_eq!(words, "replica of 10.0.0.1:6379; the master's server is 10.0.0.2:6379");
        let parked = replica_of("127.0.0.1:1", false);
        assert_eq!(
            verdict(&parked, data(5, 9), &want(Role::Standby, Some("10.0.0.2:6379"), 6)),
            Verdict::Stopped
        );
        assert_eq!(verdict(&parked, data(5, 9), &want(Role::Standby, None, 6)), Verdict::Standby);
        assert_eq!(verdict(&parked, data(5, 9), &want(Role::None, None, 6)), Verdict::Stopped);
    }

    #[test]
    fn a_master_that_takes_writes_is_one_whatever_koi_wants() {
        let info = Info { run_id: "r1".into(), ..Info::default() };
        for role in [Role::None, Role::Standby, Role::Promoted] {
            assert_eq!(verdict(&info, data(5, 9), &want(role, None, 5)), Verdict::Promoted);
        }
    }

    #[test]
    fn a_master_that_was_restarted_behind_kois_back_has_failed() {
        let mut promoted = want(Role::Promoted, None, 5);
        promoted.promoted_run = Some("r0".into());
        let master = Info { run_id: "r1".into(), ..Info::default() };
        assert_eq!(verdict(&master, data(5, 9), &promoted), Verdict::Failed);
        assert_eq!(verdict(&replica_of("127.0.0.1:1", false), data(5, 9), &promoted), Verdict::Failed);
        promoted.promoted_run = Some("r1".into());
        assert_eq!(verdict(&master, data(5, 9), &promoted), Verdict::Promoted);
    }
}
