//! The page of administrators for the limits of sessions: which document is active, which process
//! uses it, and what another one would end.

use axum::{
    Extension, Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use portcullis::{
    Privileged,
    policy::{EndsAtMost, Policies, PolicyChange, PolicyError, PolicyPlan, Version, Versions},
    session::Timestamp,
};
use serde::Deserialize;

use crate::{
    error::Error,
    limits::{DOCUMENT, Operations},
    live::Windows,
    operations::Administrator,
    page::{Here, field_error, page},
    panel::{Notice, notice, panel, past},
    users::Users,
};

/// How many versions the page lists.
const VERSIONS: usize = 10;

/// A document that is to be activated.
#[derive(Deserialize)]
pub(crate) struct Proposal {
    document: String,
    #[serde(default)]
    reason: String,
    /// The version that was active when the page was made; nothing if there was none.
    #[serde(default)]
    expected: String,
    /// How many sessions the plan has shown.
    #[serde(default)]
    ends_at_most: Option<u64>,
}

impl Proposal {
    fn change<'p>(&'p self, by: &'p str) -> PolicyChange<'p> {
        let expected = self.expected.parse().ok();
        let change = PolicyChange::document(&self.document, expected, by);
        let reason = self.reason.trim();
        change.reason((!reason.is_empty()).then_some(reason))
    }
}

/// What the page shows about a proposal.
enum Answer {
    None,
    Plan(Proposal, PolicyPlan),
    Refused(Proposal, String),
}

pub(crate) async fn show(
    _: Administrator,
    privileged: Privileged<Operations>,
    State(users): State<Users>,
    Extension(policies): Extension<Policies>,
) -> Result<Markup, Error> {
    policy_page(&privileged, &users, &policies, Answer::None).await
}

/// Shows how many sessions a document would end.
pub(crate) async fn plan(
    administrator: Administrator,
    privileged: Privileged<Operations>,
    State(users): State<Users>,
    Extension(policies): Extension<Policies>,
    Form(proposal): Form<Proposal>,
) -> Result<Response, Error> {
    let planned = policies.plan(&proposal.change(administrator.name())).await;
    let (status, answer) = match planned {
        Ok(plan) => (StatusCode::OK, Answer::Plan(proposal, plan)),
        Err(error) => refused(proposal, error)?,
    };
    let page = policy_page(&privileged, &users, &policies, answer).await?;
    Ok((status, page).into_response())
}

/// Activates a document, if it ends no more sessions than the plan has shown.
pub(crate) async fn apply(
    administrator: Administrator,
    privileged: Privileged<Operations>,
    State(users): State<Users>,
    Extension(policies): Extension<Policies>,
    Extension(windows): Extension<Windows>,
    Form(proposal): Form<Proposal>,
) -> Result<Response, Error> {
    let most = EndsAtMost::Sessions(proposal.ends_at_most.unwrap_or_default());
    let change = proposal.change(administrator.name()).ends_at_most(most);
    match policies.apply(change).await {
        Ok(_) => {
            // Open pages ask for their deadlines again.
            windows.limits_changed();
            Notice::PolicyActivated.leave(privileged.session())?;
            Ok(Redirect::to("/operations/policy").into_response())
        }
        Err(error) => {
            let (status, answer) = refused(proposal, error)?;
            let page = policy_page(&privileged, &users, &policies, answer).await?;
            Ok((status, page).into_response())
        }
    }
}

fn refused(proposal: Proposal, error: PolicyError) -> Result<(StatusCode, Answer), Error> {
    match error {
        PolicyError::Store(error) => Err(error.into()),
        PolicyError::Conflict { .. } => Ok((
            StatusCode::CONFLICT,
            Answer::Refused(proposal, error.to_string()),
        )),
        error => Ok((
            StatusCode::UNPROCESSABLE_ENTITY,
            Answer::Refused(proposal, error.to_string()),
        )),
    }
}

async fn policy_page(
    privileged: &Privileged<Operations>,
    users: &Users,
    policies: &Policies,
    answer: Answer,
) -> Result<Markup, Error> {
    let session = privileged.session();
    let now = session.now();
    let versions = policies.versions().await.map_err(unreadable)?;
    let active = versions.as_ref().and_then(Versions::active);
    let reports = policies.reports().await.map_err(unreadable)?;
    let main = html! {
        h1 { "Limits" }
        (notice(session)?)
        p.lead {
            "A document that is activated here holds in every process of the shop within 5.5 seconds. "
            "Nothing is restarted."
        }
        @match active {
            Some(active) => (active_version(active, now)),
            None => p { "No document is active: the limits are those of the program." },
        }
        (proposal_form(active, &answer))
        @if !reports.is_empty() {
            h2 { "Processes" }
            table.list {
                thead { tr { th { "Process" } th { "Version" } th { "Reported" } } }
                tbody {
                    @for received in &reports {
                        tr {
                            td {
                                (received.report.process)
                                @if !received.report.problem.is_empty() { p.error { (received.report.problem) } }
                            }
                            td { @match received.report.number { Some(number) => (number), None => "none" } }
                            td { (past(received.at, now)) }
                        }
                    }
                }
            }
        }
        @if let Some(versions) = &versions {
            h2 { "History" }
            table.list {
                thead { tr { th { "Version" } th { "By" } th { "Active since" } } }
                tbody {
                    @for version in versions.all().iter().take(VERSIONS) {
                        tr {
                            td { (version.number) }
                            td { (version.by) @if let Some(reason) = &version.reason { span.exact { (reason) } } }
                            td { (past(version.since, now)) }
                        }
                    }
                }
            }
        }
        p { a href="/operations" { "Back to operations" } }
    };
    Ok(page(
        "Limits",
        Here::Operations,
        main,
        Some(panel(session, users)),
    ))
}

fn unreadable(error: PolicyError) -> Error {
    match error {
        PolicyError::Store(error) => error.into(),
        error => Error::Internal(std::io::Error::other(error.to_string())),
    }
}

fn active_version(active: &Version, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            div { dt { "Active version" } dd { (active.number) } }
            div { dt { "Since" } dd { (past(active.since, now)) } }
            div { dt { "Activated by" } dd { (active.by) } }
        }
    }
}

