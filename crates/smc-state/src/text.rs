//! What JSON is written to.

use std::io;

/// Most records and log lines are shorter.
const ROOM: usize = 2 * 1024;

/// Grows as a `Vec` does, but takes single bytes on a short way: most of what serde_json writes is a quote, a comma or a
/// colon, and the general way costs more than a third of writing a record.
#[derive(Debug)]
pub struct Text(Vec<u8>);

impl Default for Text {
    fn default() -> Self {
        Self(Vec::with_capacity(ROOM))
    }
}

impl Text {
    /// Ends the line and returns it.
    pub fn into_line(mut self) -> Vec<u8> {
        self.0.push(b'\n');
        self.0
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_stands_in_the_line_in_order_however_long_it_is() {
        let mut text = Text::default();
        let long = "x".repeat(3 * ROOM);
        text.write_all(b"").unwrap();
        for part in ["{", "\"a\"", ":", &long, "}"] {
            assert_eq!(text.write(part.as_bytes()).unwrap(), part.len());
        }
        assert_eq!(text.into_line(), format!("{{\"a\":{long}}}\n").into_bytes());
    }
}
