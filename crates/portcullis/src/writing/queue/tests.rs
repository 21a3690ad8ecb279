use std::future::Future;

use futures_util::FutureExt;
use portcullis_core::{Bucket, SessionId};

use super::*;

type Queue = WriteQueue<u32, &'static str>;
type TestPlace = Place<u32, &'static str>;

fn key() -> SessionIdHash {
    let bucket = Bucket::random().unwrap();
    SessionId::generate(bucket).unwrap().key()
}

fn queue() -> Arc<Queue> {
    Arc::default()
}

/// The result of a future that is ready.
fn finished<T>(turn: impl Future<Output = T>) -> T {
    turn.now_or_never().expect("still waiting")
}

fn lead(place: TestPlace) -> Lead<u32, &'static str> {
    match finished(place.turn()) {
        Turn::Lead(lead) => lead,
        other => panic!("no turn but {other:?}"),
    }
}

fn members(lead: &mut Lead<u32, &'static str>) -> Vec<u32> {
    let mut members = Vec::new();
    lead.each(|member, _, _| members.push(*member));
    members
}

/// A leader, and the requests that wait behind it.
fn queue_up(
    queue: &Arc<Queue>,
    key: SessionIdHash,
    ways: &[Way],
) -> (Lead<u32, &'static str>, Vec<TestPlace>) {
    let first = lead(queue.enter(key, 0, Way::Together).unwrap());
    let numbered = (1..).zip(ways);
    let behind = numbered.map(|(number, way)| queue.enter(key, number, *way).unwrap());
    let behind = behind.collect();
    (first, behind)
}

const TOGETHER: Way = Way::Together;
const ALONE: Way = Way::Alone;

#[test]
fn the_first_request_leads_at_once_and_leaves_no_entry() {
    let (queue, key) = (queue(), key());
    let first = lead(queue.enter(key, 0, ALONE).unwrap());
    assert_eq!(queue.lock().len(), 1);
    drop(first);
    assert_eq!(queue.lock().len(), 0);
}

#[test]
fn sessions_do_not_wait_for_each_other() {
    let queue = queue();
    let _first = lead(queue.enter(key(), 0, ALONE).unwrap());
    lead(queue.enter(key(), 0, ALONE).unwrap());
}

#[test]
fn requests_behind_are_written_together_up_to_the_first_that_must_be_alone() {
    let (queue, key) = (queue(), key());
    let (mut first, behind) = queue_up(&queue, key, &[TOGETHER, TOGETHER, ALONE, TOGETHER]);
    first.gather();
    assert_eq!(members(&mut first), [1, 2]);
    first.answer(|_| "written");
    drop(first);
    let mut behind = behind.into_iter();
    for _ in 0..2 {
        let turn = finished(behind.next().unwrap().turn());
        assert!(matches!(turn, Turn::Answered("written")), "{turn:?}");
    }
    let alone = lead(behind.next().unwrap());
    let mut last = Box::pin(behind.next().unwrap().turn());
    assert!(last.as_mut().now_or_never().is_none());
    drop(alone);
    assert!(matches!(finished(last), Turn::Lead(_)));
    assert_eq!(queue.lock().len(), 0);
}

#[test]
fn requests_that_arrive_before_a_retry_are_gathered_up_to_64() {
    let (queue, key) = (queue(), key());
    let (mut first, _behind) = queue_up(&queue, key, &[TOGETHER; 2]);
    first.gather();
    let _more: Vec<_> = (3..100)
        .map(|number| queue.enter(key, number, TOGETHER).unwrap())
        .collect();
    first.ask();
    first.try_again();
    first.gather();
    let all: Vec<_> = (1..=63).collect();
    assert_eq!(members(&mut first), all);
}

#[test]
fn a_refused_member_gets_an_answer_of_its_own() {
    let (queue, key) = (queue(), key());
    let (mut first, behind) = queue_up(&queue, key, &[TOGETHER; 3]);
    first.gather();
    first.each(|member, _, refusal| *refusal = (*member == 2).then_some("refused"));
    first.answer(|refusal| refusal.unwrap_or("written"));
    let answers: Vec<_> = behind
        .into_iter()
        .map(|place| finished(place.turn()))
        .collect();
    let answers = answers.into_iter().map(|turn| match turn {
        Turn::Answered(answer) => answer,
        other => panic!("no answer but {other:?}"),
    });
    assert_eq!(
        answers.collect::<Vec<_>>(),
        ["written", "refused", "written"]
    );
}

