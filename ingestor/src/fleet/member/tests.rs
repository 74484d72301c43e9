//! One member against a bucket that the test writes: the decisions one by one. How several members and a whole world
//! of faults come out is `tests/fleet_sim.rs`.

use super::*;
use crate::fleet::message::{Answer, Release};
use crate::venue::contract::SECOND;

const POSTS: [&str; 2] = ["catalogue.x", "shard.x.0"];

/// A member of the venue `x` with one shard, and the bucket as the test has it.
struct Scene {
    member: Member,
    bucket: BTreeMap<String, (u64, Bytes)>,
    revision: u64,
    now: Micros,
}

impl Scene {
    fn new() -> Self {
        let venues = BTreeMap::from([(Name::from("x"), 1)]);
        let config = MemberConfig { id: "b".into(), venues, times: Times::default(), pulls_max: 8 };
        let mut scene =
            Self { member: Member::new(config), bucket: BTreeMap::new(), revision: 0, now: SECOND };
        scene.member.nats_back(scene.now);
        scene
    }

    fn put(&mut self, key: &str, value: Bytes) {
        self.revision += 1;
        self.bucket.insert(key.to_owned(), (self.revision, value));
    }

    fn put_member(&mut self, id: &str, draining: bool) {
        let venues = BTreeMap::from([(Name::from("x"), 1)]);
        self.put(&member_key(id), MemberValue { venues, draining, left: false }.to_bytes());
    }

    fn put_lease(&mut self, key: &str, owner: &str) {
        let (owner, nonce) = (Name::from(owner), Name::from(format!("{owner}.0")));
        self.put(key, LeaseValue { owner, nonce, weight: 5 }.to_bytes());
    }

    fn view(&mut self) {
        let entry = |(key, (revision, value)): (&String, &(u64, Bytes))| Entry {
            key: key.clone(),
            revision: *revision,
            value: value.clone(),
        };
        let entries: Vec<Entry> = self.bucket.iter().map(entry).collect();
        self.member.view(&entries, self.now);
    }

    /// Stores what the member writes, as the bucket would; gives the other acts.
    fn settle(&mut self) -> Vec<Act> {
        let mut others = Vec::new();
        loop {
            let acts = self.member.take_acts();
            if acts.is_empty() {
                return others;
            }
            for act in acts {
                let Act::Write { ticket, key, value, expected } = act else {
                    others.push(act);
                    continue;
                };
                let there = self.bucket.get(&key).map_or(0, |(revision, _)| *revision);
                let outcome = if there == expected {
                    self.put(&key, value);
                    Outcome::Stored(self.revision)
                } else {
                    Outcome::Conflict
                };
                self.member.stored(ticket, outcome, self.now);
            }
        }
    }

    /// Reads and writes every 400 ms for a while, with the peer `a` renewing or not; gives the acts.
    fn run(&mut self, time: Micros, with_peer: bool) -> Vec<Act> {
        let mut acts = Vec::new();
        for _ in 0..time.div_ceil(2 * SECOND / 5) {
            self.now += 2 * SECOND / 5;
            if with_peer {
                let of_peer = |key: &&str| self.owner(key) == "a";
                let keys: Vec<&str> = POSTS.into_iter().filter(of_peer).collect();
                keys.into_iter().for_each(|key| self.put_lease(key, "a"));
                let draining =
                    self.bucket.get("member.a").is_some_and(|(_, value)| value.ends_with(b"true}"));
                self.put_member("a", draining);
            }
            self.view();
            self.member.tick(self.now);
            acts.extend(self.settle());
        }
        acts.retain(|act| *act != Act::Read);
        acts
    }

    fn owner(&self, key: &str) -> String {
        let value = self.bucket.get(key).and_then(|(_, value)| LeaseValue::read(value));
        value.map(|value| value.owner.to_string()).unwrap_or_default()
    }

    fn is_open(&self, key: &str) -> bool {
        self.member.fence(&Post::of_key(key).unwrap()).unwrap().is_open(self.now)
    }

