//! Clearing away what is over, and telling of it once.
//!
//! Redis removes an expired session by itself and tells nobody. The list of its bucket still holds it, with
//! all there is to tell: whoever takes it out of there is the one to tell. Any number of servers may look at
//! the same lists; each looks at all of them, starting anywhere.

use bytes::Bytes;
use portcullis_core::{
    BUCKETS, Bucket, EndReason, SessionIdHash, Timestamp, UserIdHash,
    store::{Expired, Expiry, Loaded, StoreError, StoreErrorKind, Swept},
};

use crate::{
    RedisStore,
    arguments::number,
    driver::{Command, EXPIRE_DUE, ExpiredMember, Fetched, OVERDUE, Reply, wrong_reply},
    entry::Member,
    record::{Record, millis},
};

/// Lists looked at in one round trip.
const LISTS: u16 = 64;

/// What is taken out of a list by one script.
const BATCH: usize = 100;

/// At how much of what waits to be swept in its bucket one session is looked for. There is more only where nobody swept
/// for long.
const LOOKED_AT: u64 = 500;

/// How often a session is looked for that others take out of the list meanwhile.
const ATTEMPTS: usize = 3;

/// What one sweep brings at most, or a little more.
const MOST: usize = 1000;

impl RedisStore {
    /// What was taken out of a list is told, also when the server fails before the next one.
    pub(crate) async fn sweep_buckets(&self) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        match self.sweep_into(&mut swept).await {
            Err(error) if swept.expired.is_empty() => Err(error),
            Err(error) => {
                tracing::debug!(%error, "a sweep came to an end half-way");
                Ok(swept)
            }
            Ok(()) => Ok(swept),
        }
    }

    /// Where only a part of a cluster does not answer, the rest is swept all the same.
    async fn sweep_into(&self, swept: &mut Swept) -> Result<(), StoreError> {
        let mut failed = Ok(());
        let first: u16 = rand::random_range(0..BUCKETS);
        for offset in (0..BUCKETS).step_by(usize::from(LISTS)) {
            let numbers = (0..LISTS).map(|step| (first + offset + step) % BUCKETS);
            let buckets: Vec<_> = numbers.filter_map(Bucket::from_number).collect();
            if offset == 0 {
                failed = match self.trim_log(&buckets).await {
                    Err(error) if error.kind() != StoreErrorKind::Unavailable => return Err(error),
                    trimmed => trimmed,
                };
            }
            let (mut answered, mut left) = (false, Ok(()));
            for (bucket, due) in self.due(&buckets).await {
                let expired = match due {
                    Ok(members) if members.is_empty() => Ok((0, Vec::new())),
                    Ok(members) if left.is_ok() => {
                        let expired = self.expire_due(bucket, &members, false).await;
                        expired.map(|expired| (members.len(), expired))
                    }
                    // One that was not answered takes the whole wait.
                    Ok(_) => continue,
                    Err(error) => {
                        failed = Err(error);
                        continue;
                    }
                };
                answered = true;
                match expired {
                    Ok((members, expired)) => {
                        // What cannot be taken out of a list is still there the next time.
                        swept.more |= members >= BATCH && !expired.is_empty();
                        swept.expired.extend(expired);
                    }
                    Err(error) => left = Err(error),
                }
            }
            failed = left.and(failed);
            if !answered {
                break;
            }
            if swept.expired.len() >= MOST {
                swept.more = true;
                break;
            }
        }
        failed
    }

    /// Why there is no session under this key: perhaps its time was over, and nobody has told of it yet.
    ///
    /// Anybody can ask for keys that are made up, so each costs one short answer, however much waits to be swept.
    pub(crate) async fn explain_absence(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
        for _ in 0..ATTEMPTS {
            // Whoever takes it out of the list leaves the mark, so it is in the one or the other.
            let (member, mark) = tokio::try_join!(
                self.overdue(key),
                self.driver().get(self.prefix().session(key))
            )?;
            if let Some(member) = member {
                let expired = self.expire_due(key.bucket(), &[member], true).await?.pop();
                match expired {
                    Some(expired) => return Ok(Loaded::Expired(expired)),
                    // Another server was faster. Look again.
                    None => continue,
                }
            }
            if let Fetched::Value(mark) = mark
                && let Record::Ended(mark) = Record::parse(&mark)
            {
                return Ok(mark.loaded());
            }
            break;
        }
        Ok(Loaded::Absent)
    }

    /// What the list of the bucket holds of the session under this key, if its time is over.
    async fn overdue(&self, key: &SessionIdHash) -> Result<Option<Bytes>, StoreError> {
        let keys = vec![self.prefix().due_list(key.bucket())];
        let arguments = vec![Bytes::copy_from_slice(key.digest()), number(LOOKED_AT)];
        let Reply::Listed(_, members) = self.run(&OVERDUE, keys, arguments).await? else {
            return Err(wrong_reply());
        };
        let is_it = |member: &Bytes| {
            Member::parse(key.bucket(), member).is_some_and(|member| member.entry.key == *key)
        };
        Ok(members.into_iter().find(is_it))
    }

    /// What is due in each of these buckets, from the first on.
    async fn due(&self, buckets: &[Bucket]) -> Vec<(Bucket, Result<Vec<Bytes>, StoreError>)> {
        let commands = buckets.iter().map(|bucket| {
            let now = number(self.now_in(*bucket).as_millis());
            self.due_in(*bucket, &now)
        });
        let answers = self
            .driver()
            .send_each_long(commands.collect())
            .await
            .into_iter();
        let lists = answers.map(|answer| Ok(answer?.list().into_iter().flatten().collect()));
        buckets.iter().copied().zip(lists).collect()
    }

    fn due_in(&self, bucket: Bucket, now: &Bytes) -> Command {
        Command {
            name: "ZRANGEBYSCORE",
            arguments: vec![
                self.prefix().due_list(bucket).into(),
                Bytes::from_static(b"-inf"),
                now.clone(),
                Bytes::from_static(b"LIMIT"),
                Bytes::from_static(b"0"),
                number(BATCH as u64),
            ],
        }
    }

    /// Takes these out of the list of their bucket, and returns those that nobody else had taken.
    async fn expire_due(
        &self,
        bucket: Bucket,
        members: &[Bytes],
        remember: bool,
    ) -> Result<Vec<Expired>, StoreError> {
        let prefix = self.prefix();
        let mut keys = vec![
            prefix.due_list(bucket),
            prefix.log(bucket, true),
            prefix.log(bucket, false),
        ];
        let note = |what: Expiry| what.note().encode();
        let mut arguments = vec![
            self.log_size(true),
            self.log_size(false),
            number(millis(EndReason::IdleTimeout.remembered_for())),
            Bytes::from_static(if remember { b"1" } else { b"0" }),
            note(Expiry::Session(EndReason::IdleTimeout)),
            note(Expiry::Session(EndReason::AbsoluteTimeout)),
            note(Expiry::Elevation),
        ];
        for bytes in members {
            let member = Member::parse(bucket, bytes);
            let user = member.as_ref().and_then(|member| member.user.as_ref());
            keys.push(match &member {
                Some(member) => prefix.session(&member.entry.key),
                // Of a later version. The script touches nothing of it.
                None => prefix.due_list(bucket),
            });
            keys.push(match user {
                Some(user) => prefix.user_list(&UserIdHash::of(user)),
                None => prefix.due_list(bucket),
            });
            arguments.push(bytes.clone());
        }
        match self.run(&EXPIRE_DUE, keys, arguments).await? {
            Reply::Expired(over) => Ok(over
                .iter()
                .filter_map(|over| expired(bucket, over))
                .collect()),
            _ => Err(wrong_reply()),
        }
    }
}

fn expired(bucket: Bucket, over: &ExpiredMember) -> Option<Expired> {
    let member = Member::parse(bucket, &over.member)?;
    Some(Expired {
        handle: member.entry.handle,
        user: member.user,
        what: match over.code {
            b'e' => Expiry::Elevation,
            code => Expiry::Session(EndReason::from_code(char::from(code))?),
        },
        at: Timestamp::from_millis(over.at),
    })
}
