//! CNI 0.3.1 to 1.1.0: types, lossless results, conflist editing.
#![forbid(unsafe_code)]
