use super::*;

fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let args = args.iter().map(|arg| (*arg).to_owned());
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut settings = Settings::read("tickwire-ingestor", "", &TABLES.concat(), &["edge"], args, env);
    let config = Config::read(&mut settings);
    settings.finish(config).map_err(|mistakes| mistakes.sentences().to_vec())
}

#[test]
fn nothing_runs_that_is_not_named() {
    let config = read(&[], &[("TICKWIRE_EDGE__LISTEN", "0.0.0.0:1")]).ok().unwrap();
    assert!(config.venues.is_empty());
    assert_eq!(config.admin_listen.port(), 9_091);
    assert_eq!(config.grace, Duration::from_secs(25));
}

#[test]
fn venues_are_read_from_environment_and_flags() {
    let env = [
        ("TICKWIRE_VENUES__BINANCE__SYMBOLS", "BTC/USDT, ETHUSDT"),
        ("TICKWIRE_VENUES__BINANCE__WS_URL", "ws://127.0.0.1:9900/binance/"),
    ];
    let config = read(&["--venues.kucoin.symbols", "all"], &env).ok().unwrap();
    let [binance, kucoin] = &config.venues[..] else { panic!("{} venues", config.venues.len()) };
    assert_eq!(binance.symbols, Symbols::Listed(vec!["BTC/USDT".to_owned(), "ETHUSDT".to_owned()]));
    assert_eq!(binance.ws_url.as_deref(), Some("ws://127.0.0.1:9900/binance"));
    assert_eq!(binance.rest_url, "https://data-api.binance.vision");
    assert_eq!((kucoin.venue.id(), &kucoin.symbols, &kucoin.ws_url), ("kucoin", &Symbols::All, &None));
}

#[test]
fn every_mistake_is_told_at_once() {
    let env = [
        ("TICKWIRE_VENUES__BINANCE__SYMBOLS", "demand"),
        ("TICKWIRE_VENUES__BINANCE__WS_URL", "http://127.0.0.1"),
        ("TICKWIRE_VENUES__BINANCE__REST_URL", "https://x/?a=b"),
        ("TICKWIRE_VENUES__KUCOIN__SYMBOLS", "BTC/USDT,,ETH/USDT"),
        ("TICKWIRE_VENUES__MTGOX__SYMBOLS", "all"),
        ("TICKWIRE_ADMIN__LISTEN", "here"),
    ];
    let mistakes = read(&[], &env).err().unwrap();
    let expected = [
        ("venues.binance.symbols", "is not possible yet"),
        ("venues.binance.ws_url", "begins with ws:// or wss://"),
        ("venues.binance.rest_url", "has a query"),
        ("venues.kucoin.symbols", "has an empty name"),
        ("venues.mtgox.symbols", "names no venue; the venues are binance, kucoin"),
        ("admin.listen", "invalid socket address"),
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (key, phrase) in expected {
        assert!(
            mistakes.iter().any(|mistake| mistake.starts_with(key) && mistake.contains(phrase)),
            "{mistakes:#?}"
        );
    }
}

#[test]
fn a_venue_needs_symbols() {
    let mistakes = read(&["--venues.binance.ws_url", "ws://127.0.0.1:1"], &[]).err().unwrap();
    assert!(
        mistakes[0].contains("venues.binance.symbols") && mistakes[0].contains("required"),
        "{mistakes:?}"
    );
}
