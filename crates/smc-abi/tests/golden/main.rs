//! What a real kernel was sent and answered, held against the encoders and parsers.
#![cfg(target_endian = "little")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test helper fails the test")]

mod diag;
mod exchange;
mod nft;
mod pnetid;
mod rdma;
mod smc;
