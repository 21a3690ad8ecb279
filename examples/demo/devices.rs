//! Your devices: the sessions of your account, and how to end them.

use axum::{
    Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::{
    Authenticated, Elevated,
    client::ClientChange,
    session::{SessionEntry, SessionHandle, Timestamp},
};
use serde::Deserialize;

use crate::{
    error::Error,
    page::{Here, page},
    panel::{Notice, future, notice, panel, past},
    users::Users,
};

pub(crate) async fn show(
    signed_in: Authenticated,
    State(users): State<Users>,
) -> Result<Markup, Error> {
    let elevated = signed_in.session().elevated_until().is_some();
    devices_page(&signed_in, &users, elevated).await
}

/// The same page after the password was confirmed: the confirmation redirects here.
pub(crate) async fn manage(_: Elevated) -> Redirect {
    Redirect::to("/account/devices")
}

#[derive(Deserialize)]
pub(crate) struct Which {
    device: String,
}

pub(crate) async fn end(elevated: Elevated, Form(which): Form<Which>) -> Result<Response, Error> {
    let handle = SessionHandle::parse(&which.device).ok_or(Error::NotFound)?;
    let receipt = elevated.revoke_session(handle).await?;
    if receipt.ended.is_empty() {
        // The session of another user, or one that has ended: the same answer for both.
        return Err(Error::NotFound);
    }
    Notice::DeviceEnded.leave(elevated.session())?;
    Ok(Redirect::to("/account/devices").into_response())
}

pub(crate) async fn end_others(elevated: Elevated) -> Result<Redirect, Error> {
    elevated.revoke_other_sessions().await?;
    Notice::OthersEnded.leave(elevated.session())?;
    Ok(Redirect::to("/account/devices"))
}

async fn devices_page(
    signed_in: &Authenticated,
    users: &Users,
    elevated: bool,
) -> Result<Markup, Error> {
    let session = signed_in.session();
    let mut devices = signed_in.list_sessions().await?;
    devices.sort_by_key(|device| !device.current);
    let others = devices.iter().filter(|device| !device.current).count();
    let main = html! {
        h1 { "Your devices" }
        (notice(session)?)
        p.lead { "Where you are signed in. A session that you end here is signed out at once, on any device." }
        ul.devices {
            @for device in &devices {
                li { (device_card(device, session.now(), elevated)) }
            }
        }
        @if others == 0 {
            p { "You are signed in nowhere else." }
        } @else if elevated {
            form method="post" action="/account/devices/end-others" {
                button { "End all others" }
            }
        } @else {
            p { a.button href="/account/devices/manage" { "Enter your password to end a session" } }
        }
        p { a href="/account/activity" { "What happened to your sessions" } }
    };
    Ok(page(
        "Your devices",
        Here::Account,
        main,
        Some(panel(session, users)),
    ))
}

fn device_card(device: &SessionEntry, now: Timestamp, elevated: bool) -> Markup {
    let title = format!("device-{}", device.info.handle);
    let name = match &device.client {
        Some(client) => client.to_string(),
        None => "Unknown client".to_owned(),
    };
    html! {
        h2 id=(title) {
            (name)
            @if device.current { " " span.tag { "this device" } }
        }
        @if let Some(change) = device.flagged { (flag(change)) }
        dl.facts {
            @if let Some(at) = device.info.authenticated_at {
                div { dt { "Signed in" } dd { (past(at, now)) } }
            }
            div { dt { "Last active" } dd { (past(device.info.last_active_at, now)) } }
            div { dt { "Ends if idle" } dd { (future(device.info.idle_deadline, now)) } }
            @if let Some(until) = device.elevated_until {
                div { dt { "Elevated" } dd { "ends " (future(until, now)) } }
            }
        }
        @if elevated && !device.current {
            form method="post" action="/account/devices/end" {
                input type="hidden" name="device" value=(device.info.handle);
                button.quiet aria-describedby=(title) { "End this session" }
            }
        }
    }
}

fn flag(change: ClientChange) -> Markup {
    let what = match change {
        ClientChange::Network => "from another network",
        ClientChange::Name => "by another browser",
        _ => "by another browser in another network",
    };
    html! {
        p.warning {
            "Since then it has been used " (what) ". If that was not you, end it and change your password."
        }
    }
}
