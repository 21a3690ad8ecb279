//! A request's working copy of its session, and the queue in which requests write to one session.

pub(crate) mod member;
pub(crate) mod queue;
pub(crate) mod working_copy;

use self::member::{Answer, Member};

pub(crate) type WriteQueue = queue::WriteQueue<Member, Answer>;
pub(crate) type Lead = queue::Lead<Member, Answer>;
pub(crate) type Place = queue::Place<Member, Answer>;
