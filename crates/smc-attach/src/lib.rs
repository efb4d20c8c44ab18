//! One attachment from facts to record: observe, decide, apply, read back, record.
//!
//! The plugin calls [`attach`] on ADD and [`detach`] on DEL; the agent calls the same two for pods that were missed,
//! [`refuse`] for pods that no plugin is called for, and [`sweep`] for what a DEL could not finish. A lock per attachment surrounds each of them.
//! A [`Mender`] keeps what the host's kernel holds for all of them as the records say.
//!
//! The work on one attachment:
//!
//! 1. A lock per attachment (container id and interface). One more, short, lock around changes of shared address tables.
//! 2. *Observe*: node.json is a hint; port states, PNETIDs, addresses and the anchor link are read again. Of the pod: links, addresses, routes,
//!    PNET table, and whether a socket made in it answers an option that only SMC's do: what programs really get (`SO_PROTOCOL` reads 6 on
//!    Alibaba's kernel whatever the socket is).
//! 3. *Decide* (`smc_model::decide`): from facts to an ordered list of steps, or to a reason. No steps means that everything is in place; that is
//!    how a second ADD changes nothing, and how applying is verified. There is no second description of what "in place" means.
//! 4. The record is written as an *intent* before the first change. A failed step takes everything back.
//! 5. DEL needs only the record: conversion ends first, then addresses leave guard and anchor unless another living record owns them. It leaves a
//!    tombstone, which the agent sweeps; when it cannot get the lock, a mark that the sweep finds. A record in words of another version is read
//!    for what it owns; one that cannot be read is set aside as `….json.unreadable`.
//! 6. A pod that was converted and is refused later is unconverted where staying converted could harm (`Reason::ends_conversion`).
#![forbid(unsafe_code)]

mod attach;
mod detach;
mod inside;
mod mend;
mod over;

pub use attach::{AttachError, Budget, Job, Outcome, attach, refuse, repair};
pub use detach::{Detached, detach, sweep};
pub use inside::{Shared, unconvert_inside, undo_inside};
pub use mend::{Anew, Mended, Mender};
pub use over::Remains;
