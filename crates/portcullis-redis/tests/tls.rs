//! `rediss://`, with a certificate authority of one's own.
#![cfg(feature = "tls")]
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use portcullis_redis::{ConnectError, RedisStore, testing::TestServer};
use support::{create, healed, key, live};

/// A certificate authority and a certificate of it for `localhost`, in a directory of its own.
struct Authority(PathBuf);

impl Authority {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("portcullis-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let authority = Self(directory);
        fs::write(
            authority.0.join("names"),
            "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )
        .unwrap();
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        authority.openssl(
            &[
                &[
                    "req",
                    "-x509",
                    "-subj",
                    "/CN=test CA",
                    "-days",
                    "2",
                    "-keyout",
                    "ca.key",
                    "-out",
                    "ca.pem",
                ],
                &key[..],
            ]
            .concat(),
        );
        authority.openssl(
            &[
                &[
                    "req",
                    "-subj",
                    "/CN=localhost",
                    "-keyout",
                    "server.key",
                    "-out",
                    "server.csr",
                ],
                &key[..],
            ]
            .concat(),
        );
        authority.openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ]);
        authority
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.0)
            .output();
        let output = output.expect("this test needs the program openssl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn file(&self, name: &str) -> String {
        Path::new(&self.0).join(name).to_str().unwrap().to_owned()
    }

    fn pem(&self) -> Vec<u8> {
        fs::read(self.0.join("ca.pem")).unwrap()
    }

    /// A server that speaks TLS on a second port, and the address of that.
    fn server(&self) -> (TestServer, String) {
        self.server_with(&[])
    }

    fn server_with(&self, options: &[&str]) -> (TestServer, String) {
        let [certificate, key, authority] =
            ["server.pem", "server.key", "ca.pem"].map(|name| self.file(name));
        let mut all = vec![
            "--tls-port",
            "free",
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ];
        all.extend(options);
        let server = TestServer::start_with(&all);
        let url = format!("rediss://localhost:{}", server.tls_port());
        (server, url)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_kept_over_tls_and_the_connection_heals() {
    let authority = Authority::new("good");
    let (mut server, url) = authority.server();
    let store = RedisStore::builder(url)
        .ca_certificate_pem(authority.pem())
        .connect()
        .await
        .unwrap();
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
    server.kill();
    support::known_down(&store).await;
    server.restart();
    healed(&store).await;
    create(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_a_cluster_are_reached_over_tls_under_the_names_that_they_announce() {
    let authority = Authority::new("cluster");
    // Names are known to Redis 7 and later.
    let (server, url) = authority.server_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-announce-hostname",
        "localhost",
        "--cluster-preferred-endpoint-type",
        "hostname",
        // Else it names the port without TLS.
        "--tls-cluster",
        "yes",
    ]);
    let added = server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    assert_eq!(added.text(), "OK");
    while !server
        .cli(&["CLUSTER", "INFO"])
        .text()
        .contains("cluster_state:ok")
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The certificate is not for this address, so the first one leads nowhere.
    let port = url.rsplit(':').next().unwrap();
    let url = format!("rediss-cluster://127.0.0.1:{port}?node=localhost:{port}");
    let builder = RedisStore::builder(url).ca_certificate_pem(authority.pem());
    let store = builder.connect().await.unwrap();
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_no_trusted_authority_vouches_for_is_refused() {
    let (good, other) = (Authority::new("mine"), Authority::new("other"));
    let (_server, url) = good.server();
    let stranger = RedisStore::builder(&url)
        .ca_certificate_pem(other.pem())
        .connect()
        .await;
    assert!(
        matches!(stranger, Err(ConnectError::Certificate { .. })),
        "{stranger:?}"
    );
    let by_another_name = url.replace("localhost", "127.0.0.1");
    let misnamed = RedisStore::builder(by_another_name)
        .ca_certificate_pem(good.pem())
        .connect()
        .await;
    assert!(
        matches!(misnamed, Err(ConnectError::Certificate { .. })),
        "{misnamed:?}"
    );
    let plain = RedisStore::builder(url.replace("rediss", "redis"))
        .connect()
        .await;
    assert!(
        matches!(plain, Err(ConnectError::Unreachable { .. })),
        "{plain:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused() {
    for pem in [
        "",
        "not a certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = RedisStore::builder("rediss://localhost")
            .ca_certificate_pem(pem)
            .connect()
            .await;
        assert!(
            matches!(error, Err(ConnectError::Tls(_))),
            "{pem}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_tls_is_said_as_what_it_is() {
    let authority = Authority::new("kinds");
    let error = async |url: &str| {
        let builder = RedisStore::builder(url).ca_certificate_pem(authority.pem());
        builder.connect().await.unwrap_err()
    };
    let (server, url) = authority.server();
    let misnamed = error(&url.replace("localhost", "127.0.0.1")).await;
    assert!(
        misnamed.to_string().contains("not for this host"),
        "{misnamed}"
    );
    let untrusted = RedisStore::builder(&url).connect().await.unwrap_err();
    assert!(untrusted.to_string().contains("not trusted"), "{untrusted}");
    let without = error(&url.replace("rediss", "redis")).await;
    assert!(
        without.to_string().contains("begins with rediss"),
        "{without}"
    );
    let on_the_plain_port = format!("rediss://localhost:{}", server.port());
    let silent = error(&on_the_plain_port).await;
    assert!(
        silent.to_string().contains("speak TLS at this port"),
        "{silent}"
    );
    let (_server, url) = authority.server_with(&["--tls-auth-clients", "yes"]);
    let asked = error(&url).await;
    assert!(matches!(asked, ConnectError::Certificate { .. }), "{asked}");
    assert!(asked.to_string().contains("tls-auth-clients"), "{asked}");
}
