//! One attachment from facts to record: observe, decide, apply, read back, record.
//!
//! The plugin calls [`attach`] on ADD and [`detach`] on DEL; the agent calls the same two for pods that were missed,
//! [`refuse`] for pods that no plugin is called for, and [`sweep`] for what a DEL could not finish. A lock per attachment surrounds each of them.
//! A [`Mender`] keeps what the host's kernel holds for all of them as the records say.
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
