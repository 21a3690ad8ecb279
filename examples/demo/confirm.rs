//! Elevated mode: a short time after the password was entered once more.

use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::Authenticated;
use serde::Deserialize;

use crate::{
    error::Error,
    page::{Here, field_error, page},
    panel::{Notice, notice, panel},
    sign_in::Wanted,
    users::{LONGEST_PASSWORD, Users},
};

pub(crate) async fn form(
    signed_in: Authenticated,
    State(users): State<Users>,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Error> {
    confirm_page(&signed_in, &users, &wanted, None)
}

/// The user comes from the session alone: no user can confirm for another.
#[derive(Deserialize)]
pub(crate) struct Confirmation {
    password: String,
    #[serde(flatten)]
    wanted: Wanted,
}

pub(crate) async fn submit(
    signed_in: Authenticated,
    State(users): State<Users>,
    Form(form): Form<Confirmation>,
) -> Result<Response, Error> {
    if !users.confirm(signed_in.user(), form.password).await? {
        let error = Some("This is not your password.");
        let page = confirm_page(&signed_in, &users, &form.wanted, error)?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    // It takes effect with this response, since its status is below 400.
    signed_in.session().elevate()?;
    Notice::Confirmed.leave(signed_in.session())?;
    Ok(form.wanted.redirect().into_response())
}

pub(crate) async fn leave(signed_in: Authenticated) -> Result<Redirect, Error> {
    if signed_in.session().drop_elevation()? {
        Notice::ElevationLeft.leave(signed_in.session())?;
    }
    Ok(Redirect::to("/account"))
}

fn confirm_page(
    signed_in: &Authenticated,
    users: &Users,
    wanted: &Wanted,
    error: Option<&str>,
) -> Result<Markup, Error> {
    let session = signed_in.session();
    let user = users.get(signed_in.user()).ok_or(Error::NotFound)?;
    let main = html! {
        h1 { "Confirm that it is you" }
        (notice(session)?)
        p.lead { "The next step needs a recent password check. Enter the password of " strong { (user.name) } "." }
        form.fields method="post" action="/confirm" {
            (wanted.field())
            // For password managers.
            input type="hidden" name="username" autocomplete="username" value=(user.name);
            label for="password" { "Password" }
            input #password name="password" type="password" required autocomplete="current-password"
                maxlength=(LONGEST_PASSWORD) aria-invalid=[error.map(|_| "true")]
                aria-describedby=[error.map(|_| "password-error")] autofocus[error.is_some()];
            div role="alert" { (field_error("password-error", error)) }
            button { "Confirm" }
        }
    };
    Ok(page(
        "Confirm that it is you",
        Here::Account,
        main,
        Some(panel(session, users)),
    ))
}
