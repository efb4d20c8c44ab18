//! Times of several programs, taken in turns, so that a drift of the machine favours none of them.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Microseconds of each program in each round.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Samples {
    /// In the order of the programs; all of one length.
    pub us: Vec<Vec<f64>>,
}

impl Samples {
    /// Times `programs` programs by `time` in `rounds` rounds, each round in another order, after one round that does
    /// not count. `progress` is told the number of rounds done.
    pub fn take(
        programs: usize,
        rounds: usize,
        mut time: impl FnMut(usize) -> Result<Duration>,
        progress: impl Fn(usize),
    ) -> Result<Self> {
        let mut us = vec![Vec::with_capacity(rounds); programs];
        let mut order: Vec<usize> = (0..programs).collect();
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        for program in 0..programs {
            time(program)?;
        }
        for round in 0..rounds {
            dice.shuffle(&mut order);
            for &program in &order {
                us[program].push(time(program)?.as_secs_f64() * 1e6);
            }
            progress(round + 1);
        }
        Ok(Self { us })
    }

    /// The median of one program's times, in microseconds.
    pub fn median(&self, program: usize) -> f64 {
        median(self.us.get(program).cloned().unwrap_or_default())
    }

    /// The median over the rounds of one program's time divided by another's in the same round.
    pub fn ratio(&self, program: usize, to: usize) -> f64 {
        let (Some(of), Some(to)) = (self.us.get(program), self.us.get(to)) else { return f64::NAN };
        median(of.iter().zip(to).map(|(of, to)| of / to).collect())
    }
}

/// The middle value; not a number when there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(upper), 0) => f64::midpoint(values[middle - 1], *upper),
        (Some(value), _) => *value,
        (None, _) => f64::NAN,
    }
}

/// Random enough to shuffle (xorshift).
struct Dice(u64);

impl Dice {
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let other = usize::try_from(self.0 % (last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_lies_between_the_middle_two() {
        assert!((median(vec![4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < 1e-9);
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // A machine that slows down by ten does not change the ratio.
        let samples = Samples { us: vec![vec![2.0, 20.0, 200.0], vec![1.0, 10.0, 100.0]] };
        assert!((samples.ratio(0, 1) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn every_program_runs_once_a_round_and_each_comes_first_now_and_then() {
        let mut calls = Vec::new();
        let time = |program| {
            calls.push(program);
            Ok(Duration::from_micros(1))
        };
        let samples = Samples::take(3, 60, time, |_| {}).unwrap();
        assert!(samples.us.iter().all(|us| us.len() == 60));
        let mut first = [0; 3];
        for round in calls[3..].chunks(3) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            first[round[0]] += 1;
        }
        assert!(first.iter().all(|&count| count > 5), "{first:?}");
    }
}
