//! The products of the shop. This page is the same for every user.

use maud::{Markup, PreEscaped, html};

use crate::{
    page::{Here, page},
    panel::Panel,
};

#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: u16,
    pub(crate) name: &'static str,
    text: &'static str,
    cents: u32,
    /// The inside of a drawing on a field of 48 by 48.
    drawing: &'static str,
}

const PRODUCTS: [Product; 6] = [
    Product {
        id: 1,
        name: "Brass padlock",
        text: "Closes with a click that the whole street hears.",
        cents: 1800,
        drawing: r#"<rect x="10" y="21" width="28" height="20" rx="3"/><path d="M16 21v-6a8 8 0 0 1 16 0v6"/><circle cx="24" cy="29" r="2.5"/><path d="M24 31.5v4"/>"#,
    },
    Product {
        id: 2,
        name: "Gatehouse lantern",
        text: "Tin and glass, for a candle or a patient firefly.",
        cents: 3450,
        drawing: r#"<path d="M19 10a5 5 0 0 1 10 0M14 17l5-7h10l5 7zM16 17l-2 19h20l-2-19M12 41h24v-5H12z"/><path d="M24 31c-3 0-4.5-2-4.5-4.5 0-3 3-4 4.5-6.5 1.5 2.5 4.5 3.5 4.5 6.5 0 2.5-1.5 4.5-4.5 4.5z"/>"#,
    },
    Product {
        id: 3,
        name: "Visitor's bell",
        text: "Rings once for friends, twice for tax collectors.",
        cents: 2200,
        drawing: r#"<path d="M10 35c4-3 4-8 4-13a10 10 0 0 1 20 0c0 5 0 10 4 13zM24 12V7M19 35a5 5 0 0 0 10 0"/>"#,
    },
    Product {
        id: 4,
        name: "Wrought-iron key",
        text: "Fits no lock of ours. It looks well on a wall.",
        cents: 950,
        drawing: r#"<circle cx="15" cy="24" r="8"/><circle cx="15" cy="24" r="3"/><path d="M23 24h20M35 24v7M41 24v6"/>"#,
    },
    Product {
        id: 5,
        name: "Door knocker",
        text: "A ring to rap with, cast in one piece.",
        cents: 2790,
        drawing: r#"<circle cx="24" cy="11" r="4.5"/><path d="M20.5 14a14 14 0 1 0 7 0"/><path d="M22 18.5a9.5 9.5 0 1 0 4 0"/><path d="M21 42l1-5h4l1 5"/>"#,
    },
    Product {
        id: 6,
        name: "Coil of rope",
        text: "Twelve metres of hemp, enough for most drawbridges.",
        cents: 1290,
        drawing: r#"<ellipse cx="24" cy="15" rx="14" ry="6"/><ellipse cx="24" cy="15" rx="6" ry="2"/><path d="M10 15v6c0 3.300 6.300 6 14 6s14-2.700 14-6v-6M10 21v6c0 3.300 6.300 6 14 6s14-2.700 14-6v-6M10 27v6c0 3.300 6.300 6 14 6 4 0 8 3 14 3"/>"#,
    },
];

impl Product {
    pub(crate) fn find(id: u16) -> Option<&'static Self> {
        PRODUCTS.iter().find(|product| product.id == id)
    }

    pub(crate) fn cents(&self, quantity: u8) -> u32 {
        self.cents * u32::from(quantity)
    }

    pub(crate) fn drawing(&self) -> Markup {
        html! {
            svg.drawing viewBox="0 0 48 48" aria-hidden="true" focusable="false" {
                (PreEscaped(self.drawing))
            }
        }
    }
}

pub(crate) fn price(cents: u32) -> String {
    format!("€{}.{:02}", cents / 100, cents % 100)
}

/// Loads no session, so no request for it costs a store command.
pub(crate) async fn show() -> Markup {
    let main = html! {
        h1 { "Things for doors and gates" }
        p.lead { "Put something into your cart. You can sign in later; the cart comes along." }
        ul.products {
            @for product in &PRODUCTS {
                li.card {
                    (product.drawing())
                    h2 { (product.name) }
                    p { (product.text) }
                    form method="post" action="/cart" {
                        input type="hidden" name="product" value=(product.id);
                        span.price { (price(product.cents)) }
                        button { "Add to cart" span.unseen { " " (product.name) } }
                    }
                }
            }
        }
    };
    let beside = html! {
        aside.panel aria-labelledby="panel-title" {
            h2 #panel-title { "What this page costs" }
            p { strong { "No store command at all." } }
            p {
                "Its handler asks for no session, so none is loaded, even if your browser sent a cookie. \
                 It is the same for everybody, and it is served when the store is down."
            }
            p { "Your " a href="/cart" { "cart" } " is in the session: that page reads it, in one round trip." }
        }
    };
    let panel = Panel { user: None, beside };
    page("Catalogue", Here::Catalogue, main, Some(panel))
}
