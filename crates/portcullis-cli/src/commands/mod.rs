//! One file per command.

mod audit;
mod check;
mod flagged;
mod list;
mod revoke;
mod show;
mod sweep;

pub(crate) use self::{
    audit::audit,
    check::check,
    flagged::{SINCE as FLAGGED_SINCE, flagged},
    list::list,
    revoke::revoke,
    show::show,
    sweep::sweep,
};
