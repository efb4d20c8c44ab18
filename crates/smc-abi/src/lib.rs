//! Kernel byte formats of SMC, RDMA and diagnostics netlink: pure, no I/O.
//!
//! Every request is a [`Request`] whose [`Request::frame`] gives the datagram to send; every reply datagram
//! is taken apart by [`messages`] and [`Message::reply`], and the body of each [`Reply::Data`] goes to the
//! `parse…` function of the module that made the request. Integers are in host byte order unless a document
//! says otherwise, as netlink itself has it.
#![forbid(unsafe_code)]

pub mod attribute;
mod bytes;
pub mod diag;
mod error;
pub mod fallback;
pub mod frame;
pub mod genl;
mod kernel_error;
pub mod nft;
pub mod pnetid;
pub mod rdma;
pub mod smc;
pub mod syn;

pub use error::DecodeError;
pub use frame::{Message, Messages, Reply, Request, messages};
pub use kernel_error::KernelError;
