//! Names of settings: dotted levels, and the same name as an environment variable. Keys are compared level by level,
//! `-` and `_` alike, because the environment has no `-`.

/// The prefix of every environment variable that is ours.
pub(super) const ENV_PREFIX: &str = "TICKWIRE_";

/// One row of a table of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Dotted, lower case, `_` inside a level; one level may be `*`, any name of `[a-z0-9-]`: `venues.*.symbols`.
    pub key: &'static str,
    /// The value when none is given; empty means none.
    pub default: &'static str,
    /// What it is, with its unit or form: ends up in `--help` and in every complaint about it.
    pub doc: &'static str,
    /// Never shown.
    pub secret: bool,
}

impl Setting {
    /// A setting anybody may see.
    #[must_use]
    pub const fn new(key: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self { key, default, doc, secret: false }
    }

    /// A setting whose value is never shown.
    #[must_use]
    pub const fn secret(key: &'static str, doc: &'static str) -> Self {
        Self { key, default: "", doc, secret: true }
    }

    /// The one spelling of `given` if it names this setting.
    pub(super) fn canonical(&self, given: &str) -> Option<String> {
        let own: Vec<&str> = self.key.split('.').collect();
        let given: Vec<&str> = given.split('.').collect();
        if own.len() != given.len() {
            return None;
        }
        let levels: Option<Vec<String>> =
            own.iter().zip(&given).map(|(own, given)| level(own, given)).collect();
        Some(levels?.join("."))
    }

    /// `venues` for `venues.*.symbols`.
    pub(super) fn level_above_wildcard(&self) -> Option<&'static str> {
        self.key.split_once(".*").map(|(level, _)| level)
    }

    /// The key with `name` for its `*`.
    pub(super) fn named(&self, name: &str) -> String {
        self.key.replace('*', name)
    }

    /// `TICKWIRE_NATS__URL` for `nats.url`; a `*` becomes `<NAME>`.
    pub(super) fn env_name(&self) -> String {
        let levels = self.key.to_ascii_uppercase().replace('.', "__").replace('*', "<NAME>");
        format!("{ENV_PREFIX}{levels}")
    }
}

fn level(own: &str, given: &str) -> Option<String> {
    if own == "*" {
        let name = given.replace('_', "-");
        let well_formed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        return (!name.is_empty() && name.bytes().all(well_formed)).then_some(name);
    }
    (own.replace('-', "_") == given.replace('-', "_")).then(|| own.to_owned())
}

/// Whether `key` is one of `prefixes` or lies below one.
pub(super) fn is_under(key: &str, prefixes: &[&str]) -> bool {
    let key = key.replace('-', "_");
    prefixes.iter().any(|prefix| {
        let rest = key.strip_prefix(&prefix.replace('-', "_"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// The key of the table that `given` was probably meant to be.
pub(super) fn nearest(given: &str, table: &[Setting]) -> Option<String> {
    let given = given.replace('-', "_");
    let candidates = table.iter().map(|setting| alike(setting.key, &given));
    let nearest = candidates.map(|key| (distance(&given, &key.replace('-', "_")), key)).min()?;
    // Three slips, but never half of the word.
    (nearest.0 <= 3 && nearest.0 * 2 < given.len()).then_some(nearest.1)
}

/// `key` with the level that `given` has in place of the `*`.
fn alike(key: &str, given: &str) -> String {
    let position = key.split('.').position(|level| level == "*");
    match position.and_then(|position| given.split('.').nth(position)) {
        Some(name) => key.replace('*', &name.replace('_', "-")),
        None => key.to_owned(),
    }
}

/// Levenshtein's: insertions, removals and exchanges of a character that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (to, costs) in b.iter().zip(row.windows(2)) {
            let &[exchange, remove] = costs else { continue };
            let insert = next.last().map_or(usize::MAX, |cost| cost + 1);
            next.push((exchange + usize::from(from != *to)).min(remove + 1).min(insert));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// `text` as a basic string of <https://toml.io/en/v1.0.0#string>.
pub(super) fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted += &format!("\\u{:04X}", u32::from(control)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
