//! The Lua scripts, each with a struct of what it is called with.
//!
//! The header of a script in `lua/` describes its keys and arguments. The methods `keys` and
//! `arguments` of its struct write them in the same order, and nothing else in this crate knows it.

mod arguments;
mod call;
mod commit;
mod count;
mod create;
mod end;
mod expire_due;
mod find_unlisted;
mod observe;
mod overdue;
mod policies;
mod register;
mod replace;
mod revoke;
mod set_environment;
mod set_marker;
mod supersede;
mod suspend;
mod touch;

pub(crate) use self::{
    arguments::{LogSize, number},
    call::{Call, TimedCall},
    commit::Commit,
    count::Count,
    create::{Create, NewTiming},
    end::End,
    expire_due::ExpireDue,
    find_unlisted::FindUnlisted,
    observe::Observe,
    overdue::Overdue,
    policies::{ActivatePolicy, ReadPolicy, ReportPolicy, SettlePolicy},
    register::Register,
    replace::Replace,
    revoke::Revoke,
    set_environment::SetEnvironment,
    set_marker::SetMarker,
    supersede::Supersede,
    suspend::{Resume, Suspend},
    touch::Touch,
};
