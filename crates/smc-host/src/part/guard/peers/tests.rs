use super::*;

#[test]
fn a_prefix_begins_with_the_whole_pod() {
    assert_eq!(usize::try_from(POD_BITS), Ok(8 * ADDRESS_BYTES));
}

#[test]
fn a_key_is_read_back_whosever_it_is() {
    for (pod, range) in [("10.0.0.5", "10.0.0.0/8"), ("10.0.0.5", "0.0.0.0/0"), ("fd00::5", "fd00::7/128")] {
        let range: IpNet = range.parse().unwrap();
        for whose in [Whose::Node, Whose::Pod(pod.parse().unwrap())] {
            assert_eq!(read_key(&key(whose, range)), Some((whose, range)));
        }
    }
    assert_eq!(read_key(&[0; RANGE_BYTES]), None);
    assert_eq!(read_key(&[]), None);
}
