use super::*;
use crate::venue::contract::Kind;

fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let args = args.iter().map(|arg| (*arg).to_owned());
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut settings = Settings::read("tickwire-ingestor", "", &TABLES.concat(), &["edge"], args, env);
    let config = Config::read(&mut settings);
    settings.finish(config).map_err(|mistakes| mistakes.sentences().to_vec())
}

/// The mistakes are these, each told of its setting.
fn check_mistakes(env: &[(&str, &str)], expected: &[(&str, &str)]) {
    let mistakes = read(&[], env).err().unwrap();
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (key, phrase) in expected {
        assert!(
            mistakes.iter().any(|mistake| mistake.starts_with(key) && mistake.contains(phrase)),
            "{key} {phrase}: {mistakes:#?}"
        );
    }
}

#[test]
fn nothing_runs_that_is_not_named() {
    let config = read(&[], &[("TICKWIRE_EDGE__LISTEN", "0.0.0.0:1")]).ok().unwrap();
    assert!(config.venues.is_empty());
    assert_eq!(config.admin_listen.port(), 9_091);
    assert_eq!(config.grace, Duration::from_secs(25));
    assert_eq!(config.budget_address, "shared");
}

#[test]
fn venues_are_read_from_environment_and_flags() {
    let env = [
        ("TICKWIRE_VENUES__BINANCE__SYMBOLS", "BTC/USDT, ETHUSDT"),
        ("TICKWIRE_VENUES__BINANCE__WS_URL", "ws://127.0.0.1:9900/binance/"),
    ];
    let config = read(&["--venues.kucoin.symbols", "all"], &env).ok().unwrap();
    let [binance, kucoin] = &config.venues[..] else { panic!("{} venues", config.venues.len()) };
    let listed = Symbols::Listed(vec!["BTC/USDT".to_owned(), "ETHUSDT".to_owned()]);
    assert_eq!(binance.selection.symbols, listed);
    assert_eq!(binance.ws_url.as_deref(), Some("ws://127.0.0.1:9900/binance"));
    assert_eq!(binance.rest_url, "https://data-api.binance.vision");
    assert_eq!(
        (kucoin.venue.id(), &kucoin.selection.symbols, &kucoin.ws_url),
        ("kucoin", &Symbols::All, &None)
    );
}

#[test]
fn what_is_not_said_comes_from_the_venue() {
    let config = read(&["--venues.kucoin.symbols", "demand"], &[]).ok().unwrap();
    let kucoin = &config.venues[0];
    assert_eq!(kucoin.selection.symbols, Symbols::Demand);
    assert!(kucoin.selection.filter.is_empty());
    assert_eq!((kucoin.shards, kucoin.symbols_per_socket), (16, 130));
    let seconds = [kucoin.refresh, kucoin.socket_lifetime, kucoin.linger, kucoin.stale_after];
    assert_eq!(seconds.map(|time| time.as_secs()), [300, 86_400, 30, 30]);
}

#[test]
fn filters_limits_and_times_are_read() {
    let env = [
        ("TICKWIRE_VENUES__BINANCE__SYMBOLS", "all"),
        ("TICKWIRE_VENUES__BINANCE__QUOTE", "USDT, USDC"),
        ("TICKWIRE_VENUES__BINANCE__KIND", "spot,swap"),
        ("TICKWIRE_VENUES__BINANCE__MATCH", "^(BTC|ETH)/"),
        ("TICKWIRE_VENUES__BINANCE__TOP", "50"),
        ("TICKWIRE_VENUES__BINANCE__SYMBOLS_KEY", "app.watch"),
        ("TICKWIRE_VENUES__BINANCE__TOPICS_PER_SOCKET", "1024"),
        ("TICKWIRE_VENUES__BINANCE__SOCKET_LIFETIME_SECONDS", "30"),
        ("TICKWIRE_VENUES__BINANCE__SHARDS", "1"),
        ("TICKWIRE_BUDGET__ADDRESS", "node-7.zone"),
    ];
    let config = read(&[], &env).ok().unwrap();
    let binance = &config.venues[0];
    let filter = &binance.selection.filter;
    assert_eq!(filter.quotes, ["USDT", "USDC"]);
    assert_eq!(filter.kinds, [Kind::Spot, Kind::Perpetual]);
    assert_eq!(filter.matching.as_ref().map(regex::Regex::as_str), Some("^(BTC|ETH)/"));
    assert_eq!(filter.top.map(usize::from), Some(50));
    assert_eq!(binance.selection.key.as_deref(), Some("app.watch"));
    assert_eq!((binance.symbols_per_socket, binance.shards), (341, 1));
    assert_eq!(binance.socket_lifetime, Duration::from_secs(30));
    assert_eq!(config.budget_address, "node-7.zone");
}

