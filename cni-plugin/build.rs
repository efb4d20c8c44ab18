//! How the static plugin is linked, the one that `hack/build` makes.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=arena.ld");
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static")
        && let Ok(directory) = env::var("CARGO_MANIFEST_DIR")
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{directory}/arena.ld");
        // Two mappings instead of four: each costs at the start, at the end, and a page fault of its own.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,noseparate-code");
    }
}
