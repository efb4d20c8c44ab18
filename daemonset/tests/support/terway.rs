//! A writer with the habits of Terway's daemon: it opens the list with `O_TRUNC` and copies it, slowly here, with
//! neither a temporary file nor a sync, and it never looks at the list again.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The list's content in its `generation`-th edition; each differs from the others.
pub(crate) fn list(generation: usize) -> String {
    format!(
        "{{\n  \"cniVersion\": \"0.4.0\",\n  \"name\": \"terway-chainer\",\n  \"plugins\": [\n    {{\n      \"capabilities\": {{\n        \"bandwidth\": true\n      }},\n      \"eniip_virtual_type\": \"veth\",\n      \"mtu\": {},\n      \"type\": \"terway\"\n    }},\n    {{\n      \"type\": \"cilium-cni\"\n    }}\n  ]\n}}\n",
        1000 + generation
    )
}

/// Writes the list in `chunks` parts with `pause` after each but the last.
pub(crate) fn rewrite(path: &Path, content: &str, chunks: usize, pause: Duration) {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    let size = content.len().div_ceil(chunks);
    for (index, chunk) in content.as_bytes().chunks(size).enumerate() {
        if index > 0 {
            sleep(pause);
        }
        file.write_all(chunk).unwrap();
    }
}