    /// A member that holds both posts.
    fn held() -> Self {
        let mut scene = Self::new();
        POSTS.iter().for_each(|key| scene.put_lease(key, ""));
        scene.run(SECOND, false);
        assert_eq!(scene.member.held().count(), 2);
        scene
    }
}

fn carries(acts: &[Act]) -> usize {
    acts.iter().filter(|act| matches!(act, Act::Carry { .. })).count()
}

#[test]
fn an_empty_bucket_is_waited_for_and_a_free_post_is_not() {
    let mut scene = Scene::new();
    assert_eq!(carries(&scene.run(2 * SECOND, false)), 0, "an owner may be about to come back");
    assert_eq!(carries(&scene.run(SECOND, false)), 2);
    assert!(POSTS.iter().all(|key| scene.is_open(key) && scene.owner(key) == "b"));

    let scene = Scene::held();
    assert!(scene.now <= 3 * SECOND, "free posts at once");
}

#[test]
fn a_dead_owner_is_replaced_and_a_living_one_is_not() {
    let mut scene = Scene::new();
    scene.put_member("a", false);
    POSTS.iter().for_each(|key| scene.put_lease(key, "a"));
    // One post of two is even: `a` keeps the heavy one.
    scene.member.weights([(Post::shard("x", 0), 100), (Post::catalogue("x"), 1)], scene.now);
    let acts = scene.run(10 * SECOND, true);
    assert_eq!(carries(&acts), 0);
    assert_eq!(scene.owner("shard.x.0"), "a");
    assert_eq!(carries(&scene.run(2 * SECOND, false)), 0);
    assert!(carries(&scene.run(2 * SECOND, false)) >= 1);
    assert_eq!(scene.owner("shard.x.0"), "b");
}

#[test]
fn garbage_in_a_lease_runs_out_too() {
    let mut scene = Scene::new();
    scene.put("shard.x.0", Bytes::from_static(b"not ours"));
    scene.put("shard.x.99", Bytes::from_static(b"{}"));
    scene.put("member.z", Bytes::from_static(b"[]"));
    scene.run(4 * SECOND, false);
    assert_eq!(scene.owner("shard.x.0"), "b");
}

#[test]
fn the_fence_closes_by_itself_and_opens_only_by_a_new_write() {
    let mut scene = Scene::held();
    scene.now += 2 * SECOND;
    assert!(!scene.is_open("shard.x.0"), "nothing was renewed");
    scene.member.tick(scene.now);
    assert!(!scene.is_open("shard.x.0"), "sending proves nothing");
    assert_eq!(carries(&scene.settle()), 0, "it was ours all the time");
    assert!(scene.is_open("shard.x.0"));

    scene.member.nats_lost();
    assert!(!scene.is_open("shard.x.0"));
    scene.member.nats_back(scene.now);
    scene.settle();
    assert!(!scene.is_open("shard.x.0"), "the bucket may be another one");
    scene.view();
    scene.settle();
    assert!(scene.is_open("shard.x.0"), "a look and a write are enough");
}

#[test]
fn an_owner_that_was_replaced_stops() {
    let mut scene = Scene::held();
    scene.put_lease("shard.x.0", "a");
    scene.now += SECOND;
    scene.member.tick(scene.now);
    scene.settle();
    assert!(!scene.is_open("shard.x.0"), "the conflict alone closes it");
    scene.view();
    let stop = Act::Stop { post: Post::shard("x", 0), reason: Reason::Lost };
    assert!(scene.settle().contains(&stop));
    assert_eq!(scene.member.held().count(), 1);
}

#[test]
fn a_lost_bucket_is_filled_again_by_the_owner_at_once() {
    let mut scene = Scene::held();
    scene.member.nats_lost();
    scene.bucket.clear();
    scene.revision = 0;
    scene.now += 5 * SECOND;
    scene.member.nats_back(scene.now);
    scene.settle();
    scene.view();
    assert!(scene.settle().iter().all(|act| *act == Act::Read), "nothing new for the runtime");
    assert!(POSTS.iter().all(|key| scene.is_open(key) && scene.owner(key) == "b"));
}

