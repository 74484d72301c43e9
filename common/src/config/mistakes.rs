//! The wording of every complaint: which setting, where it came from, its value (unless secret), what is wrong, what
//! to do.

use std::fmt;

use super::key::{Setting, nearest, toml_string};
use super::sources::Origin;

const HIDDEN: &str = "(hidden)";

/// All that is wrong with a configuration; displays one mistake a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub(super) Vec<String>);

impl Mistakes {
    /// One sentence a mistake.
    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

pub(super) fn wrong(setting: &Setting, key: &str, text: &str, origin: &Origin, phrase: &str) -> String {
    let shown = shown(text, setting.secret);
    // A parser's error may quote what it was given.
    let phrase = if shown == text { phrase.to_owned() } else { phrase.replace(text, &shown) };
    let phrase = phrase.replace('\n', " ");
    let expected = match (setting.secret, setting.default) {
        (true, _) | (_, "") => setting.doc.to_owned(),
        (_, default) => format!("{}; the default is {}", setting.doc, toml_string(default)),
    };
    format!("{key} = {} (from {origin}): {phrase}. Expected: {expected}", toml_string(&shown))
}

pub(super) fn unknown(key: &str, origin: &Origin, table: &[Setting]) -> String {
    let advice = match nearest(key, table) {
        Some(near) => format!("did you mean {near}?"),
        None => "remove it, or see --help for what there is".to_owned(),
    };
    format!("unknown setting {key} (from {origin}); {advice}")
}

pub(super) fn twice(key: &str, first: &Origin, second: &Origin) -> String {
    format!("{key} is given twice, by {first} and by {second}; keep one")
}

pub(super) fn not_utf8(key: &str, origin: &Origin) -> String {
    format!("{key} (from {origin}) is not UTF-8; write it in UTF-8")
}

pub(super) fn undeclared(key: &str) -> String {
    format!("{key} is asked for but not declared; this is a mistake of the program, please report it")
}

/// `text` as it may be shown: nothing of a secret, nor of the user and password inside a URL. Hides too much rather
/// than too little, since the URL may be one that does not parse.
pub(super) fn shown(text: &str, secret: bool) -> String {
    if secret && !text.is_empty() {
        return HIDDEN.to_owned();
    }
    text.split("://").map(without_userinfo).collect::<Vec<_>>().join("://")
}

fn without_userinfo(authority: &str) -> String {
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    }
}
