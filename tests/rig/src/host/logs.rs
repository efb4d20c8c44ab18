//! The format in which container runtimes keep a container's output: kubernetes/design-proposals,
//! "CRI: Log management": `<time> <stdout|stderr> <P|F> <text>`, one line each; P is a part of a line.

/// What a container wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerLogs {
    /// To its standard output.
    pub stdout: Vec<u8>,
    /// To its standard error.
    pub stderr: Vec<u8>,
}

impl ContainerLogs {
    /// Separates the streams again; a line in another format counts as standard output.
    pub(crate) fn parse(log: &[u8]) -> Self {
        let mut logs = Self::default();
        for line in log.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let mut fields = line.splitn(4, |byte| *byte == b' ');
            let fields = (fields.next(), fields.next(), fields.next(), fields.next());
            let (stream, tag, text) = match fields {
                (Some(_), Some(b"stdout"), Some(tag), Some(text)) => (&mut logs.stdout, tag, text),
                (Some(_), Some(b"stderr"), Some(tag), Some(text)) => (&mut logs.stderr, tag, text),
                _ => (&mut logs.stdout, b"F".as_slice(), line),
            };
            stream.extend_from_slice(text);
            if !tag.starts_with(b"P") {
                stream.push(b'\n');
            }
        }
        logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(log: &str) -> (String, String) {
        let logs = ContainerLogs::parse(log.as_bytes());
        (String::from_utf8(logs.stdout).unwrap(), String::from_utf8(logs.stderr).unwrap())
    }

    #[test]
    fn the_two_streams_are_separated() {
        let log = "2026-01-01T00:00:00Z stdout F a b  c\n2026-01-01T00:00:01Z stderr F oops\n";
        assert_eq!(parse(log), ("a b  c\n".into(), "oops\n".into()));
    }

    #[test]
    fn the_parts_of_a_long_line_are_joined() {
        let log = "t stdout P one\nt stderr F between\nt stdout F two\n";
        assert_eq!(parse(log), ("onetwo\n".into(), "between\n".into()));
    }

    #[test]
    fn empty_lines_and_empty_logs_are_kept() {
        assert_eq!(parse("t stdout F \n"), ("\n".into(), String::new()));
        assert_eq!(parse(""), (String::new(), String::new()));
    }

    #[test]
    fn a_line_in_no_known_format_is_not_lost() {
        assert_eq!(parse("what is this"), ("what is this\n".into(), String::new()));
    }
}
