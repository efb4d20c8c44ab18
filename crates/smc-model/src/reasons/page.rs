//! The table as a page of the documentation.

use std::fmt::Write;

use super::{Cause, Entry, fallbacks, finding, refusal};

const WIDTH: usize = 120;

const HEAD: &str = "\
<!-- Generated from crates/smc-model/src/reasons: UPDATE=1 cargo test -p smc-model --test reasons_page -->
# Reasons

Why a connection or a pod is on plain TCP, or what is wrong with a node. The names are those of metric labels and events;
`smcctl explain NAME` (or a code, such as `0x03010000`) prints the same.
";

/// `docs/reasons.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let kernel: Vec<&Entry> = fallbacks().collect();
    section(
        &mut page,
        "Fallback reasons of the kernel",
        "One connection became TCP. The code stands in socket diagnostics, in the fallback statistics and in the tracepoint \
         `smc_switch_to_fallback`.",
        &kernel,
    );
    section(
        &mut page,
        "Refusals",
        "An annotated pod was not set up; all its connections are TCP. The reason is in the pod's record and event.",
        refusal::ALL,
    );
    section(
        &mut page,
        "Findings",
        "What the agent and `smcctl doctor` find wrong with a node, or with a pod that was set up.",
        finding::ALL,
    );
    page
}

fn section(page: &mut String, title: &str, about: &str, entries: &[&Entry]) {
    let _ = write!(page, "\n## {title}\n\n");
    wrap(page, "", about);
    for entry in entries {
        let _ = write!(page, "\n### {}\n\n", entry.name);
        if let Some(kernel) = entry.kernel {
            let constant = kernel.constant.map(|constant| format!(" `{constant}`")).unwrap_or_default();
            let whose = if kernel.alibaba_only { ", Alibaba's kernel only" } else { "" };
            let _ = write!(page, "`{:#010x}`{constant}{whose}\n\n", kernel.code);
        }
        wrap(page, "", &format!("**{}.** {}.", capital(entry.seen), capital(entry.meaning)));
        page.push('\n');
        for (index, Cause { what, check }) in entry.causes.iter().enumerate() {
            wrap(page, "   ", &format!("{}. {}. Check: {check}", index + 1, capital(what)));
        }
        page.push('\n');
        wrap(page, "", &format!("To do: {}.", entry.remedy));
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Breaks at spaces, but not within `code`; further lines begin with `indent`.
fn wrap(page: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    let mut in_code = false;
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        in_code ^= letter == '`';
        if letter != ' ' || in_code {
            word.push(letter);
            continue;
        }
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            let _ = write!(page, "\n{indent}");
            column = indent.len();
        } else if column > 0 {
            page.push(' ');
            column += 1;
        }
        page.push_str(&word);
        column += length;
        word.clear();
    }
    page.push('\n');
}