#[test]
fn members_keep_their_places_if_the_leader_is_dropped_before_it_asks_the_store() {
    let (queue, key) = (queue(), key());
    let (mut first, mut behind) = queue_up(&queue, key, &[TOGETHER; 3]);
    first.gather();
    first.ask();
    first.try_again();
    drop(first);
    let mut second = lead(behind.remove(0));
    second.gather();
    assert_eq!(members(&mut second), [2, 3]);
}

#[test]
fn the_result_of_members_is_unknown_if_the_leader_is_dropped_while_it_asks_the_store() {
    let (queue, key) = (queue(), key());
    let (mut first, behind) = queue_up(&queue, key, &[TOGETHER, ALONE]);
    first.gather();
    first.ask();
    drop(first);
    let turns: Vec<_> = behind
        .into_iter()
        .map(|place| finished(place.turn()))
        .collect();
    assert!(
        matches!(turns[..], [Turn::Lost, Turn::Lead(_)]),
        "{turns:?}"
    );
}

#[test]
fn a_panic_of_the_leader_lets_the_next_one_lead() {
    let (queue, key) = (queue(), key());
    let (first, mut behind) = queue_up(&queue, key, &[ALONE]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _first = first;
        panic!("the leader panics");
    }));
    assert!(panicked.is_err());
    drop(lead(behind.remove(0)));
    assert_eq!(queue.lock().len(), 0);
}

#[test]
fn a_dropped_request_gets_no_turn_and_is_not_written() {
    let (queue, key) = (queue(), key());
    let (first, mut behind) = queue_up(&queue, key, &[ALONE, TOGETHER, TOGETHER, TOGETHER]);
    drop(behind.remove(0));
    drop(behind.remove(1));
    drop(first);
    let mut second = lead(behind.remove(0));
    second.gather();
    assert_eq!(members(&mut second), [4]);
}

#[test]
fn a_request_that_is_dropped_at_its_turn_passes_it_to_the_next() {
    let (queue, key) = (queue(), key());
    let (first, mut behind) = queue_up(&queue, key, &[ALONE, ALONE]);
    // The turn is sent to it, but it does not receive it.
    drop(first);
    drop(behind.remove(0));
    drop(lead(behind.remove(0)));
    assert_eq!(queue.lock().len(), 0);
}

#[test]
fn all_waiting_requests_can_be_answered_at_once() {
    let (queue, key) = (queue(), key());
    let (mut first, behind) = queue_up(&queue, key, &[ALONE, TOGETHER]);
    first.answer_waiting(|| "ended");
    for place in behind {
        assert!(matches!(finished(place.turn()), Turn::Answered("ended")));
    }
    // The leader keeps its turn.
    let Place::Behind(_) = queue.enter(key, 3, ALONE).unwrap() else {
        panic!("two lead");
    };
    drop(first);
    assert_eq!(queue.lock().len(), 0);
}

#[test]
fn no_more_than_256_requests_wait_for_one_session() {
    let (queue, key) = (queue(), key());
    let (first, behind) = queue_up(&queue, key, &[TOGETHER; MOST_WAITING]);
    assert!(matches!(queue.enter(key, 0, ALONE), Err(Full)));
    drop((first, behind));
    assert_eq!(queue.lock().len(), 0);
}

#[test]
fn a_request_that_waited_too_long_is_refused_and_does_not_lead() {
    let queue = Arc::new(Queue {
        give_up_after: Duration::ZERO,
        ..Queue::default()
    });
    let (first, behind) = queue_up(&queue, key(), &[ALONE, TOGETHER]);
    std::thread::sleep(Duration::from_millis(1));
    drop(first);
    for place in behind {
        assert!(matches!(finished(place.turn()), Turn::TooLate));
    }
    assert_eq!(queue.lock().len(), 0);
}
