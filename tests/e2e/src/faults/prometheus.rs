//! Metrics as text, and the expressions of alert rules over them: as much of Prometheus' language as the rules use.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

/// Names and values of labels.
pub(super) type Labels = BTreeMap<String, String>;

/// One line of metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series' name, with its suffix.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// A label's value; empty without it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// The samples in a text of the exposition format. Other lines are passed over.
pub(super) fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.trim().rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Labels::new(), value });
    };
    let mut rest = labels.strip_suffix('}')?;
    let mut labels = Labels::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.insert(label.to_owned(), value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Sample { name: name.to_owned(), labels, value })
}

/// What stands before the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            c => value.push(c),
        }
    }
    None
}

/// The metrics of a node in the course of time, oldest first; times in seconds since the epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Vec<(f64, Vec<Sample>)>);

/// The longest range of the committed rules, in seconds.
const KEPT: f64 = 3600.0;

impl History {
    /// Adds a look.
    pub(super) fn add(&mut self, time: f64, samples: Vec<Sample>) {
        self.0.retain(|(then, _)| time - then <= KEPT);
        self.0.push((time, samples));
    }

    fn last(&self) -> &[Sample] {
        self.0.last().map_or(&[], |(_, samples)| samples)
    }

    fn now(&self) -> f64 {
        self.0.last().map_or(0.0, |(time, _)| *time)
    }

    /// By how much a series has grown within the last `range` seconds.
    fn increase(&self, series: &Sample, range: f64) -> f64 {
        let is = |sample: &&Sample| sample.name == series.name && sample.labels == series.labels;
        let within = self.0.iter().filter(|(time, _)| self.now() - time <= range);
        let mut values = within.filter_map(|(_, samples)| samples.iter().find(is)).map(|sample| sample.value);
        let Some(mut last) = values.next() else { return 0.0 };
        let mut grown = 0.0;
        for value in values {
            // A counter that went back began anew.
            grown += if value < last { value } else { value - last };
            last = value;
        }
        grown
    }
}

/// The labels of all series for which an alert's expression holds now.
pub(super) fn holds(expression: &str, history: &History) -> Result<Vec<Labels>> {
    let mut parser = Parser { rest: expression, history };
    let Value::Vector(series) = parser.comparison()? else { bail!("{expression}: no series") };
    parser.skip();
    ensure!(parser.rest.is_empty(), "{expression}: cannot evaluate from {:?} on", parser.rest);
    Ok(series.into_iter().map(|(labels, _)| labels).collect())
}

#[derive(Debug, Clone)]
enum Value {
    Scalar(f64),
    Vector(Vec<(Labels, f64)>),
}

struct Parser<'t> {
    rest: &'t str,
    history: &'t History,
}

