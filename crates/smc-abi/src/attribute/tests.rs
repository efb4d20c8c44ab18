use super::*;

fn all(bytes: &[u8]) -> Result<Vec<Attribute<'_>>, DecodeError> {
    attributes(bytes).collect()
}

fn only(bytes: &[u8]) -> Attribute<'_> {
    all(bytes).unwrap()[0]
}

#[test]
fn what_is_written_is_read_again() {
    let inner = AttributeWriter::default().u8(1, 7).u64(2, u64::MAX);
    let written =
        AttributeWriter::new(&[9; 3]).string(3, "eth0").u32(4, 5).nested(5, &inner).bytes(6, &[]).finish();
    let (header, rest) = written.split_at(4);
    assert_eq!(header, [9, 9, 9, 0]);
    let read = all(rest).unwrap();
    assert_eq!(read.iter().map(|attribute| attribute.kind).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert_eq!((read[0].string("s"), read[1].u32("n")), (Ok("eth0"), Ok(5)));
    let nested: Vec<_> = read[2].nested().map(Result::unwrap).collect();
    assert_eq!((nested[0].u8("a"), nested[1].u64("b")), (Ok(7), Ok(u64::MAX)));
    assert_eq!(read[3].payload, []);
}

#[test]
fn flags_of_the_type_are_masked() {
    let written = AttributeWriter::default().bytes(0xc000 | 5, &[1]).finish();
    assert_eq!(only(&written).kind, 5);
}

#[test]
fn missing_and_surplus_padding_at_the_end_are_tolerated() {
    let written = AttributeWriter::default().u8(1, 2).finish();
    assert_eq!(all(&written[..5]).unwrap().len(), 1);
    let padded = [written.as_slice(), &[0; 3]].concat();
    assert_eq!(all(&padded).unwrap().len(), 1);
}

#[test]
fn a_truncated_attribute_is_an_error() {
    let written = AttributeWriter::default().u32(1, 2).finish();
    let expected = DecodeError::Truncated { what: "nlattr", need: 8, have: 7 };
    assert_eq!(all(&written[..7]), Err(expected));
    assert_eq!(all(&[1, 2]), Err(DecodeError::Truncated { what: "nlattr", need: 4, have: 2 }));
}

#[test]
fn a_length_shorter_than_the_header_is_an_error_and_ends_the_list() {
    let mut list = attributes(&[3, 0, 1, 0, 5, 0, 1, 0, 9, 0, 0, 0]);
    assert_eq!(list.next(), Some(Err(DecodeError::BadLength { what: "nla_len", length: 3 })));
    assert_eq!(list.next(), None);
}

#[test]
fn numbers_of_another_width_are_errors() {
    let written = AttributeWriter::default().u32(1, 2).finish();
    let attribute = only(&written);
    assert_eq!(attribute.u16("n"), Err(DecodeError::BadLength { what: "n", length: 4 }));
    assert_eq!(attribute.u64("n"), Err(DecodeError::Truncated { what: "n", need: 8, have: 4 }));
}

#[test]
fn a_uint_is_four_or_eight_bytes() {
    let written = AttributeWriter::default().u32(1, 5).u64(1, 6).u8(1, 7).finish();
    let read: Vec<_> = all(&written).unwrap().iter().map(|attribute| attribute.uint("n").ok()).collect();
    assert_eq!(read, [Some(5), Some(6), None]);
}

#[test]
fn a_string_ends_at_its_first_nul_and_must_be_utf8() {
    let written = AttributeWriter::default().bytes(1, b"ab\0c").bytes(1, b"ab").bytes(1, &[0xff]).finish();
    let read: Vec<_> = all(&written).unwrap().iter().map(|attribute| attribute.string("s")).collect();
    assert_eq!(read, [Ok("ab"), Ok("ab"), Err(DecodeError::NotUtf8 { what: "s" })]);
}

#[test]
fn a_payload_that_does_not_fit_is_cut_and_what_follows_stays_readable() {
    let written = AttributeWriter::default().bytes(1, &vec![7; 70_000]).u8(2, 3).finish();
    let read = all(&written).unwrap();
    assert_eq!((read[0].payload.len(), read[1].u8("n")), (65_531, Ok(3)));
}
