//! Where NATS is and how we prove who we are. Turns the settings below `nats.` into options of the client library;
//! opens no socket.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr;

use async_nats::{ConnectOptions, ServerAddr};
use tickwire_common::config::{Setting, Settings};

use crate::connect::ConnectError;

/// Address of NATS when none is given.
pub const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// Default of `log.filter`: the client library logs a line an attempt while NATS is away, as an error where a peer takes
/// the connection and drops it; this crate says it once.
pub const LOG_FILTER: &str = "info,async_nats=warn,async_nats::connector=off";

/// The settings that [`NatsConfig::from_settings`] reads.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "nats.url",
        DEFAULT_URL,
        "NATS servers, nats://host:port or tls://host:port, comma-separated",
    ),
    Setting::new("nats.user", "", "User at NATS; needs nats.password"),
    Setting::secret("nats.password", "Password of nats.user"),
    Setting::secret("nats.token", "Token for NATS, where it knows tokens instead of users"),
    Setting::new("nats.credentials_file", "", "A .creds file: a signed NATS user and its key"),
    Setting::new("nats.tls_ca", "", "PEM file of the authorities to trust for NATS instead of the system's"),
    Setting::new("nats.tls_cert", "", "PEM file of our certificate for NATS; needs nats.tls_key"),
    Setting::new("nats.tls_key", "", "PEM file of the key of nats.tls_cert"),
    Setting::new("nats.tls_required", "false", "Refuse to speak to NATS without TLS: true or false"),
    Setting::new(
        "nats.replicas",
        "1",
        "NATS servers that keep each stream and bucket, 1 to 5; 3 in a cluster",
    ),
];

/// Where NATS is and how we prove who we are. `Debug` hides the secrets.
#[derive(Clone)]
pub struct NatsConfig {
    /// Servers, `nats://host:port` or `tls://host:port`.
    pub urls: Vec<String>,
    /// User name; needs `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<String>,
    /// Token, where the server knows tokens instead of users.
    pub token: Option<String>,
    /// A `.creds` file: a signed user and its key. Read once, when connecting begins.
    pub credentials_file: Option<PathBuf>,
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// PEM file with our certificate; needs `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// Refuse to speak without TLS, even to a server that offers none.
    pub tls_required: bool,
    /// On how many servers streams and buckets are kept: 1 to 5.
    pub replicas: u32,
}

impl Default for NatsConfig {
    /// One local server without authentication.
    fn default() -> Self {
        Self {
            urls: vec![DEFAULT_URL.to_owned()],
            user: None,
            password: None,
            token: None,
            credentials_file: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            tls_required: false,
            replicas: 1,
        }
    }
}

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "hidden");
        f.debug_struct("NatsConfig")
            .field("urls", &self.urls)
            .field("user", &self.user)
            .field("password", &hidden(&self.password))
            .field("token", &hidden(&self.token))
            .field("credentials_file", &self.credentials_file)
            .field("tls_ca", &self.tls_ca)
            .field("tls_cert", &self.tls_cert)
            .field("tls_required", &self.tls_required)
            .finish_non_exhaustive()
    }
}

impl NatsConfig {
    /// A server without authentication.
    pub fn at(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }

    /// Reads the settings below `nats.`, collecting every mistake; `None` when there is one. Files are opened, to see
    /// that they can be; no socket is.
    pub fn from_settings(settings: &mut Settings) -> Option<Self> {
        let urls = settings.get_with("nats.url", read_urls);
        let tls_required = settings.get("nats.tls_required");
        let replicas = settings.get_with("nats.replicas", |text| {
            text.parse().ok().filter(|n| (1..=5).contains(n)).ok_or_else(|| "is not 1 to 5".to_owned())
        });
        let config = Self {
            user: settings.get_optional("nats.user"),
            password: settings.get_optional("nats.password"),
            token: settings.get_optional("nats.token"),
            credentials_file: settings.get_optional_with("nats.credentials_file", readable),
            tls_ca: settings.get_optional_with("nats.tls_ca", readable),
            tls_cert: settings.get_optional_with("nats.tls_cert", readable),
            tls_key: settings.get_optional_with("nats.tls_key", readable),
            ..Self::default()
        };
        config.check_together(settings);
        Some(Self { urls: urls?, tls_required: tls_required?, replicas: replicas?, ..config })
    }

    fn check_together(&self, settings: &mut Settings) {
        let given = |settings: &Settings, key: &str| settings.raw(key).is_some_and(|text| !text.is_empty());
        for (one, other) in [("nats.user", "nats.password"), ("nats.tls_cert", "nats.tls_key")] {
            match (given(settings, one), given(settings, other)) {
                (true, false) => settings.mistake(other, &format!("is needed beside {one}")),
                (false, true) => settings.mistake(one, &format!("is needed beside {other}")),
                _ => {}
            }
        }
        let ways = ["nats.user", "nats.token", "nats.credentials_file"].map(|key| given(settings, key));
        if ways.into_iter().filter(|way| *way).count() > 1 {
            let phrase =
                "is one way too many: use only one of nats.user, nats.token and nats.credentials_file";
            settings.mistake(if ways[2] { "nats.credentials_file" } else { "nats.token" }, phrase);
        }
    }

