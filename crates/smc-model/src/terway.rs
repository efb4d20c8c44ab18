//! What Terway, Alibaba Cloud's CNI plugin, does with eRDMA devices that it manages itself (`enable_erdma`).

use crate::PnetId;

/// Where Terway's daemon tells about its node: an INI file with all keys in the unnamed section (`pkg/utils/nodecap`).
pub const NODE_CAPABILITIES_FILE: &str = "/var/run/eni/node_capabilities";

/// Whether Terway manages the node's eRDMA devices, by the text of [`NODE_CAPABILITIES_FILE`]. Of a repeated key the last one
/// counts; what cannot be understood says nothing.
pub fn manages_erdma(capabilities: &str) -> bool {
    let lines = capabilities.trim_start_matches('\u{feff}').lines().map(str::trim);
    let unnamed = lines.take_while(|line| !line.starts_with('['));
    let said = unnamed.filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| line.split_once('='));
    said.filter(|(key, _)| key.trim() == "erdma").last().is_some_and(|(_, value)| unquoted(value) == "true")
}

/// The PNETID that Terway gives to the pods of a device, and to the device unless that has one already: what follows the last `_`
/// of the device's name (`pkg/smc/pnet.go`).
pub fn pnetid_of(device: &str) -> Option<PnetId> {
    device.rsplit_once('_').and_then(|(_, id)| id.parse().ok())
}

/// Takes off the spaces, comments and quotes that the INI library Terway writes with puts around values.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['`', '"', '\''] {
        if let Some((inner, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inner;
        }
    }
    let comment = [" #", " ;"].iter().filter_map(|mark| value.find(mark)).min();
    comment.map_or(value, |at| value[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terway_manages_erdma_where_its_file_says_so() {
        for text in [
            "erdma = true",
            "cni_driver =\nerdma                   = true\ndatapath = datapathv2\n",
            "\u{feff}# made by terway\n; too\n\nerdma = \"true\" ; yes\n[other]\nerdma = false",
            "erdma=false\nerdma=`true`",
        ] {
            assert!(manages_erdma(text), "{text:?}");
        }
        for text in [
            "",
            "erdma = false",
            "erdma",
            "# erdma = true",
            "[x]\nerdma = true",
            "erdma = yes",
            "erdma_x = true",
        ] {
            assert!(!manages_erdma(text), "{text:?}");
        }
    }

    #[test]
    fn a_devices_id_is_what_follows_its_last_underline() {
        assert_eq!(pnetid_of("erdma_0"), "0".parse().ok());
        assert_eq!(pnetid_of("a_b_12"), "12".parse().ok());
        for device in ["rxe0", "erdma_", "erdma_-", "mlx5_bond_abcdefghijklmnopq"] {
            assert_eq!(pnetid_of(device), None, "{device}");
        }
    }
}
