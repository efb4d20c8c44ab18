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

/// The labels of all series for which an alert's expression holds, at the time `now` in seconds since the epoch.
pub(super) fn holds(expression: &str, samples: &[Sample], now: f64) -> Result<Vec<Labels>> {
    let mut parser = Parser { rest: expression, samples, now };
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
    samples: &'t [Sample],
    now: f64,
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
                Ok(Value::Scalar(self.now))
            }
            "sum" => self.grouped(|values| values.iter().sum()),
            "max" => self.grouped(|values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            word if word.starts_with(|c: char| c.is_ascii_digit()) => Ok(Value::Scalar(word.parse()?)),
            word if word.starts_with("kube_smc_") => self.selected(word),
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

    fn selected(&mut self, name: &str) -> Result<Value> {
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
        let matches = |sample: &&Sample| {
            sample.name == name
                && matchers.iter().all(|(label, equal, value)| (sample.label(label) == value) == *equal)
        };
        let found = self.samples.iter().filter(matches);
        Ok(Value::Vector(found.map(|sample| (sample.labels.clone(), sample.value)).collect()))
    }
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
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP kube_smc_pods x
kube_smc_pods{verdict="refused",reason="NoUeid"} 2
kube_smc_pods{verdict="refused",reason="SwitchedOff"} 1
kube_smc_degraded_since_seconds{namespace="d",pod="a \"b\"",reason="NoUeid"} 940
kube_smc_queue_pairs{device="rxe0"} 9
kube_smc_queue_pairs_max{device="rxe0"} 10
kube_smc_queue_pairs{device="rxe1"} 9
kube_smc_events_written_total 3
# EOF"#;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn lines_with_and_without_labels_are_read() {
        let samples = samples(TEXT);
        assert_eq!(samples.len(), 7);
        assert_eq!(samples[0].label("reason"), "NoUeid");
        assert_eq!(samples[2].label("pod"), "a \"b\"");
        assert_eq!((samples[6].name.as_str(), samples[6].value), ("kube_smc_events_written_total", 3.0));
    }

    #[test]
    fn the_forms_of_the_committed_rules_are_evaluated() {
        let samples = samples(TEXT);
        let holds = |expression: &str| holds(expression, &samples, 1000.0).unwrap();
        assert_eq!(holds("time() - kube_smc_degraded_since_seconds > 60"), Vec::<Labels>::new());
        assert_eq!(holds("time() - kube_smc_degraded_since_seconds > 59").len(), 1);
        assert_eq!(
            holds(r#"sum by (node, reason) (kube_smc_pods{verdict="refused",reason!="SwitchedOff"}) > 0"#),
            [labels(&[("reason", "NoUeid")])]
        );
        assert_eq!(
            holds("kube_smc_queue_pairs / kube_smc_queue_pairs_max > 0.8"),
            [labels(&[("device", "rxe0")])],
            "a device without a limit has no quotient"
        );
        assert_eq!(holds("kube_smc_events_written_total == 3").len(), 1);
        assert_eq!(holds("kube_smc_events_written_total == 4").len(), 0);
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_not_silence() {
        for expression in
            ["rate(kube_smc_pods[5m]) > 0", "kube_smc_pods > 0 and on() vector(1)", "1 > 0", "x"]
        {
            assert!(holds(expression, &[], 0.0).is_err(), "{expression}");
        }
    }
}
