//! The cart: data of a session, with and without a user.

use std::collections::BTreeMap;

use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::{Key, Session};
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Product, price},
    error::Error,
    page::{Here, field_error, page},
    panel::{Notice, notice, panel},
    users::Users,
};

const CART: Key<Cart> = Key::new("cart");

/// The quantity of each product, by the product's number.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cart(BTreeMap<u16, u8>);

/// The largest quantity of one product.
const MOST: u8 = 10;

impl Cart {
    fn add(&mut self, product: u16) {
        let quantity = self.0.entry(product).or_default();
        *quantity = quantity.saturating_add(1).min(MOST);
    }

    fn set(&mut self, product: u16, quantity: u8) {
        match quantity {
            0 => self.0.remove(&product),
            quantity => self.0.insert(product, quantity.min(MOST)),
        };
    }

    /// The lines whose product is still on offer.
    fn lines(&self) -> Vec<(&'static Product, u8)> {
        let known = |(id, quantity): (&u16, &u8)| Some((Product::find(*id)?, *quantity));
        self.0.iter().filter_map(known).collect()
    }
}

pub(crate) async fn show(session: Session, State(users): State<Users>) -> Result<Markup, Error> {
    cart_page(&session, &users, None)
}

#[derive(Deserialize)]
pub(crate) struct Addition {
    product: u16,
}

pub(crate) async fn add(session: Session, Form(form): Form<Addition>) -> Result<Redirect, Error> {
    let product = Product::find(form.product).ok_or(Error::NotFound)?.id;
    // Called again on the newer cart if another request was faster: two clicks at once both count.
    session.update(CART, move |cart| cart.add(product))?;
    Notice::Added.leave(&session)?;
    Ok(Redirect::to("/cart"))
}

#[derive(Deserialize)]
pub(crate) struct Quantity {
    product: u16,
    /// The text that was typed.
    quantity: String,
}

pub(crate) async fn set_quantity(
    session: Session,
    State(users): State<Users>,
    Form(form): Form<Quantity>,
) -> Result<Response, Error> {
    let product = Product::find(form.product).ok_or(Error::NotFound)?.id;
    let quantity = form.quantity.trim().parse::<u8>();
    let Some(quantity) = quantity.ok().filter(|quantity| *quantity <= MOST) else {
        let page = cart_page(&session, &users, Some(&form))?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    session.update(CART, move |cart| cart.set(product, quantity))?;
    let notice = match quantity {
        0 => Notice::Removed,
        _ => Notice::QuantitySet,
    };
    notice.leave(&session)?;
    Ok(Redirect::to("/cart").into_response())
}

fn cart_page(
    session: &Session,
    users: &Users,
    mistyped: Option<&Quantity>,
) -> Result<Markup, Error> {
    let lines = session.get(CART)?.unwrap_or_default().lines();
    let total = lines
        .iter()
        .map(|(product, quantity)| product.cents(*quantity))
        .sum();
    let main = html! {
        h1 { "Your cart" }
        (notice(session)?)
        @if lines.is_empty() {
            p.lead { "There is nothing in it yet." }
            p { a.button href="/" { "To the catalogue" } }
        } @else {
            ul.lines {
                @for (product, quantity) in lines {
                    (line(product, quantity, mistyped.filter(|form| form.product == product.id)))
                }
            }
            p.total { "Total " strong { (price(total)) } }
            @if session.user().is_none() {
                p { a href="/sign-in?return_to=/cart" { "Sign in" } " whenever you like: the cart comes along." }
            }
        }
    };
    Ok(page(
        "Your cart",
        Here::Cart,
        main,
        Some(panel(session, users)),
    ))
}

fn line(product: &Product, quantity: u8, mistyped: Option<&Quantity>) -> Markup {
    let field = format!("quantity-{}", product.id);
    let message = format!("quantity-{}-error", product.id);
    let error = mistyped.map(|_| "Enter a whole number from 0 to 10.");
    let shown = mistyped.map_or(quantity.to_string(), |form| form.quantity.clone());
    html! {
        li {
            (product.drawing())
            div.what {
                h2 { (product.name) }
                p { (price(product.cents(1))) " each, " (price(product.cents(quantity))) " together" }
            }
            form.quantity method="post" action="/cart/quantity" novalidate {
                input type="hidden" name="product" value=(product.id);
                label for=(field) { "Quantity" span.unseen { " of " (product.name) } }
                input id=(field) name="quantity" type="number" inputmode="numeric" min="0" max=(MOST)
                    required value=(shown) aria-invalid=[error.map(|_| "true")]
                    aria-describedby=[error.map(|_| &message)] autofocus[error.is_some()];
                button.quiet { "Change" span.unseen { " quantity of " (product.name) } }
                (field_error(&message, error))
            }
            form method="post" action="/cart/quantity" {
                input type="hidden" name="product" value=(product.id);
                input type="hidden" name="quantity" value="0";
                button.quiet { "Remove" span.unseen { " " (product.name) } }
            }
        }
    }
}
