//! Policy for a session that is used from another device.

/// The policy for a session that is used from what appears to be another device than at the
/// sign-in.
///
/// The name of the client is compared (family and system, no versions). So is its network, if
/// [addresses are used](crate::SessionLayer::client_addresses). A thief who imitates both is not
/// noticed. So a comparison can only remove rights, and never grants any.
///
/// Each other device is reported once, up to four, as
/// [`EventKind::DeviceChanged`](crate::audit::EventKind::DeviceChanged). The session is
/// [`flagged`](crate::session::SessionEntry::flagged) until its user proves their identity again.
/// Sessions without a user are not compared.
///
/// ```
/// # use portcullis::{MemoryStore, SessionLayer, client::DeviceBinding};
/// let sessions = SessionLayer::new(MemoryStore::new())
///     .device_binding(DeviceBinding::StepUp)
///     .reauthentication_page("/confirm")?;
/// # Ok::<(), portcullis::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceBinding {
    /// The change is reported, and the session is flagged. The default, because telephones often
    /// change their network, and browsers sometimes their name (NIST SP 800-63B-4, 5.3; OWASP
    /// Cookie Theft Mitigation).
    #[default]
    Observe,
    /// As `Observe`, and elevations end. [`Authenticated`](crate::Authenticated) and
    /// [`Elevated`](crate::Elevated) refuse with
    /// [`Refusal::ElevationRequired`](crate::reject::Refusal::ElevationRequired) until the user
    /// proves their identity again, with [`elevate`](crate::Session::elevate) or
    /// [`authenticate`](crate::Session::authenticate). [`Session`](crate::Session) itself stays
    /// usable.
    ///
    /// The guards admit requests to the path of the [re-authentication
    /// page](crate::SessionLayer::reauthentication_page), and to routes with
    /// [`ReauthenticationPageLayer`](crate::route::ReauthenticationPageLayer). Without either,
    /// re-authenticate in a handler that takes a plain `Session`.
    StepUp,
    /// The session is ended, as
    /// [`EndReason::DeviceChanged`](crate::session::EndReason::DeviceChanged), and the request has
    /// no session. It is for applications whose users do not move.
    End,
}
