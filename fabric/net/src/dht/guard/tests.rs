use super::*;
use crate::{
    dht::{MAX_ENTRY_BYTES, RecordKind, seal_grant},
    identity::Identity,
};
use mc_protocol::Grant;
use mc_types::{FencingToken, JobId};

const NETWORK: &str = "test";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((1_800_000_000 + seconds) * 1000)
}

/// What `who` says about itself.
fn advert(who: &Identity, seconds: u64, ttl: u64, body: &[u8]) -> Entry {
    let what = (RecordKind::Node, who.node_id().to_string());
    let ttl = Duration::from_secs(ttl);
    Entry::new(who, what, None, body.to_vec(), (at(seconds), ttl))
}

fn key_of(entry: &Entry) -> Vec<u8> {
    entry.kind.key(NETWORK, &entry.subject)
}

/// Hands an entry in at its own key.
fn hand_in(guard: &mut Guard, who: &Identity, entry: &Entry, now: u64) -> Result<(), Refusal> {
    let sealed = entry.seal(who, NETWORK)?;
    guard.take(&key_of(entry), &sealed, at(now)).map(drop)
}

fn completion(coordinator: &Identity, worker: &Identity, token: u64) -> Entry {
    let job = JobId::new(at(0), 7);
    let grant = Grant {
        job,
        token: FencingToken(token),
        worker: worker.node_id(),
    };
    let grant = seal_grant(&grant, coordinator, NETWORK);
    let ttl = Duration::from_secs(3600);
    let what = (RecordKind::Completion, job.to_string());
    Entry::new(
        worker,
        what,
        Some((token, grant)),
        b"done".to_vec(),
        (at(0), ttl),
    )
}

#[test]
fn valid_entry_is_kept_until_it_expires() {
    let (mut guard, who) = (Guard::new(NETWORK.to_owned()), Identity::generate());
    let entry = advert(&who, 0, 60, b"x");
    hand_in(&mut guard, &who, &entry, 1).unwrap();
    assert_eq!(guard.sweep(at(59)), Vec::<Vec<u8>>::new());
    assert_eq!(guard.sweep(at(60)), [key_of(&entry)]);
    assert!(guard.of_publisher.is_empty());
}

#[test]
fn forged_entries_are_refused() {
    let (mut guard, who) = (Guard::new(NETWORK.to_owned()), Identity::generate());
    let other = Identity::generate();
    // In the name of another.
    let stolen = advert(&who, 0, 60, b"x");
    assert_eq!(
        hand_in(&mut guard, &other, &stolen, 1),
        Err(Refusal::Forged)
    );
    // Under another's name, with the own signature.
    let mut about_other = advert(&who, 0, 60, b"x");
    about_other.subject = other.node_id().to_string();
    assert_eq!(
        hand_in(&mut guard, &who, &about_other, 1),
        Err(Refusal::Forged)
    );
    // Changed on the way.
    let mut sealed = stolen.seal(&who, NETWORK).unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    let changed = guard.take(&key_of(&stolen), &sealed, at(1));
    assert_eq!(changed, Err(Refusal::Forged));
    // Of another network.
    let foreign = stolen.seal(&who, "other").unwrap();
    assert_eq!(
        guard.take(&key_of(&stolen), &foreign, at(1)),
        Err(Refusal::Forged)
    );
    assert_eq!(guard.refused().get(&Refusal::Forged), Some(&4));
}

#[test]
fn misplaced_malformed_and_oversized_entries_are_refused() {
    let (mut guard, who) = (Guard::new(NETWORK.to_owned()), Identity::generate());
    let entry = advert(&who, 0, 60, b"x");
    let sealed = entry.seal(&who, NETWORK).unwrap();
    assert_eq!(
        guard.take(b"elsewhere", &sealed, at(1)),
        Err(Refusal::Misplaced)
    );
    assert_eq!(
        guard.take(&key_of(&entry), b"junk", at(1)),
        Err(Refusal::Malformed)
    );
    let long = vec![0; MAX_ENTRY_BYTES + 1];
    assert_eq!(
        guard.take(&key_of(&entry), &long, at(1)),
        Err(Refusal::Oversized)
    );
    let large = advert(&who, 0, 60, &long);
    assert_eq!(large.seal(&who, NETWORK), Err(Refusal::Oversized));
}

