//! What tests of several modules need.

pub(crate) mod fake_api;
pub(crate) mod test_values;
