//! A letter to the shop: writing it may take longer than a session lasts.

use axum::{
    Form,
    extract::State,
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
    users::Users,
};

const LONGEST: usize = 2000;

pub(crate) async fn form(
    signed_in: Authenticated,
    State(users): State<Users>,
) -> Result<Markup, Error> {
    letter_page(&signed_in, &users, "", None)
}

#[derive(Deserialize)]
pub(crate) struct Letter {
    text: String,
}

pub(crate) async fn send(
    signed_in: Authenticated,
    State(users): State<Users>,
    Form(letter): Form<Letter>,
) -> Result<Response, Error> {
    // The browser counts a line break as one character for `maxlength`, but a form sends two.
    let text = letter.text.trim().replace("\r\n", "\n");
    let fault = match text.chars().count() {
        0 => Some("There is nothing in it yet."),
        length if length > LONGEST => Some("This is too long. Use at most 2000 characters."),
        _ => None,
    };
    if fault.is_some() {
        let page = letter_page(&signed_in, &users, &text, fault)?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    Notice::LetterSent.leave(signed_in.session())?;
    Ok(Redirect::to("/account").into_response())
}

fn letter_page(
    signed_in: &Authenticated,
    users: &Users,
    text: &str,
    fault: Option<&'static str>,
) -> Result<Markup, Error> {
    let session = signed_in.session();
    let main = html! {
        h1 { "Write to us" }
        (notice(session)?)
        p.lead {
            "Take your time. If the session ends while you write, sign in again in this window: what you have written is still here."
        }
        // Kept by `<portcullis-timeout>`, in this window, for the same user.
        form.fields.letter #letter method="post" action="/account/letter" data-portcullis-keep novalidate {
            label for="text" { "Your letter" }
            textarea #text name="text" rows="8" maxlength=(LONGEST) aria-invalid=[fault.map(|_| "true")]
                aria-describedby=[fault.map(|_| "text-error")] { (text) }
            div role="alert" { (field_error("text-error", fault)) }
            button { "Send it" }
        }
    };
    Ok(page(
        "Write to us",
        Here::Account,
        main,
        Some(panel(session, users)),
    ))
}
