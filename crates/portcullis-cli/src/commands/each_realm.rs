//! Runs a command in one realm after the other.

use crate::{
    context::Context,
    exit::{Code, Failure, Outcome},
    screen::print_result,
    text::Pen,
};

/// Runs a command in each of these realms. A failure in one does not stop the others, unless the
/// command itself is wrong.
pub(crate) async fn in_each_realm(
    contexts: &[Context],
    run: impl AsyncFn(&Context) -> Result<Outcome, Failure>,
) -> Result<Code, Failure> {
    let mut codes = Vec::new();
    for (number, context) in contexts.iter().enumerate() {
        if !context.is_one_of_all() {
            return run(context).await.map(Code::from);
        }
        let gap = if number == 0 { "" } else { "\n" };
        let heading = context.heading(Pen::of_stdout());
        let headed = match heading {
            Some(heading) => print_result(&format!("{gap}{heading}\n")).err(),
            None => None,
        };
        // Sessions are ended even if nothing can be written.
        let failed = match run(context).await {
            Ok(outcome) => {
                codes.push(outcome.into());
                None
            }
            Err(Failure::Usage(text)) => return Err(Failure::Usage(text)),
            Err(failure) => Some(failure),
        };
        for failure in headed.into_iter().chain(failed) {
            context.print_message(&failure.to_string());
            codes.push(failure.code());
        }
    }
    Ok(Code::of_all(&codes))
}
