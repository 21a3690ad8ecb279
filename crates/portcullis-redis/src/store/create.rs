//! Creates sessions.

use portcullis_core::{
    SessionIdHash, Timestamp,
    store::{
        Create, Created, CreatedSession, Interrupted, Limits, Others, RecordWrite, Revision,
        StoreError, StoreErrorKind, Timing,
    },
};

use bytes::Bytes;

use super::{
    compensation::Compensation,
    context::{Attempts, Context, Errors},
    displace::displace,
    revision,
};
use crate::{
    clock::lag,
    driver::{Reply, wrong_reply},
    scripts::{self, NewTiming},
};

/// Creates a session, and ends the sessions that it displaces.
pub(super) async fn create(
    context: &Context,
    compensation: &Compensation,
    create: Create<'_>,
) -> Result<Created, Interrupted> {
    let Create {
        key,
        write,
        limits,
        others,
        ..
    } = create;
    check_room(context, key, write)?;
    let moments = Moments::starting(context, key, write, limits);
    // If the answer is lost, no caller knows of the session, and it must not count against a limit.
    let provisional = compensation.provisional(context, key, &write.meta);
    let revision = revision::random();
    let (attempt, attempts) = try_create(context, key, write, moments, others, revision).await?;
    let refusal = match attempt {
        CreateAttempt::Done(timing, displaced) => {
            let displaced = displace(context, key, write, others, &displaced).await?;
            provisional.confirm();
            return Ok(Created::Done(CreatedSession::new(
                timing, revision, displaced,
            )));
        }
        CreateAttempt::Taken => Created::Taken,
        CreateAttempt::AtLimit => Created::AtLimit,
        CreateAttempt::Revoked => Created::Revoked,
        CreateAttempt::Suspended => Created::Suspended,
    };
    provisional.sent(attempts).refused();
    Ok(refusal)
}

/// The moments of a session that is created, by the clock of its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moments {
    pub(super) timing: NewTiming,
    /// When its user authenticated.
    pub(super) authenticated_at: Option<Timestamp>,
    /// When its elevations end.
    pub(super) elevated_until: Option<Timestamp>,
}

impl Moments {
    /// The moments of a session that starts now, in the bucket of this key.
    pub(super) fn starting(
        context: &Context,
        key: &SessionIdHash,
        write: &RecordWrite,
        limits: Limits,
    ) -> Self {
        let lead = lag(context.lead_over(key.bucket()));
        Self {
            timing: NewTiming::Starts(limits),
            authenticated_at: context.authenticated_by(key.bucket(), &write.meta),
            elevated_until: write.elevated_until.map(|until| until.before(lead)),
        }
    }
}

/// The result of an attempt to create a session.
pub(super) enum CreateAttempt {
    /// The entries of the sessions it displaces.
    Done(Timing, Vec<Bytes>),
    Taken,
    AtLimit,
    Revoked,
    Suspended,
}

/// Refuses a session without a user while memory is short, so that there is room for sign-ins.
fn check_room(
    context: &Context,
    key: &SessionIdHash,
    write: &RecordWrite,
) -> Result<(), StoreError> {
    let due_list = || context.prefix().due_list(key.bucket());
    if write.meta.owner.is_none() && !context.driver().admits_visitor_at(due_list) {
        return Err(StoreError::new(
            StoreErrorKind::Full,
            "the memory of Redis is nearly full, so sessions without a user are refused and the rest is \
             kept for sign-ins; raise maxmemory",
        ));
    }
    Ok(())
}

/// Creates a session with these moments. If the answer is lost, it is created once more: a session
/// that the first attempt created is found and is the same.
pub(super) async fn try_create(
    context: &Context,
    key: &SessionIdHash,
    write: &RecordWrite,
    moments: Moments,
    others: &Others,
    revision: Revision,
) -> Result<(CreateAttempt, Attempts), StoreError> {
    let call = scripts::Create {
        prefix: context.prefix(),
        key,
        write,
        revision,
        timing: moments.timing,
        authenticated_at: moments.authenticated_at,
        elevated_until: moments.elevated_until,
        others,
        log_size: context.log_size(),
    };
    let (reply, attempts) = context.run_twice(&call, Errors::of_step(others)).await?;
    let attempt = match reply {
        Reply::Done(timing, displaced) => CreateAttempt::Done(timing, displaced),
        Reply::Taken => CreateAttempt::Taken,
        Reply::Revoked => CreateAttempt::Revoked,
        Reply::Suspended => CreateAttempt::Suspended,
        Reply::AtLimit => CreateAttempt::AtLimit,
        Reply::Newer => return Err(StoreError::newer_format()),
        _ => return Err(wrong_reply()),
    };
    Ok((attempt, attempts))
}