#[test]
fn entries_of_the_past_or_the_future_are_refused() {
    let (mut guard, who) = (Guard::new(NETWORK.to_owned()), Identity::generate());
    let entry = advert(&who, 0, 60, b"x");
    assert_eq!(hand_in(&mut guard, &who, &entry, 60), Err(Refusal::Expired));
    // A clock that is an hour ahead, and one that is an hour behind.
    assert_eq!(
        hand_in(&mut guard, &who, &advert(&who, 3600, 60, b"x"), 0),
        Err(Refusal::Expired)
    );
    assert_eq!(
        hand_in(&mut guard, &who, &advert(&who, 0, 60, b"x"), 3600),
        Err(Refusal::Expired)
    );
    // A few minutes are borne with.
    hand_in(&mut guard, &who, &advert(&who, 240, 60, b"x"), 0).unwrap();
    // The publisher cannot give it a longer life than its kind has.
    let mut immortal = advert(&who, 0, 60, b"x");
    immortal.expires = at(1_000_000);
    assert_eq!(
        hand_in(&mut guard, &who, &immortal, 1),
        Err(Refusal::Expired)
    );
}

#[test]
fn older_entries_do_not_come_back() {
    let (mut guard, who) = (Guard::new(NETWORK.to_owned()), Identity::generate());
    let (old, new) = (advert(&who, 0, 60, b"old"), advert(&who, 10, 60, b"new"));
    hand_in(&mut guard, &who, &old, 1).unwrap();
    hand_in(&mut guard, &who, &new, 11).unwrap();
    assert_eq!(hand_in(&mut guard, &who, &old, 12), Err(Refusal::Replayed));
    // The same once more is what replication does.
    hand_in(&mut guard, &who, &new, 13).unwrap();
}

#[test]
fn completion_needs_the_grant_of_its_job_and_the_greatest_token_wins() {
    let mut guard = Guard::new(NETWORK.to_owned());
    let (coordinator, worker, other) = (
        Identity::generate(),
        Identity::generate(),
        Identity::generate(),
    );
    let first = completion(&coordinator, &worker, 3);
    hand_in(&mut guard, &worker, &first, 1).unwrap();
    assert_eq!(first.coordinator(NETWORK), Some(coordinator.node_id()));
    // Somebody else's grant.
    let mut stolen = completion(&coordinator, &worker, 9);
    stolen.publisher = other.node_id();
    assert_eq!(
        hand_in(&mut guard, &other, &stolen, 1),
        Err(Refusal::Forged)
    );
    // A token that was not granted.
    let mut raised = completion(&coordinator, &worker, 3);
    raised.token = Some(99);
    assert_eq!(
        hand_in(&mut guard, &worker, &raised, 1),
        Err(Refusal::Forged)
    );
    let second = completion(&coordinator, &other, 4);
    hand_in(&mut guard, &other, &second, 2).unwrap();
    assert_eq!(
        hand_in(&mut guard, &worker, &first, 3),
        Err(Refusal::Replayed)
    );
}

#[test]
fn who_speaks_of_a_job_first_is_believed_until_that_expires() {
    let (mut guard, [first, other]) = (
        Guard::new(NETWORK.to_owned()),
        [Identity::generate(), Identity::generate()],
    );
    let advert = |who: &Identity, seconds| {
        let what = (RecordKind::Task, JobId::new(at(0), 7).to_string());
        let time = (at(seconds), Duration::from_secs(60));
        Entry::new(who, what, None, b"running".to_vec(), time)
    };
    hand_in(&mut guard, &first, &advert(&first, 0), 0).unwrap();
    let usurped = hand_in(&mut guard, &other, &advert(&other, 10), 10);
    assert_eq!(usurped, Err(Refusal::Replayed));
    hand_in(&mut guard, &first, &advert(&first, 20), 20).unwrap();
    assert_eq!(
        hand_in(&mut guard, &other, &advert(&other, 79), 79),
        Err(Refusal::Replayed)
    );
    hand_in(&mut guard, &other, &advert(&other, 80), 80).unwrap();
}

#[test]
fn neither_publisher_nor_bearer_can_fill_the_store() {
    let mut guard = Guard::new(NETWORK.to_owned());
    let (coordinator, worker) = (Identity::generate(), Identity::generate());
    let mut refused = 0;
    for n in 0..1100_u128 {
        let job = JobId::new(at(0), n);
        let grant = Grant {
            job,
            token: FencingToken(1),
            worker: worker.node_id(),
        };
        let grant = (1, seal_grant(&grant, &coordinator, NETWORK));
        let what = (RecordKind::Completion, job.to_string());
        let when = (at(0), Duration::from_secs(60));
        let entry = Entry::new(&worker, what, Some(grant), Vec::new(), when);
        refused += usize::from(hand_in(&mut guard, &worker, &entry, 1) == Err(Refusal::Flooded));
    }
    assert_eq!(refused, 1100 - MAX_OF_PUBLISHER);
    let bearer = PeerId::random();
    let may = (0..1000).filter(|_| guard.may_bring(bearer)).count();
    assert_eq!(u32::try_from(may).unwrap(), MAX_OF_BEARER);
    assert!(
        guard.may_bring(PeerId::random()),
        "others are not concerned"
    );
}
