//! End-to-end tests on the rig.
#![forbid(unsafe_code)]
