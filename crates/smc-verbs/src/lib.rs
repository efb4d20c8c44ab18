//! Limits of RDMA devices, asked through libibverbs.
//!
//! They tell how many SMC-R link groups and buffers a device can carry. To ask, a process opens the device, which the
//! device cgroup of an ordinary container forbids; then, as on a node without RDMA, the answer is
//! [`DeviceLimits::Unknown`] with the reason, and never a failure.
//!
//! # Building and running
//! `rdma-sys` 0.3.0 (the last release; its upstream rests since 2023) makes its bindings with bindgen 0.59 from the
//! installed headers. It needs Debian's `libibverbs-dev librdmacm-dev pkg-config` and a libclang that this bindgen
//! understands: 14 does, 16 does not. Where several are installed, set `LIBCLANG_PATH=/usr/lib/llvm-14/lib`.
//! A binary with this crate does not start without `libibverbs.so.1` (`libibverbs1`), and finds no eRDMA or RoCE
//! device without its provider (`ibverbs-providers`).

mod ffi;
mod limits;

pub use limits::{DeviceLimits, Limits, Unknown, device_limits};