impl<'t> Parser<'t> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        ensure!(self.takes(token), "expected {token:?} before {:?}", self.rest);
        Ok(())
    }

    fn word(&mut self) -> &'t str {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.:".contains(c)));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// A sum, or one of which only those series stay that compare as said.
    fn comparison(&mut self) -> Result<Value> {
        let left = self.sum()?;
        let compare: fn(f64, f64) -> bool = if self.takes(">=") {
            |a, b| a >= b
        } else if self.takes("<=") {
            |a, b| a <= b
        } else if self.takes("==") {
            equal
        } else if self.takes("!=") {
            |a, b| !equal(a, b)
        } else if self.takes(">") {
            |a, b| a > b
        } else if self.takes("<") {
            |a, b| a < b
        } else {
            return Ok(left);
        };
        match (left, self.sum()?) {
            (Value::Vector(series), Value::Scalar(limit)) => {
                Ok(Value::Vector(series.into_iter().filter(|(_, value)| compare(*value, limit)).collect()))
            }
            _ => bail!("only series can be compared, and only with numbers"),
        }
    }

    fn sum(&mut self) -> Result<Value> {
        let mut value = self.product()?;
        loop {
            if self.takes("+") {
                value = combine(value, self.product()?, |a, b| a + b);
            } else if self.takes("-") {
                value = combine(value, self.product()?, |a, b| a - b);
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<Value> {
        let mut value = self.term()?;
        loop {
            if self.takes("*") {
                value = combine(value, self.term()?, |a, b| a * b);
            } else if self.takes("/") {
                value = combine(value, self.term()?, |a, b| a / b);
            } else {
                return Ok(value);
            }
        }
    }

    fn term(&mut self) -> Result<Value> {
        if self.takes("(") {
            let value = self.comparison()?;
            self.expect(")")?;
            return Ok(value);
        }
        let before = self.rest;
        match self.word() {
            "time" => {
                self.expect("(")?;
                self.expect(")")?;
                Ok(Value::Scalar(self.history.now()))
            }
            "sum" => self.grouped(|values| values.iter().sum()),
            "max" => self.grouped(|values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            word if word.starts_with(|c: char| c.is_ascii_digit()) => Ok(Value::Scalar(word.parse()?)),
            "increase" => {
                self.expect("(")?;
                let name = self.word();
                let series = self.selected(name)?;
                self.expect("[")?;
                let range = seconds(self.word())?;
                self.expect("]")?;
                self.expect(")")?;
                let grown = series.iter().map(|s| (s.labels.clone(), self.history.increase(s, range)));
                Ok(Value::Vector(grown.collect()))
            }
            word if word.starts_with("kube_smc_") => {
                let series = self.selected(word)?;
                Ok(Value::Vector(series.into_iter().map(|s| (s.labels.clone(), s.value)).collect()))
            }
            _ => bail!("cannot evaluate {before:?}"),
        }
    }

    /// `by (labels) (series)`, after an aggregation's name.
    fn grouped(&mut self, aggregate: impl Fn(&[f64]) -> f64) -> Result<Value> {
        let mut by = Vec::new();
        if self.takes("by") {
            self.expect("(")?;
            while !self.takes(")") {
                by.push(self.word().to_owned());
                let _ = self.takes(",");
            }
        }
        self.expect("(")?;
        let Value::Vector(series) = self.comparison()? else { bail!("only series can be aggregated") };
        self.expect(")")?;
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for (mut labels, value) in series {
            labels.retain(|name, _| by.contains(name));
            groups.entry(labels).or_default().push(value);
        }
        Ok(Value::Vector(groups.into_iter().map(|(labels, values)| (labels, aggregate(&values))).collect()))
    }

    fn selected(&mut self, name: &str) -> Result<Vec<&'t Sample>> {
        let mut matchers: Vec<(String, bool, String)> = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                let label = self.word().to_owned();
                let equal = if self.takes("!=") {
                    false
                } else {
                    self.expect("=")?;
                    true
                };
                self.expect("\"")?;
                let Some((value, rest)) = quoted(self.rest) else { bail!("no end of {:?}", self.rest) };
                self.rest = rest;
                matchers.push((label, equal, value));
                let _ = self.takes(",");
            }
        }
        let is_meant = |sample: &&Sample| {
            sample.name == name
                && matchers.iter().all(|(label, equal, value)| (sample.label(label) == value) == *equal)
        };
        Ok(self.history.last().iter().filter(is_meant).collect())
    }
}

/// A time such as `15m`, in seconds.
pub(super) fn seconds(time: &str) -> Result<f64> {
    let (number, unit) = time.split_at(time.len().saturating_sub(1));
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => bail!("{time:?} is no time"),
    };
    Ok(number.parse::<f64>()? * unit)
}

/// As Prometheus compares.
#[expect(clippy::float_cmp, reason = "the values are counts")]
fn equal(a: f64, b: f64) -> bool {
    a == b
}

/// Series are matched by all their labels.
fn combine(left: Value, right: Value, with: impl Fn(f64, f64) -> f64) -> Value {
    match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => Value::Scalar(with(a, b)),
        (Value::Scalar(a), Value::Vector(b)) => {
            Value::Vector(b.into_iter().map(|(labels, b)| (labels, with(a, b))).collect())
        }
        (Value::Vector(a), Value::Scalar(b)) => {
            Value::Vector(a.into_iter().map(|(labels, a)| (labels, with(a, b))).collect())
        }
        (Value::Vector(a), Value::Vector(b)) => {
            let of = |labels: &Labels| b.iter().find(|(other, _)| other == labels).map(|(_, value)| *value);
            let both = a.into_iter().filter_map(|(labels, a)| Some((labels.clone(), with(a, of(&labels)?))));
            Value::Vector(both.collect())
        }
    }
}

#[cfg(test)]
mod tests;
