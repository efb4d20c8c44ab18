use std::collections::BTreeMap;
use std::io::Read as _;

use super::*;

fn entries(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

#[test]
fn the_archive_names_both_images_and_their_layers_digests() {
    let entries = entries(&archive(b"program").unwrap());
    let manifest: Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], PAUSE_IMAGE);
    assert_eq!(manifest[1]["RepoTags"][0], NODE_IMAGE);
    for image in manifest.as_array().unwrap() {
        let configuration: Value =
            serde_json::from_slice(&entries[image["Config"].as_str().unwrap()]).unwrap();
        let layer = &entries[image["Layers"][0].as_str().unwrap()];
        let digest = format!("sha256:{:x}", Sha256::digest(layer));
        assert_eq!(configuration["rootfs"]["diff_ids"][0], digest);
    }
}

#[test]
fn the_archive_depends_on_nothing_but_the_program() {
    assert_eq!(archive(b"program").unwrap(), archive(b"program").unwrap());
}

#[test]
fn every_shared_directory_has_a_place_in_the_image() {
    let entries = entries(&node_layer().unwrap());
    for shared in SHARED {
        let name = shared.trim_start_matches('/');
        assert!(entries.keys().any(|entry| entry.trim_end_matches('/') == name), "{shared}");
    }
}
