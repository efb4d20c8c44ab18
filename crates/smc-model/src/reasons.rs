//! The one table of reasons: why a connection or a pod is on plain TCP, what that means, and what to do.
//!
//! It feeds events, logs, metric labels, `smcctl explain` and `docs/reasons.md`. Particulars (which device, which
//! address) are told by whoever saw them; here stands what is always true of a reason.

pub mod finding;
mod kernel;
mod kernel_smcd;
mod page;
pub mod policy;
pub mod refusal;

use serde::Serialize;

pub use page::page;
use policy::Policy;

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its stable name: metric label, event reason, argument of `smcctl explain`.
    pub name: &'static str,
    /// The kernel's code, where the reason is the kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelCode>,
    /// What was seen, in a few words.
    pub seen: &'static str,
    /// What follows from it.
    pub meaning: &'static str,
    /// What is likely behind it, likeliest first.
    pub causes: &'static [Cause],
    /// What to do.
    pub remedy: &'static str,
    /// What plugin and agent do about it.
    #[serde(skip)]
    pub policy: Policy,
}

/// A code with which the kernel gives up SMC for one connection (`net/smc/smc_clc.h`, `SMC_CLC_DECL_*`). It stands in
/// `SMC_DIAG_FALLBACK`, in the fallback statistics, in the tracepoint `smc_switch_to_fallback` and in the CLC DECLINE
/// message. Peers may send codes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KernelCode {
    /// Its value.
    pub code: u32,
    /// The constant's name in the kernel's source, where that is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<&'static str>,
    /// Whether only Alibaba's kernel has it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alibaba_only: bool,
}

/// One likely cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The cause.
    pub what: &'static str,
    /// The check that tells it from the others.
    pub check: &'static str,
}

/// `SMC_CLC_DECL_OPTUNSUPP`
const FAST_OPEN: u32 = 0x0306_0000;

/// The label of a fallback code that the table does not have.
pub const UNKNOWN_FALLBACK: &str = "UnknownFallback";

/// Every reason: the kernel's in ascending order of their codes, then our own.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    fallbacks().chain(own())
}

/// Our own reasons: those of refusals, then what the agent and `smcctl doctor` find.
pub fn own() -> impl Iterator<Item = &'static Entry> {
    refusal::ALL.iter().chain(finding::ALL).copied()
}

/// The kernel's reasons, in ascending order of their codes.
pub fn fallbacks() -> impl Iterator<Item = &'static Entry> {
    let mut entries: Vec<&Entry> = kernel::ALL.iter().chain(kernel_smcd::ALL).collect();
    entries.sort_by_key(|entry| entry.kernel.map(|kernel| kernel.code));
    entries.into_iter()
}

/// The reason with a kernel's fallback code.
pub fn fallback(code: u32) -> Option<&'static Entry> {
    let has = |entry: &&Entry| entry.kernel.is_some_and(|kernel| kernel.code == code);
    kernel::ALL.iter().chain(kernel_smcd::ALL).find(has)
}

/// The stable name of a kernel's fallback code, for labels; [`UNKNOWN_FALLBACK`] when the table does not have it.
pub fn fallback_label(code: u32) -> &'static str {
    fallback(code).map_or(UNKNOWN_FALLBACK, |entry| entry.name)
}

/// What a kernel's fallback code says, in a few words.
pub fn fallback_seen(code: u32) -> &'static str {
    fallback(code).map_or("unknown reason", |entry| entry.seen)
}

/// The reason with this stable name, if it is something that a program in the pod does: no fault of node, peer or network,
/// and nothing that other connections of the pod would show.
pub fn of_programs(name: &str) -> Option<&'static Entry> {
    let names = [finding::IPV6_SOCKET.name, fallback_label(FAST_OPEN)];
    if names.contains(&name) { by_name(name) } else { None }
}

/// The reason with this stable name.
pub fn by_name(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

/// The reason that a person means: a stable name or a constant of the kernel, in any case of letters, or a code as
/// hexadecimal (`0x…`) or decimal number.
pub fn find(text: &str) -> Option<&'static Entry> {
    let text = text.trim();
    if let Some(code) = parse_code(text) {
        return fallback(code);
    }
    all().find(|entry| names(entry).any(|name| name.eq_ignore_ascii_case(text)))
}

/// A fallback code as a person writes it.
pub fn parse_code(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The words by which [`find`] knows a reason, besides its code.
pub fn names(entry: &Entry) -> impl Iterator<Item = &'static str> {
    [Some(entry.name), entry.kernel.and_then(|kernel| kernel.constant)].into_iter().flatten()
}

#[cfg(test)]
mod tests;
