//! What follows when a session is used from another device.

/// What happens when a session is used from what looks like another device than the one its user proved themselves
/// on.
///
/// Compared is what the client calls itself (family and system, no versions) and, where
/// [addresses are used](crate::SessionLayer::client_addresses), its network. A thief who imitates both is not noticed, so
/// it can only take rights away and never grants any.
///
/// Each other device is told once, as [`EventKind::DeviceChanged`](crate::EventKind::DeviceChanged), up to four, and the
/// session is [`flagged`](crate::SessionEntry::flagged) until its user proves anew who they are. Sessions without a user
/// are not compared: nobody has proved anything in them.
///
/// ```
/// # use portcullis::{DeviceBinding, MemoryStore, SessionLayer};
/// let sessions = SessionLayer::new(MemoryStore::new())
///     .device_binding(DeviceBinding::StepUp)
///     .reauthentication_page("/confirm")?;
/// # Ok::<(), portcullis::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceBinding {
    /// It is told, and the session is flagged. The default: telephones change their network all day, and browsers
    /// what they call themselves now and then (NIST SP 800-63B-4, 5.3; OWASP Cookie Theft Mitigation).
    #[default]
    Observe,
    /// Besides, elevations end, and [`Authenticated`](crate::Authenticated) and [`Elevated`](crate::Elevated) refuse
    /// with [`Refusal::ElevationRequired`](crate::Refusal::ElevationRequired) until the user proves again who they
    /// are, with [`elevate`](crate::Session::elevate) or [`authenticate`](crate::Session::authenticate).
    /// [`Session`](crate::Session) itself stays usable.
    ///
    /// They let requests through to the path of the
    /// [re-authentication page](crate::SessionLayer::reauthentication_page), and to routes that are marked with
    /// [`ReauthenticationPageLayer`](crate::ReauthenticationPageLayer), so that it can be reached. Without either,
    /// re-authenticate in a handler that takes a plain `Session`.
    StepUp,
    /// The session is ended, as [`EndReason::DeviceChanged`](crate::EndReason::DeviceChanged), and the request has
    /// none. For applications whose people stay where they are.
    End,
    /// Nothing is compared.
    Off,
}
