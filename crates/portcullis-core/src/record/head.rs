//! The part of a session that the rules need, and its encoding: a map of [fields](super::fields).
//!
//! | key | field | type | written |
//! |---|---|---|---|
//! | 0 | handle | binary, 12 bytes | always |
//! | 1 | user | binary | if there is one |
//! | 2 | lifetime | unsigned, milliseconds | always |
//! | 3 | age | unsigned, milliseconds | unless it is 0 |
//! | 4 | elevations | array of maps | if there are any |
//! | 5 | device | map | if it is known |
//! | 6 | authentication method | string | not yet |
//! | 7 | the provider's `auth_time` | unsigned, Unix seconds by the provider's clock | not yet |
//! | 8 | shortest idle timeout | unsigned, milliseconds | if the application shortened it |
//! | 9 | rotation: when | unsigned, milliseconds before the absolute deadline | not yet |
//! | 10 | rotation: nonce | binary, 16 bytes | not yet |
//! | 11 | rotation: confirmed | boolean | not yet |
//! | 12 | persistent | boolean | if it is true |
//! | 13 | actor | binary, as the user | not yet |
//! | 14 | sealing key | unsigned, 32 bits | not yet |
//! | 15 | class | string of one character | if there is one |
//! | 16 | federation tag | binary, 16 bytes | read for lists, not written yet |
//! | 17 | privileged idle timeout | unsigned, milliseconds | if there are elevations |
//! | 18 | last proof | unsigned, milliseconds before the absolute deadline | after an elevation |
//! | 19 | approvals | array of maps, as elevations | if there are any |
//! | 20 | lifetime is shortened | boolean | if it is true |
//!
//! Keys from 21 to 127 are free. ARCHITECTURE.md, "How a layout changes", describes each key and
//! how a new one is introduced.

use std::time::Duration;

use super::{
    Device, Unencodable, Unreadable,
    fields::{self, Field, MOST_UNKNOWN, Unknown},
    msgpack::{Append, Damaged, Reader},
};
use crate::{
    ClassCode, Owner, SessionHandle, SessionMeta, Source, Timestamp, UserId,
    approval::MOST,
    elevation::{Elevation, keep_moment},
};

/// The keys of the fields. A number belongs to one field forever, even if that is no longer
/// written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(dead_code, reason = "numbers are reserved for fields to come")]
enum Key {
    Handle = 0,
    User = 1,
    Lifetime = 2,
    Age = 3,
    Elevations = 4,
    Device = 5,
    /// How the user authenticated.
    AuthenticationMethod = 6,
    /// When the user authenticated, by the clock of the identity provider.
    ProviderAuthTime = 7,
    /// The idle timeout to which the application shortened that of this session.
    ShortestIdle = 8,
    /// When the identifier last changed by periodic rotation.
    RotationTime = 9,
    /// The nonce with which this identifier was derived from the previous one.
    RotationNonce = 10,
    /// Whether the client has sent this identifier.
    RotationConfirmed = 11,
    /// Whether the user asked to be remembered, so that the cookie outlives the browser.
    Persistent = 12,
    /// Who acts on behalf of the user.
    Actor = 13,
    /// The number of the key that encrypts the data.
    SealedWith = 14,
    /// The class of the session.
    Class = 15,
    /// A digest of issuer, provider's session and `auth_time`, for sign-outs that the provider asks
    /// for.
    FederationTag = 16,
    /// How long after the last privileged activity the elevations end.
    PrivilegedIdle = 17,
    /// When the user last proved their identity, if that was after the sign-in.
    LastProof = 18,
    /// The operations that the user has approved.
    Approvals = 19,
    /// Whether the application brought the absolute deadline of this session forward.
    LifetimeIsShortened = 20,
}

impl Key {
    /// The fields that this version reads.
    const KNOWN: [Self; 13] = [
        Self::Handle,
        Self::User,
        Self::Lifetime,
        Self::Age,
        Self::Elevations,
        Self::Device,
        Self::ShortestIdle,
        Self::Persistent,
        Self::Class,
        Self::PrivilegedIdle,
        Self::LastProof,
        Self::Approvals,
        Self::LifetimeIsShortened,
    ];

