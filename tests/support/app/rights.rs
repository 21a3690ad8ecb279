//! Routes that grant and need elevations.

use axum::{
    Router,
    extract::Path,
    response::Result,
    routing::{get, post},
};
use portcullis::{Authenticated, Elevated, Privileged, Session, SessionError};

use super::reading::me;
use super::{DONE, Deploy, Done, Hostile, Hurry, Operate, Payments};

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/password", post(change_password))
        .route("/confirm", get(me).post(confirm))
        .route("/elevate", post(elevate))
        .route("/elevate/payments", post(elevate_for_payments))
        .route("/elevate/hostile", post(elevate_for_hostile))
        .route("/drop", post(drop_elevation))
        .route("/transfer", post(transfer))
        .route("/pay", post(pay))
        .route("/operate", get(operate).post(operate))
        .route("/deploy", post(deploy))
        .route("/hurry", post(hurry))
        .route("/approve/{order}", post(approve))
        .route("/carry-out/{order}", post(carry_out))
}

async fn change_password(elevated: Elevated) -> Result<String, SessionError> {
    let report = elevated.revoke_other_sessions().await?;
    elevated.session().regenerate()?;
    Ok(report.ended.len().to_string())
}

async fn confirm(signed_in: Authenticated) -> Done {
    signed_in.session().elevate()?;
    DONE
}

async fn elevate(session: Session) -> Done {
    session.elevate()?;
    DONE
}

async fn elevate_for_payments(session: Session) -> Done {
    session.elevate_for::<Payments>()?;
    DONE
}

async fn elevate_for_hostile(session: Session) -> Done {
    session.elevate_for::<Hostile>()?;
    DONE
}

async fn drop_elevation(session: Session) -> Result<String, SessionError> {
    Ok(session.drop_elevation()?.to_string())
}

async fn transfer(elevated: Elevated) -> String {
    elevated.user().to_string()
}

async fn pay(elevated: Elevated<Payments>) -> String {
    elevated.user().to_string()
}

async fn operate(privileged: Privileged<Operate>) -> String {
    privileged.user().to_string()
}

async fn deploy(privileged: Privileged<Deploy>) -> String {
    privileged.user().to_string()
}

async fn hurry(privileged: Privileged<Hurry>) -> String {
    privileged.user().to_string()
}

async fn approve(session: Session, Path(order): Path<String>) -> Done {
    session.approve::<Operate>(&order)?;
    DONE
}

async fn carry_out(signed_in: Authenticated, Path(order): Path<String>) -> Result<String> {
    signed_in.use_approval::<Operate>(&order).await?;
    Ok(order)
}
