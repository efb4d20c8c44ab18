use super::*;

#[test]
fn columns_are_as_wide_as_their_longest_cell() {
    let mut table = Table::new(&["A", "BB"]);
    table.row(["längst".to_owned(), String::new()]);
    table.row(["x".to_owned(), "y".to_owned()]);
    assert_eq!(table.render(Paint::PLAIN), "A       BB\nlängst\nx       y\n");
}

#[test]
fn one_is_no_plural() {
    let counts = [(0, "pod"), (1, "pod"), (2, "pod"), (1, "address"), (2, "address")];
    let told = counts.map(|(count, what)| counted(count, what));
    assert_eq!(told, ["0 pods", "1 pod", "2 pods", "1 address", "2 addresses"]);
}

#[test]
fn colours_are_only_there_when_wanted() {
    assert_eq!(Paint::PLAIN.bad("x"), "x");
    assert_eq!(Paint::COLOURED.bad("x"), "\u{1b}[31mx\u{1b}[0m");
    assert_eq!(Paint::COLOURED.bad(""), "");
}
