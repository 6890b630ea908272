//! Whose the Lease is, as one replica may conclude from what it has seen; and the Lease that each step writes. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use tokio::time::Instant;

use super::{DURATION, NAME};

/// A Lease and since when this process sees it as it is, by its own clock.
///
/// `renewTime` is the holder's clock: with clocks that differ it says nothing about how long ago that was. What counts is
/// that nothing has changed for as long as the Lease lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    lease: Lease,
    since: Instant,
}

/// What a replica that wants the Lease does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease: create it.
    Create,
    /// It is ours already, from an earlier life of this replica: go on with it.
    Renew,
    /// It is nobody's, or its holder has been silent for its whole duration: take it.
    TakeOver,
    /// Somebody else holds it, at least until then.
    Wait(Instant),
}

impl Observed {
    /// A Lease that is seen, after what was seen before.
    pub fn next(before: Option<&Self>, lease: Lease, now: Instant) -> Self {
        // Only the spec counts: an annotation says nothing of its holder.
        let since =
            before.filter(|before| before.lease.spec == lease.spec).map_or(now, |before| before.since);
        Self { lease, since }
    }

    /// The Lease as last seen.
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// When its holder will have been silent too long, unless it shows itself before.
    fn expiry(&self) -> Instant {
        let stated = self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let seconds = stated.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        self.since + seconds.map_or(DURATION, Duration::from_secs)
    }
}

/// Who holds a Lease; nobody when it was released.
pub fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// What the replica `identity` does next.
pub fn decide(observed: Option<&Observed>, identity: &str, now: Instant) -> Step {
    let Some(observed) = observed else { return Step::Create };
    match holder(&observed.lease) {
        None => Step::TakeOver,
        Some(holder) if holder == identity => Step::Renew,
        Some(_) if now >= observed.expiry() => Step::TakeOver,
        Some(_) => Step::Wait(observed.expiry()),
    }
}

/// The Lease as `identity` writes it to hold it from now on. `before` is the Lease that it replaces.
///
/// The API server accepts it only while the Lease is still the one seen: the metadata carry its `resourceVersion`.
pub(super) fn claimed(before: Option<&Lease>, identity: &str, now: Timestamp) -> Lease {
    let transitions = before.map_or(0, |lease| {
        let counted = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
        if holder(lease) == Some(identity) { counted } else { counted.saturating_add(1) }
    });
    Lease {
        metadata: before.map_or_else(
            || ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        ),
        spec: Some(LeaseSpec {
            acquire_time: Some(MicroTime(now)),
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(transitions),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// A held Lease with a new sign of life.
pub(super) fn renewed(held: &Lease, now: Timestamp) -> Lease {
    let spec = held.spec.clone().unwrap_or_default();
    Lease {
        metadata: held.metadata.clone(),
        spec: Some(LeaseSpec { renew_time: Some(MicroTime(now)), ..spec }),
    }
}

/// A held Lease that is nobody's any more.
pub(super) fn released(held: &Lease, now: Timestamp) -> Lease {
    let mut lease = renewed(held, now);
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = None;
    }
    lease
}

/// Whether a Lease is still the one held: the same holder, who got it at the same moment.
///
/// The moment tells two processes of one identity apart.
pub(super) fn same_tenure(held: &Lease, found: &Lease) -> bool {
    let acquired = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.acquire_time.clone());
    holder(held) == holder(found) && acquired(held) == acquired(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn held_by(holder: Option<&str>) -> Lease {
        let lease = claimed(None, holder.unwrap_or("somebody"), time(100));
        if holder.is_some() { lease } else { released(&lease, time(100)) }
    }

    fn lasting(mut lease: Lease, seconds: Option<i32>) -> Lease {
        lease.spec.as_mut().unwrap().lease_duration_seconds = seconds;
        lease
    }

    #[test]
    fn each_state_has_its_step() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let empty = |holder: &str| {
            let mut lease = held_by(None);
            lease.spec.as_mut().unwrap().holder_identity = Some(holder.to_owned());
            lease
        };
        let table = [
            ("no lease", None, 0, Step::Create),
            ("released", Some(held_by(None)), 0, Step::TakeOver),
            ("released with an empty holder", Some(empty("")), 0, Step::TakeOver),
            ("without a spec", Some(Lease::default()), 0, Step::TakeOver),
            ("ours", Some(held_by(Some("me"))), 0, Step::Renew),
            ("ours, long silent", Some(held_by(Some("me"))), 1000, Step::Renew),
            ("another's", Some(held_by(Some("you"))), 0, Step::Wait(after(15))),
            ("another's, nearly silent too long", Some(held_by(Some("you"))), 14, Step::Wait(after(15))),
            ("another's, silent too long", Some(held_by(Some("you"))), 15, Step::TakeOver),
            (
                "another's that lasts longer",
                Some(lasting(held_by(Some("you")), Some(60))),
                15,
                Step::Wait(after(60)),
            ),
            ("without a duration", Some(lasting(held_by(Some("you")), None)), 0, Step::Wait(after(15))),
            (
                "with a senseless duration",
                Some(lasting(held_by(Some("you")), Some(-1))),
                0,
                Step::Wait(after(15)),
            ),
        ];
        for (what, lease, seconds, expected) in table {
            let observed = lease.map(|lease| Observed::next(None, lease, start));
            assert_eq!(decide(observed.as_ref(), "me", after(seconds)), expected, "{what}");
        }
    }

    #[test]
    fn only_a_change_by_the_holder_starts_the_wait_anew() {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        let first = Observed::next(None, held_by(Some("you")), start);

        let mut annotated = first.lease().clone();
        annotated.metadata.resource_version = Some("2".to_owned());
        let second = Observed::next(Some(&first), annotated, later);
        assert_eq!(decide(Some(&second), "me", later), Step::Wait(start + DURATION));

        let third = Observed::next(Some(&second), renewed(second.lease(), time(50)), later);
        assert_eq!(
            decide(Some(&third), "me", later),
            Step::Wait(later + DURATION),
            "even one with an earlier time"
        );
    }

    #[test]
    fn transitions_count_changes_of_the_holder() {
        let transitions = |lease: &Lease| lease.spec.as_ref().unwrap().lease_transitions;
        let first = claimed(None, "one", time(1));
        assert_eq!(transitions(&first), Some(0));
        assert_eq!(
            transitions(&claimed(Some(&first), "one", time(2))),
            Some(0),
            "a restart under the same name"
        );
        let second = claimed(Some(&first), "two", time(3));
        assert_eq!(transitions(&second), Some(1));
        let third = claimed(Some(&released(&second, time(4))), "two", time(5));
        assert_eq!(transitions(&third), Some(2), "a release ends a tenure");
    }

    #[test]
    fn a_tenure_is_a_holder_and_a_moment() {
        let held = claimed(None, "one", time(1));
        assert!(same_tenure(&held, &renewed(&held, time(6))));
        assert!(!same_tenure(&held, &claimed(Some(&held), "one", time(7))), "another process of this name");
        assert!(!same_tenure(&held, &claimed(Some(&held), "two", time(7))));
        assert!(!same_tenure(&held, &released(&held, time(7))));
    }
}
