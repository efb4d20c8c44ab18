//! `smcctl explain`: the table of reasons, for people.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;
use smc_model::reasons::{self, Entry};

use crate::output::{Outcome, Paint, Status, Table};

/// How many close names are offered.
const OFFERED: usize = 3;

/// Explains what a person named; all reasons in short when nothing is named.
pub(crate) fn explain(named: Option<&str>, paint: Paint) -> Result<Outcome> {
    let Some(named) = named else {
        let entries: Vec<&Entry> = reasons::all().collect();
        return Outcome::new(Status::Fine, &json!({ "reasons": entries }), list(&entries, paint));
    };
    if let Some(entry) = reasons::find(named) {
        return Outcome::new(Status::Fine, &entry, tell(entry, paint));
    }
    let close = close(named);
    let mut text = match reasons::parse_code(named) {
        Some(code) => format!(
            "{code:#010x} is none of the codes that are known here. A peer may send codes of its own (z/OS does): it is then the peer's reason.\n"
        ),
        None => format!("No reason is called {named:?}.\n"),
    };
    if !close.is_empty() {
        let _ = writeln!(text, "Did you mean {}?", close.join(", "));
    }
    text.push_str("`smcctl explain` lists all.\n");
    Outcome::new(Status::Problem, &json!({ "unknown": named, "close": close }), text)
}

fn list(entries: &[&Entry], paint: Paint) -> String {
    let mut table = Table::new(&["NAME", "CODE", "SEEN"]);
    for entry in entries {
        let code = entry.kernel.map(|kernel| format!("{:#010x}", kernel.code)).unwrap_or_default();
        table.row([entry.name.to_owned(), code, entry.seen.to_owned()]);
    }
    table.render(paint)
}

/// One reason, in full.
pub(crate) fn tell(entry: &Entry, paint: Paint) -> String {
    let mut text = paint.strong(entry.name);
    if let Some(kernel) = entry.kernel {
        let _ = write!(text, "  {:#010x}", kernel.code);
        if let Some(constant) = kernel.constant {
            let _ = write!(text, "  {constant}");
        }
        if kernel.alibaba_only {
            text.push_str("  (Alibaba's kernel only)");
        }
    }
    let _ = write!(
        text,
        "\n\n  Seen:    {}\n  Means:   {}\n\n  Likely causes, and the check that tells:\n",
        entry.seen, entry.meaning
    );
    for (index, cause) in entry.causes.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}\n     {}", index + 1, cause.what, cause.check);
    }
    let _ = writeln!(text, "\n  To do:   {}", entry.remedy);
    text
}

/// The names that are most like what was typed.
fn close(named: &str) -> Vec<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-', ' '], "");
    let wanted = plain(named);
    if let Some(code) = reasons::parse_code(named) {
        let mut near: Vec<(u32, &str)> = reasons::fallbacks()
            .filter_map(|entry| Some((entry.kernel?.code ^ code, entry.name)))
            .filter(|(difference, _)| difference.count_ones() <= 2)
            .collect();
        near.sort_by_key(|(difference, _)| difference.count_ones());
        return near.into_iter().take(OFFERED).map(|(_, name)| name).collect();
    }
    let mut scored: Vec<(f64, &str)> = reasons::all()
        .flat_map(reasons::names)
        .map(|name| {
            let candidate = plain(name);
            let part = !wanted.is_empty() && candidate.contains(&wanted);
            (if part { 1.0 } else { strsim::jaro_winkler(&wanted, &candidate) }, name)
        })
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests;