#[test]
fn a_file_or_a_key_is_enough() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for args in [["--venues.kucoin.symbols_file", file], ["--venues.kucoin.symbols_key", "app"]] {
        let config = read(&args, &[]).ok().unwrap();
        assert_eq!(config.venues[0].selection.symbols, Symbols::Listed(Vec::new()));
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    check_mistakes(
        &[
            ("TICKWIRE_VENUES__BINANCE__SYMBOLS", "all"),
            ("TICKWIRE_VENUES__BINANCE__WS_URL", "http://127.0.0.1"),
            ("TICKWIRE_VENUES__BINANCE__REST_URL", "https://x/?a=b"),
            ("TICKWIRE_VENUES__BINANCE__TOP", "0"),
            ("TICKWIRE_VENUES__BINANCE__KIND", "perp"),
            ("TICKWIRE_VENUES__BINANCE__MATCH", "(BTC"),
            ("TICKWIRE_VENUES__BINANCE__TOPICS_PER_SOCKET", "1025"),
            ("TICKWIRE_VENUES__BINANCE__SOCKET_LIFETIME_SECONDS", "90000"),
            ("TICKWIRE_VENUES__BINANCE__SHARDS", "1025"),
            ("TICKWIRE_VENUES__KUCOIN__SYMBOLS", "BTC/USDT,,ETH/USDT"),
            ("TICKWIRE_VENUES__KUCOIN__TOPICS_PER_SOCKET", "1"),
            ("TICKWIRE_VENUES__KUCOIN__REFRESH_SECONDS", "29"),
            ("TICKWIRE_VENUES__KUCOIN__SYMBOLS_FILE", "/nonexistent/list"),
            ("TICKWIRE_VENUES__KUCOIN__SYMBOLS_KEY", "app.*"),
            ("TICKWIRE_VENUES__MTGOX__SYMBOLS", "all"),
            ("TICKWIRE_ADMIN__LISTEN", "here"),
            ("TICKWIRE_BUDGET__ADDRESS", "node 1"),
        ],
        &[
            ("venues.binance.ws_url", "begins with ws:// or wss://"),
            ("venues.binance.rest_url", "has a query"),
            ("venues.binance.top", "is not a whole number above 0"),
            ("venues.binance.kind", "has the kind perp, and the kinds are spot, swap and future"),
            ("venues.binance.match", "unclosed group"),
            ("venues.binance.topics_per_socket", "limit of binance, which allows 1024 topics a socket"),
            ("venues.binance.socket_lifetime_seconds", "limit of binance, which cuts sockets after 86400 s"),
            ("venues.binance.shards", "is not within 1 to 1024"),
            ("venues.kucoin.symbols ", "has an empty name"),
            ("venues.kucoin.topics_per_socket", "kucoin needs 2 topics for each"),
            ("venues.kucoin.refresh_seconds", "is not within 30 to 86400"),
            ("venues.kucoin.symbols_file", "cannot be read: No such file"),
            ("venues.kucoin.symbols_key", "is not a key"),
            ("venues.mtgox.symbols", "names no venue; the venues are binance, kucoin"),
            ("admin.listen", "invalid socket address"),
            ("budget.address", "is not a name"),
        ],
    );
}

#[test]
fn a_venue_needs_symbols() {
    check_mistakes(
        &[("TICKWIRE_VENUES__BINANCE__WS_URL", "ws://127.0.0.1:1")],
        &[("venues.binance.symbols", "is required, unless symbols_file or symbols_key is given")],
    );
}

#[test]
fn a_filter_of_a_list_is_a_mistake() {
    let idle = "symbols is neither all nor demand";
    check_mistakes(
        &[
            ("TICKWIRE_VENUES__BINANCE__SYMBOLS", "BTC/USDT"),
            ("TICKWIRE_VENUES__BINANCE__QUOTE", "USDT"),
            ("TICKWIRE_VENUES__BINANCE__TOP", "5"),
            ("TICKWIRE_VENUES__KUCOIN__SYMBOLS_KEY", "app"),
            ("TICKWIRE_VENUES__KUCOIN__MATCH", "BTC"),
        ],
        &[("venues.binance.quote", idle), ("venues.binance.top", idle), ("venues.kucoin.match", idle)],
    );
}
