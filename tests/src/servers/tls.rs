//! TLS in front of a server that has none, as a proxy in front of a host.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::workspace_root;

/// Takes TLS connections to `localhost` and passes on what is in them. Dropping it ends it.
pub struct TlsFront {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    /// Starts on a free port, in front of the server at `behind`, with the certificate of `tests/tls`.
    ///
    /// # Panics
    /// When the certificate cannot be used, or no port is free.
    pub async fn start(behind: &str) -> Self {
        let acceptor = acceptor();
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let behind = behind.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate ends here.
                    let Ok(mut outer) = acceptor.accept(stream).await else {
                        return;
                    };
                    if let Ok(mut inner) = TcpStream::connect(&behind).await {
                        let _ = copy_bidirectional(&mut outer, &mut inner).await;
                    }
                });
            }
        });
        Self { address, accepting }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The file of the authority that signed its certificate.
    pub fn authority() -> PathBuf {
        workspace_root().join("tests/tls/authority.pem")
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// TLS with the certificate of `tests/tls`, for `localhost` and `127.0.0.1`.
pub(super) fn acceptor() -> TlsAcceptor {
    let files = workspace_root().join("tests/tls");
    let certificate = CertificateDer::from_pem_file(files.join("server.pem"));
    let key = PrivateKeyDer::from_pem_file(files.join("server.key"));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.expect("a certificate of the tests")],
            key.expect("a key of the tests"),
        )
        .expect("the two belong together");
    TlsAcceptor::from(Arc::new(config))
}
