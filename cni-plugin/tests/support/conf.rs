//! The network configuration on standard input, as text: what the plugin must pass on byte for byte may not go
//! through a JSON library here.

use std::path::Path;

use serde_json::{Value, json};

pub(crate) const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// What Terway hands on, with everything a re-encoding would change: odd white space, escapes, numbers that no
/// float holds, unknown fields, an empty key, an equal key twice, keys in no order.
pub(crate) const PREV_RESULT: &str = concat!(
    "{\t\"cniVersion\" : \"0.4.0\",\r\n   \"interfaces\":[ {\"sandbox\":\"4ba1\",\"name\":\"eth0\"}  ],",
    "\"ips\":[{\"address\":\"10.0.1.7\\/24\",\"interface\":0,\"version\":\"4\"}],\n",
    "\"routes\" :[{ \"dst\":\"0.0.0.0/0\",\"mtu\":1.50e3 }],\"dns\":{ },",
    "\"x-unknown\":{\"text\":\"\\u00e9\\ud83d\\ude00 \u{e9}\u{1f600} \\u003c\\u0000 \\ud800\",\"\":null,\"\":[],",
    "\"big\":123456789012345678901234567890,\"tiny\":-1E-9999,\"zero\":-0.0 } \t}"
);

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A configuration: keys with their values' JSON text, in order.
#[derive(Debug, Clone)]
pub(crate) struct Conf {
    keys: Vec<(String, String)>,
}

impl Conf {
    /// The chained entry of a Terway node, after the runtime has put its part in, for a pod without annotations.
    pub(crate) fn new(version: &str, state: &Path, logs: &Path) -> Self {
        let conf = Self { keys: Vec::new() };
        conf.set("cniVersion", quoted(version))
            .set("name", quoted("terway-chainer"))
            .set("type", quoted("smc-cni"))
            .set("capabilities", r#"{"io.kubernetes.cri.pod-annotations":true}"#)
            .set("runtimeConfig", r#"{"io.kubernetes.cri.pod-annotations":null}"#)
            .set("stateDir", quoted(&state.to_string_lossy()))
            .set("logDir", quoted(&logs.to_string_lossy()))
            .set("prevResult", PREV_RESULT)
    }

    /// Sets a key to a JSON text, in place or at the end.
    pub(crate) fn set(mut self, key: &str, raw: impl Into<String>) -> Self {
        let raw = raw.into();
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, value)) => *value = raw,
            None => self.keys.push((key.to_owned(), raw)),
        }
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    /// The pod's annotation that switches SMC on, with this value, among others.
    pub(crate) fn annotated(self, value: &str) -> Self {
        self.annotated_under("smc.asm.alibabacloud.com/enabled", value)
    }

    /// Some annotation under this key, among others.
    pub(crate) fn annotated_under(self, key: &str, value: &str) -> Self {
        let annotations = json!({ "kubernetes.io/config.source": "api", key: value, "team": "shop" });
        self.set("runtimeConfig", json!({ "io.kubernetes.cri.pod-annotations": annotations }).to_string())
    }

    pub(crate) fn required(self) -> Self {
        self.set("policy", quoted("required"))
    }

    pub(crate) fn text(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|(key, raw)| format!("{}:{raw}", quoted(key))).collect();
        format!("{{{}}}\n", keys.join(","))
    }
}
