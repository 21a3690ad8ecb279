//! The frame of all pages.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
};
use maud::{DOCTYPE, Markup, html};

use crate::panel::Panel;

/// The part of the shop that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Catalogue,
    Cart,
    Account,
    Operations,
    Elsewhere,
}

const PLACES: [(Here, &str, &str); 3] = [
    (Here::Catalogue, "/", "Catalogue"),
    (Here::Cart, "/cart", "Cart"),
    (Here::Account, "/account", "Account"),
];

/// A page with `main`, which has the heading, and the `panel` beside it. If the user is known, the
/// head of the page shows the name.
pub(crate) fn page(title: &str, here: Here, main: Markup, panel: Option<Panel>) -> Markup {
    let (user, beside) = match panel {
        Some(Panel { user, beside }) => (user, Some(beside)),
        None => (None, None),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Gatehouse Goods" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    div.frame {
                        a.brand href="/" {
                            img src="/icon.svg" alt="" width="32" height="32";
                            span { "Gatehouse Goods" }
                        }
                        nav aria-label="Shop" {
                            ul {
                                @for (place, target, label) in PLACES {
                                    li {
                                        a href=(target) aria-current=[(place == here).then_some("page")] { (label) }
                                    }
                                }
                                @if user.is_some_and(|user| user.is_administrator) {
                                    li {
                                        a href="/operations" aria-current=[(here == Here::Operations).then_some("page")] { "Operations" }
                                    }
                                }
                            }
                        }
                        @if let Some(user) = user {
                            form.who method="post" action="/session/sign-out" {
                                span { "Signed in as " strong { (user.name) } }
                                button.quiet { "Sign out" }
                            }
                        }
                    }
                }
                div.frame.columns {
                    main #main tabindex="-1" { (main) }
                    @if let Some(beside) = beside { (beside) }
                }
                footer {
                    div.frame {
                        p { "A demonstration of Portcullis, session security for Axum and Tower. Nothing is for sale." }
                    }
                }
            }
        }
    }
}

/// The error of the field that is described by `id`.
pub(crate) fn field_error(id: &str, error: Option<&str>) -> Markup {
    html! {
        @if let Some(error) = error {
            p.error id=(id) { span aria-hidden="true" { "⚠ " } (error) }
        }
    }
}

pub(crate) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

pub(crate) async fn icon() -> impl IntoResponse {
    file("image/svg+xml", include_str!("icon.svg"))
}

pub(crate) fn script(text: &'static str) -> impl IntoResponse {
    file("text/javascript; charset=utf-8", text)
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=60")],
        text,
    )
}
