//! What a program does to its own process: how it starts, how it hands out memory and gives it back, and the worker that it may leave
//! behind.

pub mod arena;
mod c_main;
pub mod memory;
pub mod worker;
