//! The command line as it may be shown: what looks like a secret is left out. Flags of this program hold none, but
//! addresses may.

/// Words in names of flags and query parameters whose values are never shown.
const SECRET_WORDS: [&str; 7] = ["token", "password", "secret", "key", "auth", "credential", "jwt"];

/// What stands in its place.
const HIDDEN: &str = "***";

/// One line that a shell takes, from the words of the command line, program first.
pub(crate) fn shown(words: impl Iterator<Item = String>) -> String {
    let mut hide_next = false;
    let mut line = Vec::new();
    for (at, word) in words.enumerate() {
        // Where the program lies is nobody's business.
        let name = word.rsplit('/').next().unwrap_or_default().to_owned();
        let word = if at == 0 { name } else { word };
        line.push(if std::mem::take(&mut hide_next) {
            HIDDEN.to_owned()
        } else {
            quoted(&without_secrets(&word))
        });
        hide_next = word.starts_with("--") && !word.contains('=') && is_secret(&word);
    }
    line.join(" ")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn without_secrets(word: &str) -> String {
    if let Some((flag, _)) =
        word.split_once('=').filter(|(flag, _)| flag.starts_with("--") && is_secret(flag))
    {
        return format!("{flag}={HIDDEN}");
    }
    let (address, query) = word.split_once('?').unwrap_or((word, ""));
    let mut shown = without_user(address);
    for (at, pair) in query.split('&').enumerate().filter(|_| word.contains('?')) {
        shown.push(if at == 0 { '?' } else { '&' });
        match pair.split_once('=').filter(|(name, _)| is_secret(name)) {
            Some((name, _)) => shown.extend([name, "=", HIDDEN]),
            None => shown.push_str(pair),
        }
    }
    shown
}

/// Lists of addresses, each without user and password.
fn without_user(addresses: &str) -> String {
    let one = |address: &str| match address.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.find('/').unwrap_or(rest.len());
            match rest.get(..authority).and_then(|authority| authority.rfind('@')) {
                Some(at) => format!("{scheme}://{HIDDEN}{}", rest.get(at..).unwrap_or_default()),
                None => address.to_owned(),
            }
        }
        None => address.to_owned(),
    };
    addresses.split(',').map(one).collect::<Vec<_>>().join(",")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@+%*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> String {
        shown(words.split(' ').map(str::to_owned))
    }

    #[test]
    fn what_is_no_secret_stays() {
        let words = "clients --url ws://h:1/v1/stream --symbols binance:BTC/USDT,@x.txt --threshold p99=50ms";
        assert_eq!(
            line(&format!("/usr/bin/tickwire-loadtest {words}")),
            format!("tickwire-loadtest {words}")
        );
        assert_eq!(shown(["a", "b c", "d'e", ""].map(str::to_owned).into_iter()), "a 'b c' 'd'\\''e' ''");
    }

    #[test]
    fn secrets_go() {
        for (words, expected) in [
            ("x --nats nats://ann:pw@h:4222,nats://bob:pw@i", "x --nats nats://***@h:4222,nats://***@i"),
            ("x --url ws://h/v1?token=abc&numbers=string", "x --url 'ws://h/v1?token=***&numbers=string'"),
            ("x --api-token abc --next", "x --api-token *** --next"),
            ("x --password=abc", "x --password=***"),
            ("x --url ws://h/?a=1&AccessKey=2", "x --url 'ws://h/?a=1&AccessKey=***'"),
        ] {
            assert_eq!(line(words), expected);
        }
    }
}
