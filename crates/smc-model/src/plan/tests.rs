//! Tests of [`decide`](super::decide) and, since they share the simulated kernel, of [`release`](crate::release).

mod choice;
pub(crate) mod examples;
mod generate;
mod json;
mod kernel;
mod properties;
mod reasons;
mod release;
mod repair;
