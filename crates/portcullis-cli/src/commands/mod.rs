//! One file per command.

mod audit;
mod check;
mod count;
mod each_realm;
mod flagged;
mod incident;
mod list;
mod policy;
mod realms;
mod revoke;
mod show;
mod suspend;
mod sweep;
mod users;

pub(crate) use self::{
    audit::audit,
    check::check,
    count::count,
    each_realm::in_each_realm,
    flagged::{SINCE as FLAGGED_SINCE, flagged},
    incident::incident,
    list::list,
    policy::policy,
    realms::realms,
    revoke::revoke,
    show::show,
    suspend::{resume, suspend, suspended},
    sweep::sweep,
    users::users,
};