    fn known(number: u8) -> Option<Self> {
        Self::KNOWN.into_iter().find(|key| *key as u8 == number)
    }
}

/// The part of a session that the rules need.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) handle: SessionHandle,
    pub(crate) user: Option<UserId>,
    /// How many milliseconds lay between the setting of the absolute deadline and that deadline.
    lifetime: u64,
    /// The session's age in milliseconds when the absolute deadline was last set.
    age: u64,
    pub(crate) elevations: Vec<Elevation>,
    /// The idle timeout in milliseconds to which the application shortened that of this session.
    shortest_idle: Option<u64>,
    /// Whether the application brought the absolute deadline forward.
    pub(crate) lifetime_is_shortened: bool,
    /// How many milliseconds after the last privileged activity all elevations end. `None` without
    /// elevations.
    privileged_idle: Option<u64>,
    /// How many milliseconds before the absolute deadline the user last proved their identity, if
    /// that was after the sign-in.
    last_proof: Option<u64>,
    /// The operations that the user has approved, each by its stored name.
    pub(crate) approvals: Vec<Elevation>,
    pub(crate) class: ClassCode,
    pub(crate) device: Option<Device>,
    /// Whether the user asked to be remembered: each new cookie of the session then outlives the
    /// browser.
    pub(crate) persistent: bool,
    /// Fields of a later version. A new authentication drops them.
    unknown: Unknown,
}

impl Head {
    pub(super) fn new(handle: SessionHandle, lifetime: Duration, device: Option<Device>) -> Self {
        Self {
            handle,
            user: None,
            lifetime: crate::time::millis(lifetime),
            age: 0,
            elevations: Vec::new(),
            shortest_idle: None,
            lifetime_is_shortened: false,
            privileged_idle: None,
            last_proof: None,
            approvals: Vec::new(),
            class: ClassCode::NONE,
            device,
            persistent: false,
            unknown: Unknown::default(),
        }
    }

