use serde_json::json;

use super::*;

#[test]
fn the_bar_is_held_against_the_upper_end_for_socket_alone() {
    let mean = |mean: f64| json!({ "mean": mean, "half_width": 0.01 });
    let cost = |call: &str| -> SocketCost {
        serde_json::from_value(json!({
            "call": call, "rounds": 10, "without": 4255.0, "nothing_adds": 212.0, "ours_adds": 350.0,
            "nothing_ratio": mean(1.05), "ours_ratio": mean(1.025), "own_share": mean(0.03),
        }))
        .unwrap()
    };
    let rows = cost("socket()").rows();
    let barred: Vec<_> = rows.iter().filter(|row| row.bar.is_some()).collect();
    assert_eq!(barred.len(), 1);
    assert_eq!((barred[0].value, barred[0].ok), (1.035, Some(false)));
    assert!(cost("socket() and close()").rows().iter().all(|row| row.bar.is_none()));
}
