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
