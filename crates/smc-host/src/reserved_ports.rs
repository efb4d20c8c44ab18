//! TCP ports that SMC takes for itself.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// TCP ports that Alibaba's SMC opens in every network namespace for iWARP eRDMA, for its out-of-band handshake.
pub const RESERVED: RangeInclusive<u16> = 65500..=65515;

/// Which of the reserved ports are in use as a local TCP port in any network namespace that a process lives in.
pub fn in_use(proc: &Path) -> BTreeSet<u16> {
    let mut seen = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let Ok(entries) = fs::read_dir(proc) else { return taken };
    let processes =
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    for process in processes {
        // A process that ended in between has no namespace any more.
        let Ok(namespace) = fs::metadata(process.path().join("ns/net")) else { continue };
        if !seen.insert(namespace.ino()) {
            continue;
        }
        for table in ["net/tcp", "net/tcp6"] {
            let text = fs::read_to_string(process.path().join(table)).unwrap_or_default();
            taken.extend(local_ports(&text).filter(|port| RESERVED.contains(port)));
        }
    }
    taken
}

/// The local ports in `/proc/net/tcp`'s text (Documentation/networking/proc_net_tcp.rst).
fn local_ports(table: &str) -> impl Iterator<Item = u16> {
    table.lines().skip(1).filter_map(|line| {
        let local = line.split_ascii_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue\n\
           0: 0100007F:FFDD 00000000:0000 0A 00000000:00000000\n\
           1: 00000000:0050 00000000:0000 0A 00000000:00000000\n";

    #[test]
    fn local_ports_are_read_from_the_kernels_table() {
        assert_eq!(local_ports(TABLE).collect::<Vec<_>>(), [65501, 80]);
        assert_eq!(local_ports("garbage\nmore garbage here\n").count(), 0);
    }

    #[test]
    fn a_reserved_port_in_any_namespace_is_found() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, table) in [("1", "header\n"), ("77", TABLE)] {
            let dir = proc.path().join(pid);
            fs::create_dir_all(dir.join("ns")).unwrap();
            fs::create_dir_all(dir.join("net")).unwrap();
            fs::write(dir.join("net/tcp"), table).unwrap();
            fs::write(dir.join("netns"), pid).unwrap();
            symlink(dir.join("netns"), dir.join("ns/net")).unwrap();
        }
        assert_eq!(in_use(proc.path()), BTreeSet::from([65501]));
    }
}
