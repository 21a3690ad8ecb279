//! Refusals in the words of the application.

use http::{HeaderName, Response, header::CONTENT_TYPE};

use crate::reject::{problem::Problem, refusal::Refusal};

impl Refusal {
    /// The refusal in a response whose body is a page. Replace pages only. Programs, such as the
    /// element `<portcullis-timeout>`, read the problem document.
    ///
    /// ```
    /// # use http::Response;
    /// # use portcullis::reject::Refusal;
    /// let page = Response::builder().status(409).header("content-type", "text/html");
    /// let mut page = page.body(())?;
    /// page.extensions_mut().insert(Refusal::AtLimit);
    /// assert_eq!(Refusal::of_page(&page), Some(&Refusal::AtLimit));
    /// page.headers_mut().insert("content-type", "application/problem+json".parse()?);
    /// assert_eq!(Refusal::of_page(&page), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_page<B>(response: &Response<B>) -> Option<&Self> {
        let kind = response.headers().get(CONTENT_TYPE)?;
        let is_page = kind.as_bytes().starts_with(b"text/html");
        response.extensions().get().filter(|_| is_page)
    }

    /// Replaces the body of the `refused` response with that of `page`. Of `page`, only the body
    /// and the fields that begin with `Content-` count. Status, `Cache-Control` and all other
    /// fields are those of `refused`. So a refusal stays a refusal, with any status of `page`.
    ///
    /// ```
    /// # use http::Response;
    /// # use portcullis::reject::Refusal;
    /// # fn refused() -> Response<()> {
    /// #     let response = Response::builder().status(401).header("cache-control", "no-store");
    /// #     response.body(()).unwrap()
    /// # }
    /// let page = Response::builder().header("content-type", "text/html").body("<h1>Sign in</h1>");
    /// let response = Refusal::reword(refused(), page?);
    /// assert_eq!(response.status(), 401);
    /// assert_eq!(response.headers()["cache-control"], "no-store");
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn reword<A, B>(refused: Response<A>, page: Response<B>) -> Response<B> {
        let of_body = |name: &HeaderName| name.as_str().starts_with("content-");
        let (mut head, _) = refused.into_parts();
        let (page_head, body) = page.into_parts();
        // Otherwise the layer would replace this body by its own page.
        head.extensions.remove::<Problem>();
        let policy = HeaderName::from_static("content-security-policy");
        // The content security policy of the site is kept, unless the page has its own.
        let replaced: Vec<_> = head
            .headers
            .keys()
            .filter(|name| of_body(name))
            .cloned()
            .collect();
        for name in replaced {
            if name != policy || page_head.headers.contains_key(&policy) {
                head.headers.remove(name);
            }
        }
        for (name, value) in &page_head.headers {
            if of_body(name) {
                head.headers.append(name, value.clone());
            }
        }
        Response::from_parts(head, body)
    }
}