#[test]
fn a_post_is_handed_over_after_the_runtime_stopped() {
    let mut scene = Scene::held();
    scene.put_member("a", false);
    scene.view();
    let release = Release { post: "shard.x.0".into(), to: "a".into(), nonce: "a.7".into() };
    scene.member.asked(5, &release.to_bytes(), scene.now);
    let acts = scene.settle();
    let turn =
        acts.iter().find_map(|act| if let Act::Release { turn, .. } = act { Some(*turn) } else { None });
    assert!(scene.is_open("shard.x.0"), "it may publish until it says that it stopped");
    let post = Post::shard("x", 0);
    scene.member.released(&post, turn.unwrap(), Bytes::from_static(b"rows"), scene.now);
    assert!(!scene.is_open("shard.x.0"));
    let acts = scene.settle();
    let reply = acts
        .iter()
        .find_map(|act| if let Act::Reply { reply: 5, payload } = act { Some(payload) } else { None });
    let rows = Bytes::from_static(b"rows");
    assert_eq!(Answer::read(reply.unwrap()), Some(Answer::HandOver { revision: scene.revision, rows }));
    assert!(acts.contains(&Act::Stop { post, reason: Reason::HandedOver }));
    assert_eq!(scene.owner("shard.x.0"), "a");
}

#[test]
fn only_a_sure_owner_gives_and_only_to_a_living_member() {
    let mut scene = Scene::held();
    let asked = |scene: &mut Scene, payload: &[u8]| {
        scene.member.asked(1, payload, scene.now);
        scene
            .settle()
            .into_iter()
            .any(|act| matches!(act, Act::Reply { reply: 1, payload } if payload.starts_with(b"{\"refused")))
    };
    let release = |post: &str| Release { post: post.into(), to: "a".into(), nonce: "a.7".into() }.to_bytes();
    assert!(asked(&mut scene, b"garbage"));
    assert!(asked(&mut scene, &release("shard.x.0")), "a is not known");
    scene.put_member("a", false);
    scene.view();
    assert!(asked(&mut scene, &release("shard.y.0")));
    scene.now += 2 * SECOND;
    assert!(asked(&mut scene, &release("shard.x.0")), "the fence is closed");
}

#[test]
fn a_draining_owner_is_pulled_from_in_two_steps() {
    let mut scene = Scene::new();
    scene.put_member("a", true);
    POSTS.iter().for_each(|key| scene.put_lease(key, "a"));
    let acts = scene.run(SECOND / 2, true);
    let turn =
        acts.iter().find_map(|act| if let Act::Prepare { turn, .. } = act { Some(*turn) } else { None });
    let asks = |acts: &[Act]| acts.iter().filter(|act| matches!(act, Act::Ask { .. })).count();
    assert_eq!(asks(&acts), 1, "the catalogue needs no preparation");
    let post = Post::shard("x", 0);
    scene.member.warm(&post, turn.unwrap() + 1, scene.now);
    assert_eq!(asks(&scene.settle()), 0, "warm was another turn");
    scene.member.warm(&post, turn.unwrap(), scene.now);
    let acts = scene.settle();
    let nonce =
        acts.iter().find_map(|act| if let Act::Ask { nonce, .. } = act { Some(nonce.clone()) } else { None });
    let nonce = nonce.unwrap();
    let value = LeaseValue { owner: "b".into(), nonce: nonce.clone(), weight: 1 };
    scene.put("shard.x.0", value.to_bytes());
    let rows = Bytes::from_static(b"rows");
    let answer = Answer::HandOver { revision: scene.revision, rows: rows.clone() }.to_bytes();
    let epoch = scene.revision;
    scene.member.answered(&nonce, Some(&answer), scene.now);
    assert!(scene.settle().contains(&Act::Publish { post, epoch, rows }));
    assert!(scene.is_open("shard.x.0"));
}

