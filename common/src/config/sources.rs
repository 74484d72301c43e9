//! Where settings come from: arguments, a TOML file, the environment. Each gives key, text and origin; whether such
//! a key exists is not known here.

use std::fmt;
use std::path::Path;

use super::key::ENV_PREFIX;

/// Variables below this prefix belong to test harnesses.
const TEST_PREFIX: &str = "TICKWIRE_TEST_";

/// Values and mistakes, weakest source first.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) found: Vec<Found>,
    pub(super) mistakes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File(String),
    Variable(String),
    Flag(String),
}

/// What the arguments ask for; help and version carry the text once it is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Run,
    Check,
    Help(String),
    Version(String),
}

#[derive(Debug)]
pub(super) struct Flags {
    pub(super) request: Request,
    pub(super) file: Option<String>,
    pub(super) found: Vec<Found>,
}

impl Origin {
    pub(super) fn same_source(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// `--key value` or `--key=value`; anything else is a mistake.
pub(super) fn arguments(args: impl IntoIterator<Item = String>, gathered: &mut Gathered) -> Flags {
    let mut flags = Flags { request: Request::Run, file: None, found: Vec::new() };
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" | "-h" => flags.request = Request::Help(String::new()),
            "--version" | "-V" => flags.request = Request::Version(String::new()),
            "--check-config" if flags.request == Request::Run => flags.request = Request::Check,
            "--check-config" => {}
            _ => {
                let Some(flag) = arg.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
                    gathered
                        .mistakes
                        .push(format!("unexpected argument {arg}; settings are given as --key value"));
                    continue;
                };
                let (name, text) = match flag.split_once('=') {
                    Some((name, text)) => (name, Some(text.to_owned())),
                    None => (flag, args.next_if(|next| !next.starts_with("--"))),
                };
                flags.take(name, text, gathered);
            }
        }
    }
    flags
}

impl Flags {
    fn take(&mut self, name: &str, text: Option<String>, gathered: &mut Gathered) {
        let Some(text) = text else {
            gathered.mistakes.push(format!("--{name} has no value; write --{name}=VALUE"));
            return;
        };
        if name != "config" {
            let origin = Origin::Flag(name.to_owned());
            self.found.push(Found { key: name.to_owned(), text, origin });
        } else if let Some(first) = self.file.replace(text) {
            gathered.mistakes.push(format!("--config is given twice, first as {first}; keep one"));
        }
    }
}

/// Every value of the TOML file at `path`; tables are levels.
pub(super) fn file(path: &str, gathered: &mut Gathered) {
    let text = match std::fs::read_to_string(Path::new(path)) {
        Ok(text) => text,
        Err(error) => {
            gathered.mistakes.push(format!("--config {path} cannot be read: {error}"));
            return;
        }
    };
    match text.parse::<toml::Table>() {
        Ok(table) => walk(path, "", table, gathered),
        Err(error) => gathered.mistakes.push(syntax(path, &text, &error)),
    }
}

/// Line and message only: the line itself may hold a secret.
fn syntax(path: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("{path} line {line} is not TOML: {}", error.message().replace('\n', " "))
}

fn walk(path: &str, above: &str, table: toml::Table, gathered: &mut Gathered) {
    for (name, value) in table {
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        if let toml::Value::Table(inner) = value {
            walk(path, &key, inner, gathered);
            continue;
        }
        match scalar(value) {
            Ok(text) => gathered.found.push(Found { key, text, origin: Origin::File(path.to_owned()) }),
            Err(phrase) => gathered.mistakes.push(format!("{key} (from file {path}) {phrase}")),
        }
    }
}

fn scalar(value: toml::Value) -> Result<String, &'static str> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        toml::Value::Array(items) => list(items),
        toml::Value::Datetime(_) | toml::Value::Table(_) => Err("is a date; write it as a string"),
    }
}

fn list(items: Vec<toml::Value>) -> Result<String, &'static str> {
    let texts: Option<Vec<String>> = items
        .into_iter()
        .map(|item| match item {
            toml::Value::String(text) if !text.contains(',') => Some(text),
            _ => None,
        })
        .collect();
    texts.map(|texts| texts.join(",")).ok_or("is a list of something else than strings without a comma")
}

/// Every variable below the prefix but those of tests and of Kubernetes.
pub(super) fn environment(env: impl IntoIterator<Item = (String, String)>, gathered: &mut Gathered) {
    let mut found: Vec<Found> = env
        .into_iter()
        .filter(|(name, value)| !name.starts_with(TEST_PREFIX) && !is_service_link(name, value))
        .filter_map(|(name, text)| {
            let key = name.strip_prefix(ENV_PREFIX)?.to_ascii_lowercase().replace("__", ".");
            Some(Found { key, text, origin: Origin::Variable(name) })
        })
        .collect();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    gathered.found.append(&mut found);
}

/// Kubernetes describes each Service of a namespace to each pod, so a Service called tickwire-edge shows up as
/// TICKWIRE_EDGE_SERVICE_HOST, TICKWIRE_EDGE_PORT=tcp://..., TICKWIRE_EDGE_PORT_8080_TCP_ADDR and so on:
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
fn is_service_link(name: &str, value: &str) -> bool {
    let of_port = |(_, rest): (&str, &str)| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    };
    // Our own names have two levels, hence `__`.
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
            || (name.ends_with("_PORT") && value.contains("://"))
            || name.rsplit_once("_PORT_").is_some_and(of_port))
}
