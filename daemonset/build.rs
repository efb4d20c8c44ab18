//! Compiles the programs in `bpf/` with clang into objects that the agent embeds, and the one that `examples/socket_cost`
//! compares with.
//!
//! Needs clang (any since 11) and libbpf's headers (Debian: `clang libbpf-dev`). `CLANG` names another clang.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, error::Error};

/// Directories and names.
const PROGRAMS: [(&str, &str); 4] =
    [("bpf", "smcify"), ("bpf", "fallbacks"), ("bpf", "syn_options"), ("examples/socket_cost", "nothing")];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=CLANG");
    PROGRAMS.iter().try_for_each(|(directory, program)| compile(directory, program))
}

fn compile(directory: &str, program: &str) -> Result<(), Box<dyn Error>> {
    let source = format!("{directory}/{program}.bpf.c");
    println!("cargo::rerun-if-changed={source}");

    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let object = PathBuf::from(env::var("OUT_DIR")?).join(format!("{program}.bpf.o"));
    let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;

    let status = Command::new(&clang)
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror"])
        .arg(format!("-D__TARGET_ARCH_{}", kernel_architecture(&architecture)))
        .args(multiarch_headers(&architecture))
        // Without it the object holds this machine's build path.
        .arg("-fdebug-compilation-dir=.")
        .args(["-c", &source, "-o"])
        .arg(&object)
        .status()
        .map_err(|error| format!("cannot run {} to compile {source}: {error}", clang.display()))?;
    if !status.success() {
        return Err(
            format!("{} could not compile {source} (are libbpf's headers there?)", clang.display()).into()
        );
    }
    Ok(())
}

/// The name libbpf's `bpf_tracing.h` and the kernel use for an architecture.
fn kernel_architecture(rust_name: &str) -> &str {
    match rust_name {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `asm/types.h` is in Debian's per-architecture directory, which clang does not search for the bpf target.
fn multiarch_headers(architecture: &str) -> Vec<String> {
    let directory = format!("/usr/include/{architecture}-linux-gnu");
    if Path::new(&directory).is_dir() { vec!["-idirafter".into(), directory] } else { Vec::new() }
}
