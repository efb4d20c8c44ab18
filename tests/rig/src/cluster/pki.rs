//! The certificates of a cluster, made anew for each.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::ClusterError;

/// Whom a certificate is for, in Kubernetes' terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user's name.
    pub(crate) user: String,
    /// The user's group, if RBAC knows the user by one.
    pub(crate) group: Option<&'static str>,
    /// Names and addresses by which others reach its bearer.
    pub(crate) names: Vec<String>,
}

/// A directory of certificates and keys, and who signs them.
pub(crate) struct Pki {
    directory: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes the authority (`ca.crt`) and the key pair of service accounts' tokens (`sa.key`, `sa.pub`).
    pub(crate) fn make(directory: &Path) -> Result<Self, ClusterError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let pki = Self { directory: directory.to_owned(), authority };
        pki.write("ca.crt", &pki.authority.pem())?;
        let tokens = KeyPair::generate()?;
        pki.write("sa.key", &tokens.serialize_pem())?;
        pki.write("sa.pub", &tokens.public_key_pem())?;
        Ok(pki)
    }

    /// Writes `<name>.crt` and `<name>.key`, for a client and a server alike.
    pub(crate) fn issue(&self, name: &str, identity: &Identity) -> Result<(), ClusterError> {
        let mut params = CertificateParams::new(identity.names.clone())?;
        params.distinguished_name.push(DnType::CommonName, identity.user.as_str());
        if let Some(group) = identity.group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    fn write(&self, name: &str, content: &str) -> Result<(), ClusterError> {
        let path = self.directory.join(name);
        fs::write(&path, content).map_err(ClusterError::file("write", path))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_certificate_names_its_user_and_is_the_authoritys() {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::make(directory.path()).unwrap();
        let names = vec!["node1".to_owned(), "10.0.0.11".to_owned()];
        let identity = Identity { user: "system:node:node1".to_owned(), group: Some("system:nodes"), names };
        pki.issue("node", &identity).unwrap();
        let openssl = |arguments: &[&str]| {
            let output =
                Command::new("openssl").args(arguments).current_dir(directory.path()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(openssl(&["verify", "-CAfile", "ca.crt", "node.crt"]), "node.crt: OK\n");
        let said = openssl(&["x509", "-in", "node.crt", "-noout", "-subject", "-ext", "subjectAltName"]);
        for word in ["CN = system:node:node1", "O = system:nodes", "DNS:node1", "IP Address:10.0.0.11"] {
            assert!(said.contains(word), "{word} in {said}");
        }
    }
}