    /// Reads the head without the application's data.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::read(&mut super::values(bytes)?)
    }

    /// Sets the absolute deadline again: `lifetime` from now, when the session is `age` old.
    pub(crate) fn restart(&mut self, lifetime: Duration, age: Duration) {
        self.lifetime = crate::time::millis(lifetime);
        self.age = crate::time::millis(age);
        self.last_proof = None;
        self.shortest_idle = None;
        self.lifetime_is_shortened = false;
    }

    /// The application shortens the idle timeout of this session.
    pub(crate) fn shorten_idle(&mut self, idle: Duration) {
        self.shortest_idle = Some(crate::time::millis(self.idle_at_most(idle)));
    }

    /// This idle timeout, or what the application shortened it to.
    pub(crate) fn idle_at_most(&self, idle: Duration) -> Duration {
        self.shortest_idle()
            .map_or(idle, |shortest| shortest.min(idle))
    }

    /// The idle timeout to which the application shortened that of this session.
    pub(crate) fn shortest_idle(&self) -> Option<Duration> {
        self.shortest_idle.map(Duration::from_millis)
    }

    /// Adds an elevation, in place of an earlier one for its scope. All elevations end `idle` after
    /// the last privileged activity, or earlier if an earlier one does.
    pub(crate) fn elevate(&mut self, elevation: Elevation, idle: Duration) {
        self.elevations
            .retain(|other| other.scope != elevation.scope);
        let idle = crate::time::millis(idle);
        let others = self.privileged_idle.filter(|_| !self.elevations.is_empty());
        self.privileged_idle = Some(others.map_or(idle, |others| others.min(idle)));
        self.elevations.push(elevation);
    }

    /// Whether there are elevations or approvals.
    pub(crate) fn has_elevations(&self) -> bool {
        !self.elevations.is_empty() || !self.approvals.is_empty()
    }

    /// Ends all elevations and approvals.
    pub(crate) fn drop_elevations(&mut self) {
        self.elevations.clear();
        self.privileged_idle = None;
        self.approvals.clear();
    }

    /// Adds an approval, in place of an earlier one for the same operation.
    pub(crate) fn approve(&mut self, approval: Elevation) {
        self.take_approval(&approval.scope);
        if self.approvals.len() >= MOST {
            self.approvals.remove(0);
        }
        self.approvals.push(approval);
    }

    /// Removes the approval for the operation with this stored name, and returns it.
    pub(crate) fn take_approval(&mut self, operation: &str) -> Option<Elevation> {
        let mut approvals = self.approvals.iter();
        let place = approvals.position(|approval| approval.scope == operation)?;
        Some(self.approvals.remove(place))
    }

    /// Ends all elevations at least this long before the absolute deadline, and `idle` after the
    /// last privileged activity.
    pub(crate) fn cap_elevations(&mut self, ends_before_deadline: Duration, idle: Duration) {
        for elevation in &mut self.elevations {
            elevation.cap(ends_before_deadline);
        }
        let idle = crate::time::millis(idle);
        self.privileged_idle = self.privileged_idle.map(|other| other.min(idle));
    }

    /// Whether the session was used from what looks like another device since the last proof.
    pub(crate) fn is_flagged(&self) -> bool {
        let device = self.device.as_ref();
        device.is_some_and(|device| device.change.is_some())
    }

    /// Sets the last proof to this long before the absolute deadline.
    pub(crate) fn set_last_proof(&mut self, before_deadline: Duration) {
        self.last_proof = Some(crate::time::millis(before_deadline));
    }

    /// When the user last proved their identity, in a session with this absolute deadline.
    pub(crate) fn proved_at(&self, absolute_deadline: Timestamp) -> Timestamp {
        let before = self.last_proof.unwrap_or(self.lifetime);
        absolute_deadline.before(Duration::from_millis(before))
    }

    /// How long after the last privileged activity its elevations end.
    pub(crate) fn privileged_idle(&self) -> Option<Duration> {
        self.privileged_idle.map(Duration::from_millis)
    }

    /// Keeps the moments that are stored relative to the absolute deadline when that moves.
    pub(crate) fn keep_moments(&mut self, before: Timestamp, after: Timestamp) {
        for elevation in self.elevations.iter_mut().chain(&mut self.approvals) {
            elevation.keep_end(before, after);
        }
        let proof = self.last_proof;
        self.last_proof = proof.map(|proof| keep_moment(proof, before, after));
    }

    /// Replaces the lifetime that was just set.
    pub(crate) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = crate::time::millis(lifetime);
    }

    /// Drops the fields that this version does not know, since they describe the previous
    /// authentication.
    pub(crate) fn forget_unknown(&mut self) {
        self.unknown = Unknown::default();
    }

    /// The time from the setting of the absolute deadline to that deadline.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime)
    }

    /// The time from the creation of the session to its absolute deadline.
    pub(crate) fn lifetime_since_creation(&self) -> Duration {
        Duration::from_millis(self.lifetime.saturating_add(self.age))
    }

    /// What a store must know, given the absolute deadline.
    pub(crate) fn meta(&self, absolute_deadline: Timestamp) -> SessionMeta {
        let owner = self.user.as_ref().map(|user| Owner {
            user: user.clone(),
            authenticated_at: absolute_deadline.before(self.lifetime()),
        });
        let tag = self.later(Key::FederationTag, |value| value.bin_of().ok());
        SessionMeta {
            class: self.class,
            source: tag.map_or(Source::Local, Source::Federated),
            ..SessionMeta::new(self.handle, owner)
        }
    }

    /// A field of a later version that lists of sessions depend on. A list without it would be
    /// wrong.
    fn later<T>(&self, key: Key, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        read(&mut self.unknown.find(key as u8)?)
    }

    /// The size in bytes of the fields that this version does not know, here and in nested maps.
    pub(super) fn unknown_len(&self) -> usize {
        let elevations = self.elevations.iter().chain(&self.approvals);
        let nested = elevations
            .map(Elevation::unknown)
            .chain(self.device.iter().map(Device::unknown));
        nested.fold(self.unknown.len(), |sum, unknown| sum + unknown.len())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        let mut fields = fields::Writer::new(out);
        let handle = fields.field(Key::Handle as u8);
        handle.append_bin(self.handle.as_bytes())?;
        if let Some(user) = &self.user {
            let out = fields.field(Key::User as u8);
            out.append_bin(user.as_bytes())?;
        }
        let lifetime = fields.field(Key::Lifetime as u8);
        lifetime.append_uint(self.lifetime);
        if self.age != 0 {
            fields.field(Key::Age as u8).append_uint(self.age);
        }
        for (key, elevations) in [
            (Key::Elevations, &self.elevations),
            (Key::Approvals, &self.approvals),
        ] {
            if !elevations.is_empty() {
                let out = fields.field(key as u8);
                out.append_array(elevations.len())?;
                let mut elevations = elevations.iter();
                elevations.try_for_each(|elevation| elevation.write(out))?;
            }
        }
        if let Some(device) = &self.device {
            device.write(fields.field(Key::Device as u8))?;
        }
        if self.persistent {
            fields.field(Key::Persistent as u8).append_bool(true);
        }
        if self.class != ClassCode::NONE {
            let mut code = [0; 4];
            let code = self.class.as_char().encode_utf8(&mut code);
            fields.field(Key::Class as u8).append_str(code)?;
        }
        for (key, value) in [
            (Key::ShortestIdle, self.shortest_idle),
            (Key::PrivilegedIdle, self.privileged_idle),
            (Key::LastProof, self.last_proof),
        ] {
            if let Some(value) = value {
                fields.field(key as u8).append_uint(value);
            }
        }
        if self.lifetime_is_shortened {
            fields
                .field(Key::LifetimeIsShortened as u8)
                .append_bool(true);
        }
        fields.finish(&self.unknown)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (mut handle, mut user, mut lifetime) = (None, None, None);
        let (mut age, mut elevations, mut device) = (0, Vec::new(), None);
        let (mut persistent, mut class) = (false, ClassCode::NONE);
        let (mut privileged_idle, mut last_proof, mut shortest_idle) = (None, None, None);
        let (mut approvals, mut lifetime_is_shortened) = (Vec::new(), false);
        let unknown = fields::read(reader, |key, value| {
            match Key::known(key) {
                Some(Key::Handle) => handle = Some(SessionHandle::from_bytes(value.bin_of()?)),
                Some(Key::User) => user = Some(UserId::from(value.bin()?)),
                Some(Key::Lifetime) => lifetime = Some(value.uint()?),
                Some(Key::Age) => age = value.uint()?,
                Some(Key::Elevations) => elevations = read_elevations(value)?,
                Some(Key::Approvals) => approvals = read_elevations(value)?,
                Some(Key::Device) => device = Some(Device::read(value)?),
                Some(Key::Persistent) => persistent = value.bool()?,
                Some(Key::Class) => {
                    let code = value.str()?.parse().ok();
                    class = code.and_then(ClassCode::from_char).ok_or(Damaged)?;
                }
                Some(Key::PrivilegedIdle) => privileged_idle = Some(value.uint()?),
                Some(Key::LastProof) => last_proof = Some(value.uint()?),
                Some(Key::ShortestIdle) => shortest_idle = Some(value.uint()?),
                Some(Key::LifetimeIsShortened) => lifetime_is_shortened = value.bool()?,
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Known)
        })?;
        let head = Self {
            handle: handle.ok_or(Damaged)?,
            user,
            lifetime: lifetime.ok_or(Damaged)?,
            age,
            elevations,
            shortest_idle,
            lifetime_is_shortened,
            privileged_idle,
            last_proof,
            approvals,
            class,
            device,
            persistent,
            unknown,
        };
        // It is complete, and has more fields than this version can carry along.
        match head.unknown_len() > MOST_UNKNOWN {
            true => Err(Unreadable::Newer),
            false => Ok(head),
        }
    }
}

fn read_elevations(value: &mut Reader<'_>) -> Result<Vec<Elevation>, Damaged> {
    let mut elevations = Vec::new();
    for _ in 0..value.array()? {
        elevations.push(Elevation::read(value)?);
    }
    Ok(elevations)
}
