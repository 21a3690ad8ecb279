//! TLS with rustls and ring, even if the application has linked in another provider.

use std::sync::Arc;

use fred::prelude::{TlsConfig, TlsConnector};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::ConnectError;

/// A configuration that trusts the authorities in `pem`, or those of the operating system.
pub(super) fn config(pem: Option<&[u8]>) -> Result<TlsConfig, ConnectError> {
    let roots = match pem {
        Some(pem) => given(pem)?,
        None => native()?,
    };
    // The provider is named here: the application may have installed another one.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

fn given(pem: &[u8]) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate
            .map_err(|_| ())
            .and_then(|certificate| roots.add(certificate).map_err(|_| ()));
        added.map_err(|()| {
            ConnectError::Tls(
                "the CA certificate is not valid PEM; give the text from BEGIN to END CERTIFICATE"
                    .into(),
            )
        })?;
    }
    if roots.is_empty() {
        return Err(ConnectError::Tls(
            "the CA certificate given holds none; give the text from BEGIN to END CERTIFICATE"
                .into(),
        ));
    }
    Ok(roots)
}

fn native() -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ConnectError::Tls(
            "this system has no certificate authorities; install them (ca-certificates), or name one \
             with ca_certificate_pem()"
                .into(),
        ));
    }
    Ok(roots)
}
