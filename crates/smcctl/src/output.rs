//! How results are told: JSON for programs, text for people, and the exit code for scripts.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use serde::Serialize;
use serde_json::Value;
pub use smc_surfaces::smcctl::Status;

/// A command's result.
#[derive(Debug)]
pub struct Outcome {
    /// What the exit code says.
    pub status: Status,
    /// For programs.
    pub json: Value,
    /// For people.
    pub text: String,
}

impl Outcome {
    /// A result that is told in both ways.
    pub fn new(status: Status, data: &impl Serialize, text: String) -> anyhow::Result<Self> {
        Ok(Self { status, json: serde_json::to_value(data)?, text })
    }

    /// Prints it.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = if json {
            serde_json::to_writer_pretty(&mut stdout, &self.json)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(stdout))
        } else {
            stdout.write_all(self.text.as_bytes())
        };
        match written.and_then(|()| stdout.flush()) {
            // `smcctl … | head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// Without colours.
    pub const PLAIN: Self = Self(false);
    /// With colours, wherever it goes.
    pub const COLOURED: Self = Self(true);

    /// Coloured on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn for_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(wanted && !dumb && io::stdout().is_terminal())
    }

    /// Good news.
    pub fn good(self, text: &str) -> String {
        self.code("32", text)
    }

    /// Bad news.
    pub fn bad(self, text: &str) -> String {
        self.code("31", text)
    }

    /// Neither.
    pub fn doubt(self, text: &str) -> String {
        self.code("33", text)
    }

    /// A heading.
    pub fn strong(self, text: &str) -> String {
        self.code("1", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns of text, as wide as their longest cell.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The rows as lines; the first row is bold.
    pub fn render(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let line = line.trim_end();
            let _ = writeln!(text, "{}", if index == 0 { paint.strong(line) } else { line.to_owned() });
        }
        text
    }
}

/// `name:` and what it is, the second column aligned; without a name it goes on with the line before.
pub fn field(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let name = if name.is_empty() { String::new() } else { format!("{name}:") };
    let _ = writeln!(text, "{name:<14} {value}");
}

/// How many of something there are, in words: `1 pod`, `2 pods`. `one` is a noun whose plural ends in `s` or `es`.
pub fn counted(count: u64, one: &str) -> String {
    let ending = match count {
        1 => "",
        _ if one.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {one}{ending}")
}

#[cfg(test)]
mod tests;