#[test]
fn a_hand_over_whose_answer_is_lost_shows_in_the_bucket() {
    let mut scene = Scene::new();
    scene.put_member("a", true);
    scene.put_lease("catalogue.x", "a");
    let acts = scene.run(SECOND / 2, true);
    let nonce =
        acts.iter().find_map(|act| if let Act::Ask { nonce, .. } = act { Some(nonce.clone()) } else { None });
    let nonce = nonce.unwrap();
    scene.put("catalogue.x", LeaseValue { owner: "b".into(), nonce: nonce.clone(), weight: 1 }.to_bytes());
    scene.view();
    assert!(scene.settle().is_empty(), "the answer may still come");
    scene.member.answered(&nonce, None, scene.now);
    assert_eq!(carries(&scene.settle()), 1);
}

#[test]
fn the_last_member_frees_everything_and_says_goodbye() {
    let mut scene = Scene::held();
    scene.member.drain(scene.now + 60 * SECOND, scene.now);
    let acts = scene.settle();
    assert!(POSTS.iter().all(|key| scene.is_open(key)), "the last values are still to be written");
    for act in acts {
        let Act::Release { post, turn } = act else { panic!("{act:?}") };
        scene.member.released(&post, turn, Bytes::new(), scene.now);
    }
    let acts = scene.settle();
    let left = acts.iter().filter(|act| matches!(act, Act::Stop { reason: Reason::Left, .. })).count();
    assert_eq!((left, scene.member.has_ended()), (2, true), "nobody is there to wait for");
    assert!(POSTS.iter().all(|key| scene.owner(key).is_empty() && !scene.is_open(key)));
    assert!(scene.bucket["member.b"].1.ends_with(b"\"left\":true}"));
}

/// What the peer `id`, which parts the venue into `theirs`, means for us, who have one shard.
fn beside(id: &str, theirs: u32, holds: bool) -> (Vec<Act>, Vec<(u32, bool)>) {
    let mut scene = Scene::new();
    let venues = BTreeMap::from([(Name::from("x"), theirs)]);
    let mut acts = Vec::new();
    for _ in 0..20 {
        scene.now += 2 * SECOND / 5;
        let value = MemberValue { venues: venues.clone(), draining: false, left: false };
        scene.put(&member_key(id), value.to_bytes());
        if holds {
            scene.put_lease("shard.x.0", id);
        }
        scene.view();
        acts.extend(scene.settle());
    }
    acts.retain(|act| *act != Act::Read);
    let said = scene.member.disagreements(scene.now);
    (acts, said.iter().map(|one| (one.theirs, one.waits)).collect())
}

#[test]
fn a_venue_is_left_to_those_who_have_it_parted_differently() {
    assert_eq!(beside("z", 2, true), (vec![], vec![(2, true)]), "they have it");
    assert_eq!(beside("a", 2, false), (vec![], vec![(2, true)]), "nobody has it, and they are first by name");
    let (acts, said) = beside("z", 2, false);
    assert_eq!((carries(&acts), said), (2, vec![(2, false)]), "nobody has it, and we are first");
    assert_eq!(beside("z", 1, false).1, vec![], "they agree");
}

#[test]
fn what_was_given_away_is_not_pulled_back_at_once() {
    let mut scene = Scene::held();
    scene.put_member("a", false);
    // By our view the catalogue belongs here, by that of `a` there.
    scene.member.weights([(Post::shard("x", 0), 1), (Post::catalogue("x"), 1)], scene.now);
    scene.view();
    for post in POSTS {
        let release = Release { post: post.into(), to: "a".into(), nonce: format!("a.{post}").into() };
        scene.member.asked(5, &release.to_bytes(), scene.now);
        let turn = scene.settle().into_iter().find_map(|act| match act {
            Act::Release { turn, .. } => Some(turn),
            _ => None,
        });
        let post = Post::of_key(post).unwrap();
        scene.member.released(&post, turn.unwrap(), Bytes::new(), scene.now);
        scene.settle();
    }
    let pulls = |acts: Vec<Act>| {
        acts.iter().filter(|act| matches!(act, Act::Prepare { .. } | Act::Ask { .. })).count()
    };
    assert_eq!(pulls(scene.run(SECOND, true)), 0, "one of two should be ours again, but not at once");
    assert!(pulls(scene.run(3 * SECOND, true)) > 0);
}
