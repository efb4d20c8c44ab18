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
mod tests;
