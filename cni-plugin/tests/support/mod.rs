//! What the tests of the built plugin share: a place of their own, a configuration, a call, and what came of it.
//!
//! The plugin is used as a runtime uses it: environment and standard input in, status and standard output out, and
//! the files it leaves. Nothing of its code is linked.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this module")]

mod call;
mod conf;
mod held;
mod lab;
mod node;
mod trace;

pub(crate) use call::{Call, Outcome, ends_in_time};
pub(crate) use conf::{Conf, PREV_RESULT, VERSIONS, quoted};
pub(crate) use held::held;
pub(crate) use lab::{Lab, files_below};
pub(crate) use node::{node_facts, part_with};
pub(crate) use trace::{strace_works, trace};
