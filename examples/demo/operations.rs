//! The page of administrators: who is signed in, and how to end their sessions.

use axum::{
    Form,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::{Authenticated, Privileged, Sessions};
use serde::Deserialize;

use crate::{
    error::Error,
    limits::Operations,
    page::{Here, page},
    panel::{Notice, notice, panel},
    users::{User, Users},
};

/// Proof that an administrator is signed in. For others, the page does not exist.
pub(crate) struct Administrator(User);

impl Administrator {
    pub(crate) fn name(&self) -> &str {
        self.0.name
    }
}

impl FromRequestParts<Users> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Response> {
        let signed_in = Authenticated::from_request_parts(parts, users).await;
        let signed_in = signed_in.map_err(IntoResponse::into_response)?;
        match users.get(signed_in.user()) {
            Some(user) if user.is_administrator => Ok(Self(user)),
            _ => Err(Error::NotFound.into_response()),
        }
    }
}

pub(crate) async fn show(
    _: Administrator,
    privileged: Privileged<Operations>,
    sessions: Sessions,
    State(users): State<Users>,
) -> Result<Markup, Error> {
    let session = privileged.session();
    let count = sessions.count().await?;
    let signed_in = sessions.users(None, 100).await?;
    let signed_in: Vec<User> = signed_in
        .iter()
        .filter_map(|user| users.get(user))
        .collect();
    let main = html! {
        h1 { "Operations" }
        (notice(session)?)
        p.lead {
            "This page asks for your password again once you have not used it for a while. "
            "Use of other pages does not keep it open."
        }
        dl.facts {
            div { dt { "Sessions of users" } dd { (count.of_users) } }
            div { dt { "Sessions of visitors" } dd { (count.of_visitors) } }
        }
        p { a href="/operations/policy" { "The limits of sessions, and how to change them" } }
        h2 { "Signed in" }
        ul.devices {
            @for user in signed_in {
                li {
                    h3 { (user.name) }
                    form method="post" action="/operations/end" {
                        input type="hidden" name="user" value=(user.name);
                        button.quiet { "End all sessions of " (user.name) }
                    }
                }
            }
        }
    };
    Ok(page(
        "Operations",
        Here::Operations,
        main,
        Some(panel(session, &users)),
    ))
}

#[derive(Deserialize)]
pub(crate) struct Whose {
    user: String,
}

pub(crate) async fn end(
    _: Administrator,
    privileged: Privileged<Operations>,
    sessions: Sessions,
    State(users): State<Users>,
    Form(whose): Form<Whose>,
) -> Result<Redirect, Error> {
    let user = users.named(&whose.user).ok_or(Error::NotFound)?;
    Notice::UserEnded.leave(privileged.session())?;
    sessions.revoke_all(user.id).await?;
    Ok(Redirect::to("/operations"))
}