/// The document to edit, and what is known of it.
fn proposal_form(active: Option<&Version>, answer: &Answer) -> Markup {
    let expected = active.map(|active| active.number.to_string());
    let (proposal, problem, plan) = match answer {
        Answer::None => (None, None, None),
        Answer::Plan(proposal, plan) => (Some(proposal), None, Some(plan)),
        Answer::Refused(proposal, problem) => (Some(proposal), Some(&**problem), None),
    };
    let stored = active.and_then(|active| active.text.as_deref());
    let document = proposal.map(|proposal| &*proposal.document);
    let document = document.or(stored).unwrap_or(DOCUMENT);
    let reason = proposal.map(|proposal| &*proposal.reason);
    html! {
        h2 { "Another document" }
        div role="alert" { (field_error("document-error", problem)) }
        @if let Some(plan) = plan { (planned(plan)) }
        form.fields.letter method="post" action="/operations/policy/plan" {
            input type="hidden" name="expected" value=(expected.unwrap_or_default());
            label for="document" { "Document" }
            textarea #document name="document" rows="14" spellcheck="false" required
                aria-invalid=[problem.map(|_| "true")] aria-describedby=[problem.map(|_| "document-error")]
                { "\n" (document) }
            label for="reason" { "Reason, for the history" }
            input #reason name="reason" maxlength="200" value=(reason.unwrap_or_default());
            // The Enter key presses the first button.
            button.quiet { "See what it would end" }
            @if let Some(plan) = plan {
                input type="hidden" name="ends_at_most" value=(plan.ends());
                button formaction="/operations/policy" { "Activate" }
            }
        }
    }
}

fn planned(plan: &PolicyPlan) -> Markup {
    html! {
        div role="status" {
            p.notice {
                (plan.ends()) " of " (plan.sessions()) " live sessions would end now."
                @if plan.perhaps_in_use > 0 {
                    " " (plan.perhaps_in_use) " of them may have been in use within the new limit."
                }
            }
            table.list {
                thead { tr { th { "Class" } th { "Sessions" } th { "Would end" } } }
                tbody {
                    @for class in &plan.classes {
                        tr {
                            td { (class.class.as_deref().unwrap_or("without a class")) }
                            td { (class.sessions) }
                            td { (class.ends) }
                        }
                    }
                }
            }
        }
    }
}
