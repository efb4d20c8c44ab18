use super::*;

#[test]
fn wrks_summary_is_read_with_its_errors() {
    let fine = "Running 2s test @ http://10.0.0.1/small\n  1 threads and 4 connections\n  183 requests in 2.03s, 43.07KB read\nRequests/sec:     90.11\n";
    assert_eq!(parse_wrk(fine), Some((183, 0)));
    let bad = format!(
        "{fine}  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 7\n"
    );
    assert_eq!(parse_wrk(&bad), Some((183, 13)));
    assert_eq!(parse_wrk("unable to connect to 10.0.0.1:80 Connection refused\n"), None);
}

#[test]
fn the_fetched_file_has_no_short_period() {
    let bytes = pattern();
    assert_eq!(bytes.len(), FILE_BYTES as usize);
    for period in [1, 2, 44, 256, 4096, 65536] {
        assert!(bytes[period..].iter().zip(&bytes).filter(|(a, b)| a == b).count() < bytes.len() / 50);
    }
}
