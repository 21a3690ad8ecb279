//! The pages for signed-in users.

use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::{Authenticated, Elevated};
use serde::Deserialize;

use crate::{
    error::Error,
    page::{Here, field_error, page},
    panel::{Notice, notice, panel},
    users::{LONGEST_PASSWORD, SHORTEST_PASSWORD, Users},
};

pub(crate) async fn show(
    signed_in: Authenticated,
    State(users): State<Users>,
) -> Result<Markup, Error> {
    let session = signed_in.session();
    let user = users.get(signed_in.user()).ok_or(Error::NotFound)?;
    let main = html! {
        h1 { "Hello, " (user.name) }
        (notice(session)?)
        p.lead { "Only those who are signed in get here." }
        ul.ways {
            li {
                h2 { a href="/account/password" { "Change your password" } }
                p { "Asks for your password first, unless you have entered it within the last few minutes." }
            }
            li {
                h2 { a href="/account/devices" { "See your devices" } }
                p { "Where you are signed in, and the events of your sessions. End any session, or all but this one." }
            }
            li {
                h2 { a href="/account/letter" { "Write to us" } }
                p { "Your text is not lost if the session ends meanwhile." }
            }
            li {
                h2 { a href="/confirm" { "Enter elevated mode" } }
                p { "It ends at a fixed time, despite any activity." }
            }
            li {
                h2 { a href="/cart" { "Look into your cart" } }
                p { "It still has what you put in before you signed in." }
            }
        }
    };
    Ok(page(
        "Your account",
        Here::Account,
        main,
        Some(panel(session, &users)),
    ))
}

pub(crate) async fn password_form(
    elevated: Elevated,
    State(users): State<Users>,
) -> Result<Markup, Error> {
    password_page(&elevated, &users, Faults::default())
}

#[derive(Deserialize)]
pub(crate) struct NewPassword {
    password: String,
    again: String,
}

/// The errors of the two fields.
#[derive(Default)]
struct Faults {
    password: Option<&'static str>,
    again: Option<&'static str>,
}

impl NewPassword {
    fn faults(&self) -> Option<Faults> {
        let characters = self.password.chars().count();
        let mut faults = Faults::default();
        if characters < SHORTEST_PASSWORD {
            faults.password = Some("This is too short. Use at least 15 characters.");
        } else if characters > LONGEST_PASSWORD {
            faults.password = Some("This is too long. Use at most 128 characters.");
        } else if self.password != self.again {
            faults.again = Some("This differs from the password above.");
        } else {
            return None;
        }
        Some(faults)
    }
}

pub(crate) async fn change_password(
    elevated: Elevated,
    State(users): State<Users>,
    Form(form): Form<NewPassword>,
) -> Result<Response, Error> {
    if let Some(faults) = form.faults() {
        let page = password_page(&elevated, &users, faults)?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let hash = users.hash(form.password).await?;
    let session = elevated.session();
    session.regenerate()?;
    Notice::PasswordChanged.leave(session)?;
    // Comes before the change, which cannot be undone: if the session has ended meanwhile, the
    // password stays the same.
    session.commit().await?;
    users.set(elevated.user(), hash);
    // Ends the sessions that signed in with the old password, and refuses sign-ins with it that are
    // under way.
    if let Err(error) = elevated.revoke_other_sessions().await {
        tracing::error!(%error, "a password was changed, but the other sessions are still live");
        return Ok(half_done().into_response());
    }
    Ok(Redirect::to("/account").into_response())
}

/// The new password is valid, but sessions with the old one are still live. The user must know, so
/// this is a page and no error.
fn half_done() -> Markup {
    let main = html! {
        h1 { "Your password has been changed" }
        p.lead {
            "Your other devices could not be signed out at the moment. If another user knew the old password, they \
             may still be signed in."
        }
        p { a.button href="/account/devices/manage" { "Sign them out" } }
    };
    page("Your password has been changed", Here::Account, main, None)
}

fn password_page(elevated: &Elevated, users: &Users, faults: Faults) -> Result<Markup, Error> {
    let session = elevated.session();
    let user = users.get(elevated.user()).ok_or(Error::NotFound)?;
    let main = html! {
        h1 { "Change your password" }
        (notice(session)?)
        form.fields method="post" action="/account/password" novalidate {
            // For password managers.
            input type="hidden" name="username" autocomplete="username" value=(user.name);
            label for="password" { "New password" }
            p.help #password-help { "At least 15 characters; a few words are fine." }
            (password_field("password", "password-help ", faults.password))
            label for="again" { "New password, once more" }
            (password_field("again", "", faults.again))
            button { "Change the password" }
        }
    };
    Ok(page(
        "Change your password",
        Here::Account,
        main,
        Some(panel(session, users)),
    ))
}

fn password_field(name: &str, described_by: &str, fault: Option<&str>) -> Markup {
    let message = format!("{name}-error");
    let described_by = match fault {
        Some(_) => format!("{described_by}{message}"),
        None => described_by.trim_end().to_owned(),
    };
    html! {
        input id=(name) name=(name) type="password" required autocomplete="new-password"
            aria-invalid=[fault.map(|_| "true")] autofocus[fault.is_some()]
            aria-describedby=[(!described_by.is_empty()).then_some(described_by)];
        div role="alert" { (field_error(&message, fault)) }
    }
}
