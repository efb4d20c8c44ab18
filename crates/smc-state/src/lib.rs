//! The files under /run/kube-smc that plugin and agent share.
#![forbid(unsafe_code)]
