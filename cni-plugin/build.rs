//! The static plugin, the one that `hack/build` makes, is linked in the order of `order.ld`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=order.ld");
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static")
        && let Ok(directory) = env::var("CARGO_MANIFEST_DIR")
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{directory}/order.ld");
        // Two mappings instead of four: each costs at the start, at the end, and a page fault of its own.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,noseparate-code");
    }
}
