//! The use of approvals: a proof for one operation, used once.

use portcullis_core::{ChangeError, Demand, Operation, demand_name};

use crate::{
    Authenticated,
    guard::session_guard::Rejection,
    reject::{error::SessionError, problem::Problem},
};

impl Authenticated {
    /// Uses the [approval](crate::Session::approve) for one operation of the demand `D`, with these
    /// parameters. Call it before the operation is carried out.
    ///
    /// The operation runs at most once, however many requests ask for it at the same moment, unless
    /// the response is a 5xx or 408. Then the approval is restored until its five minutes have
    /// passed. Return these only if nothing was carried out.
    ///
    /// If the handler panics or the client disconnects, it is unknown whether the operation was
    /// carried out. Then the approval stays used.
    ///
    /// ```
    /// # use axum::response::Result;
    /// # use portcullis::{Authenticated, Demand};
    /// # async fn carry_out(_: &str) {}
    /// struct Transfer;
    /// impl Demand for Transfer {
    ///     const NAME: &'static str = "transfer";
    /// }
    ///
    /// async fn transfer(signed_in: Authenticated, order: String) -> Result<()> {
    ///     signed_in.use_approval::<Transfer>(&order).await?;
    ///     carry_out(&order).await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejection`] in two cases:
    ///
    /// * There is no approval for this operation. The response is a 401 (`approval-required`), or a
    ///   redirect to the re-authentication page with the name of the demand as `approve`.
    /// * The store cannot write.
    ///
    /// Changes of the session that the handler made before are written too.
    pub async fn use_approval<D: Demand>(
        &self,
        parameters: impl AsRef<[u8]>,
    ) -> Result<(), Rejection> {
        let operation = Operation::of(demand_name::<D>(), parameters.as_ref());
        let state = self.session().state();
        let result = match self.session().begin_use(operation.clone()) {
            Ok(ends_at) => self.session().commit().await.map(|()| ends_at),
            Err(error) => Err(error),
        };
        match result {
            Ok(ends_at) => {
                state.note_used_approval(operation, ends_at);
                Ok(())
            }
            Err(SessionError::Change(ChangeError::NotApproved)) => {
                let demand = demand_name::<D>();
                Err(Rejection::refused(
                    Problem::ApprovalRequired { demand },
                    state,
                ))
            }
            Err(error) => Err(Rejection::error(error, Some(state))),
        }
    }
}
