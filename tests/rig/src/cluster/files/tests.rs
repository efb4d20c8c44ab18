use super::*;

#[test]
fn every_path_that_a_program_is_told_exists() {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
            _ => {}
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let files = Files::of(directory.path().join("kubernetes"));
    let programs = tempfile::tempdir().unwrap();
    fs::write(programs.path().join("kubelet"), "").unwrap();
    files.write(&[programs.path().to_owned()], ProxyMode::Nftables).unwrap();
    assert!(files.program("kubelet").exists());
    let mut told = Vec::new();
    for name in ["admin.kubeconfig", "node3/kubelet.yaml", "node3/kubelet.kubeconfig", "node1/proxy.yaml"] {
        texts(&serde_json::from_slice(&fs::read(files.path(name)).unwrap()).unwrap(), &mut told);
    }
    let own = directory.path().display().to_string();
    let paths: Vec<_> = told.iter().filter(|text| text.starts_with(&own)).collect();
    assert!(paths.len() > 8, "{paths:?}");
    assert!(paths.iter().all(|path| Path::new(path).exists()), "{paths:?}");
    assert!(told.contains(&"nftables".to_owned()));
}
