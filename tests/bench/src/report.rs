//! The result, for people and for programs.

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit; empty for a ratio.
    pub unit: String,
    /// The most it may be; `None` for a figure that is only told.
    pub bar: Option<f64>,
    /// Whether it keeps to the bar; `None` where there is none.
    pub ok: Option<bool>,
}

impl Row {
    /// A figure that is only told.
    pub fn figure(name: &str, value: f64, unit: &str) -> Self {
        Self { name: name.to_owned(), value: rounded(value), unit: unit.to_owned(), bar: None, ok: None }
    }

    /// A figure that may be `bar` at most. What is no number keeps to no bar.
    pub fn at_most(name: &str, value: f64, unit: &str, bar: f64) -> Self {
        Self { bar: Some(bar), ok: Some(value <= bar), ..Self::figure(name, value, unit) }
    }
}

/// To four digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The table for people.
pub fn table(rows: &[Row]) -> String {
    let mut cells = vec![["MEASURE", "VALUE", "BAR", "OK"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let shown = |value: f64| match row.unit.as_str() {
            "" => format!("{value:.3}"),
            unit => format!("{value:.0} {unit}"),
        };
        let ok = row.ok.map_or("", |ok| if ok { "ok" } else { "NOT OK" });
        let bar = row.bar.map_or_else(String::new, |bar| format!("<= {}", shown(bar)));
        [row.name.clone(), shown(row.value), bar, ok.to_owned()]
    }));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, value, bar) = (width(0), width(1), width(2));
    let lines = cells.iter().map(|row| {
        let line = format!("{:<name$}  {:>value$}  {:>bar$}  {}", row[0], row[1], row[2], row[3]);
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_at_its_bar_is_ok_and_one_above_or_unknown_is_not() {
        assert_eq!(Row::at_most("x", 1.3, "", 1.3).ok, Some(true));
        assert_eq!(Row::at_most("x", 1.300_01, "", 1.3).ok, Some(false));
        assert_eq!(Row::at_most("x", f64::NAN, "", 1.3).ok, Some(false));
        assert_eq!(Row::figure("x", 9.0, "us").ok, None);
    }

    #[test]
    fn the_table_tells_what_misses_its_bar() {
        let text = table(&[Row::at_most("ADD / copy", 1.5, "", 1.3), Row::figure("ADD", 812.4, "us")]);
        assert_eq!(
            text,
            "MEASURE      VALUE       BAR  OK\nADD / copy   1.500  <= 1.300  NOT OK\nADD         812 us\n"
        );
    }
}
