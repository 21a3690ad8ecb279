//! Signing in and out.

use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::{ReturnTo, Session};
use serde::Deserialize;

use crate::{
    error::Error,
    limits::ADMINISTRATOR,
    page::{Here, field_error, page},
    panel::{Notice, notice, panel},
    users::{DEMO_USERS, LONGEST_PASSWORD, Users},
};

/// The page that was requested before the redirection.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    return_to: Option<String>,
}

impl Wanted {
    /// That page, if it is one of this site, or else the account.
    pub(crate) fn page(&self) -> Option<ReturnTo> {
        let wanted = self.return_to.as_deref().and_then(ReturnTo::parse);
        wanted.or_else(|| ReturnTo::parse("/account"))
    }

    pub(crate) fn redirect(&self) -> Redirect {
        Redirect::to(self.page().unwrap_or_default().as_str())
    }

    /// The field of the form that leads there.
    pub(crate) fn field(&self) -> Markup {
        html! {
            @if let Some(page) = self.page() { input type="hidden" name="return_to" value=(page); }
        }
    }
}

pub(crate) async fn form(
    session: Session,
    State(users): State<Users>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Error> {
    if session.user().is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    Ok(sign_in_page(&session, &users, &wanted, None)?.into_response())
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    name: String,
    password: String,
    #[serde(flatten)]
    wanted: Wanted,
}

pub(crate) async fn submit(
    session: Session,
    State(users): State<Users>,
    Form(form): Form<SignIn>,
) -> Result<Response, Error> {
    // To sign in as another user, one signs out first.
    if session.user().is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    let name = form.name.trim().to_lowercase();
    let Some(user) = users.sign_in(&name, form.password).await? else {
        let page = sign_in_page(&session, &users, &form.wanted, Some(&form.name))?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    // A new identifier: the old one, known to others or planted, opens nothing.
    session.authenticate(user.id)?;
    if user.is_administrator {
        session.set_class(ADMINISTRATOR)?;
    }
    // With a status of 400 or above no user would be signed in, and this would not be written.
    Notice::SignedIn.leave(&session)?;
    Ok(form.wanted.redirect().into_response())
}

/// The page after `/session/sign-out`. The same for every user, like the catalogue.
pub(crate) async fn signed_out() -> Markup {
    let main = html! {
        h1 { "You are signed out" }
        p.lead { "Your session has ended, everywhere and at once. A copy of its cookie would open nothing." }
        p { a.button href="/sign-in" { "Sign in again" } }
    };
    page("Signed out", Here::Elsewhere, main, None)
}

/// The form, with the error of the last attempt, which had the name `failed`.
fn sign_in_page(
    session: &Session,
    users: &Users,
    wanted: &Wanted,
    failed: Option<&str>,
) -> Result<Markup, Error> {
    // It does not reveal which of the two is wrong.
    let error = failed.map(|_| "The name or the password is not right.");
    let invalid = error.map(|_| "true");
    let main = html! {
        h1 { "Sign in" }
        (notice(session)?)
        p.lead { (session.timeouts().notice()) }
        div role="alert" { (field_error("sign-in-error", error)) }
        form.fields method="post" action="/sign-in" {
            (wanted.field())
            label for="name" { "Name" }
            input #name name="name" required autocomplete="username" autocapitalize="none" spellcheck="false"
                value=[failed] aria-invalid=[invalid] aria-describedby=[error.map(|_| "sign-in-error")];
            label for="password" { "Password" }
            input #password name="password" type="password" required autocomplete="current-password"
                maxlength=(LONGEST_PASSWORD) autofocus[error.is_some()]
                aria-invalid=[invalid] aria-describedby=[error.map(|_| "sign-in-error")];
            button { "Sign in" }
        }
        section.hint aria-labelledby="hint-title" {
            h2 #hint-title { "These users have an account here" }
            table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Password" } } }
                tbody {
                    @for (name, password) in DEMO_USERS {
                        tr { td { code { (name) } } td { code { (password) } } }
                    }
                }
            }
        }
    };
    Ok(page(
        "Sign in",
        Here::Account,
        main,
        Some(panel(session, users)),
    ))
}