    pub(crate) fn servers(&self) -> Result<Vec<ServerAddr>, ConnectError> {
        if self.urls.is_empty() {
            return Err(ConnectError::Url("names no server".to_owned()));
        }
        self.urls.iter().map(|url| parse_url(url).map_err(ConnectError::Url)).collect()
    }

    /// The servers as `host:port` for a log line; never a secret.
    pub(crate) fn describe(servers: &[ServerAddr]) -> String {
        let hosts: Vec<String> = servers.iter().map(|s| format!("{}:{}", s.host(), s.port())).collect();
        hosts.join(", ")
    }

    pub(crate) async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let mut options = ConnectOptions::new();
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(token) = &self.token {
            options = options.token(token.clone());
        }
        if let Some(path) = &self.credentials_file {
            let bad = |source| ConnectError::Credentials { path: path.clone(), source };
            options = options.credentials_file(path).await.map_err(bad)?;
        }
        if let Some(ca) = &self.tls_ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        Ok(options.require_tls(self.tls_required))
    }
}

fn read_urls(text: &str) -> Result<Vec<String>, String> {
    let urls: Vec<String> = text.split(',').map(|url| url.trim().to_owned()).collect();
    urls.iter().try_for_each(|url| parse_url(url).map(|_| ()))?;
    Ok(urls)
}

fn readable(path: &str) -> Result<PathBuf, String> {
    File::open(path).map(|_| path.into()).map_err(|error| format!("cannot be read: {error}"))
}

/// An address, or the phrase that says what is wrong with it; the phrase holds no secret.
fn parse_url(url: &str) -> Result<ServerAddr, String> {
    let server = ServerAddr::from_str(url).map_err(|error| format!("is not an address: {error}"))?;
    if server.host().is_empty() {
        return Err("names no host".to_owned());
    }
    if server.is_websocket() {
        return Err("is a WebSocket address; Tickwire speaks nats:// and tls://".to_owned());
    }
    if server.has_user_pass() {
        return Err("holds a user; give it in nats.user and nats.password, which are never logged".to_owned());
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<NatsConfig, Vec<String>> {
        let args = args.iter().map(|arg| (*arg).to_owned());
        let mut settings = Settings::read("test", "", SETTINGS, &[], args, []);
        let config = NatsConfig::from_settings(&mut settings);
        settings.finish(config).map_err(|mistakes| mistakes.sentences().to_vec())
    }

    #[test]
    fn nothing_given_is_a_local_server() {
        let config = read(&[]).unwrap();
        assert_eq!(config.urls, [DEFAULT_URL]);
        assert_eq!((config.replicas, config.tls_required, config.user), (1, false, None));
    }

    #[test]
    fn everything_given_is_taken() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let urls = "nats://a:4222, tls://b";
        let args = ["--nats.url", urls, "--nats.user", "ann", "--nats.password", "s", "--nats.tls_ca", file];
        let config = read(&args).unwrap();
        assert_eq!(config.urls, ["nats://a:4222", "tls://b"]);
        assert_eq!((config.user.as_deref(), config.tls_ca), (Some("ann"), Some(file.into())));
        assert!(!format!("{:?}", read(&args).unwrap()).contains("\"s\""), "the password is hidden");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let mistakes = read(&[
            "--nats.url",
            "http://a",
            "--nats.user",
            "ann",
            "--nats.token",
            "opensesame",
            "--nats.tls_key",
            "/nowhere",
            "--nats.replicas",
            "9",
        ])
        .unwrap_err();
        for (key, phrase) in [
            ("nats.url", "is not an address: invalid scheme"),
            ("nats.password", "is needed beside nats.user"),
            ("nats.token", "is one way too many"),
            ("nats.tls_key", "cannot be read"),
            ("nats.tls_cert", "is needed beside nats.tls_key"),
            ("nats.replicas", "is not 1 to 5"),
        ] {
            let told = mistakes.iter().any(|text| text.starts_with(key) && text.contains(phrase));
            assert!(told, "{key}: {phrase}: {mistakes:#?}");
        }
        assert_eq!(mistakes.len(), 6, "{mistakes:#?}");
    }

    #[test]
    fn a_user_in_the_address_is_refused_without_showing_it() {
        let mistakes = read(&["--nats.url", "nats://ann:secret@a"]).unwrap_err();
        assert!(mistakes[0].contains("nats.user and nats.password"), "{mistakes:?}");
        assert!(!mistakes[0].contains("secret"), "{mistakes:?}");
    }
}
