//! Every test goes through [`Settings::read`], as a main does; files are real files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

const TABLE: [Setting; 7] = [
    Setting::new("nats.url", "nats://127.0.0.1:4222", "Address of NATS, as nats://host:port"),
    Setting::new("nats.user", "", "User at NATS"),
    Setting::secret("nats.password", "Password of nats.user"),
    Setting::new("edge.listen", "0.0.0.0:8080", "Address for clients, as host:port"),
    Setting::new("edge.open_symbols", "false", "Whether any symbol may be asked for: true or false"),
    Setting::new("venues.*.symbols", "", "Symbols of the venue, comma separated"),
    Setting::new("venues.*.ws_url", "", "Origin of the venue's sockets"),
];

/// A file of its own that goes away with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn with(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tickwire-{}-{count}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_file(&self.0);
    }
}

fn settings(file: &str, env: &[(&str, &str)], args: &[&str]) -> Settings {
    let file = TempFile::with(file);
    let path = file.path();
    let args = ["--config", &path].into_iter().chain(args.iter().copied()).map(str::to_owned);
    let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Settings::read(
        "tickwire-test",
        "Tests",
        &TABLE,
        &["ingestor", "edge.echo"],
        args.collect::<Vec<_>>(),
        env,
    )
}

fn text_of(settings: &Settings, key: &str) -> String {
    settings.raw(key).unwrap().to_owned()
}

/// What is refused when nothing but the sources is wrong, with the file's own name taken out.
fn refused(file: &str, env: &[(&str, &str)], args: &[&str]) -> Vec<String> {
    match settings(file, env, args).build(|_| Some(())) {
        Outcome::Refuse(mistakes) => {
            mistakes.sentences().iter().map(|sentence| anonymous(sentence)).collect()
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn anonymous(text: &str) -> String {
    let directory = std::env::temp_dir().to_str().unwrap().to_owned();
    text.split(' ')
        .map(|word| match word.starts_with(&directory) {
            true => format!("FILE{}", &word[word.find(".toml").unwrap() + 5..]),
            false => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_stronger_source_wins() {
    let file = "[nats]\nurl = 'nats://file:1'";
    let env = [("TICKWIRE_NATS__URL", "nats://env:1")];
    let flag = ["--nats.url", "nats://flag:1"];
    let check = |file: &str, env: &[(&str, &str)], args: &[&str], expected: &str| {
        assert_eq!(text_of(&settings(file, env, args), "nats.url"), expected, "{file} {env:?} {args:?}");
    };
    check("", &[], &[], "nats://127.0.0.1:4222");
    check(file, &[], &[], "nats://file:1");
    check(file, &env, &[], "nats://env:1");
    check(file, &env, &flag, "nats://flag:1");
    check(file, &[], &["--nats.url=nats://flag:2"], "nats://flag:2");
}

#[test]
fn toml_scalars_and_lists_are_text() {
    let file = "venues.binance.symbols = ['BTC/USDT', 'ETH/USDT']\nedge.open_symbols = true\nnats.user = 7";
    let settings = settings(file, &[], &[]);
    assert_eq!(text_of(&settings, "venues.binance.symbols"), "BTC/USDT,ETH/USDT");
    assert_eq!(text_of(&settings, "edge.open_symbols"), "true");
    assert_eq!(text_of(&settings, "nats.user"), "7");
}

#[test]
fn one_name_under_a_wildcard_however_it_is_spelled() {
    let settings = settings(
        "[venues.binance_usdm]\nws_url = 'ws://file'",
        &[("TICKWIRE_VENUES__BINANCE_USDM__SYMBOLS", "BTC/USDT")],
        &["--venues.kucoin.symbols", "all"],
    );
    assert_eq!(settings.names_under("venues"), ["binance-usdm", "kucoin"]);
    assert_eq!(text_of(&settings, "venues.binance-usdm.symbols"), "BTC/USDT");
    assert_eq!(text_of(&settings, "venues.binance-usdm.ws_url"), "ws://file");
    assert_eq!(text_of(&settings, "venues.kucoin.ws_url"), "");
}

#[test]
fn every_mistake_is_told_at_once() {
    let file = "nats.urll = 'x'\nedge.listen = 2021-01-01\nedge.open_symbols = 'yes'";
    let env = [
        ("TICKWIRE_EDGE__LISSTEN", "0.0.0.0:1"),
        ("TICKWIRE_NATS_URL", "nats://forgot:1"),
        ("TICKWIRE_VENUES__BINANCE__SIMBOLS", "all"),
    ];
    let mut settings =
        settings(file, &env, &["--edge.listen", "nowhere", "--wholly.other", "1", "start", "--nats.user"]);
    let listen: Option<SocketAddr> = settings.get("edge.listen");
    let open: Option<bool> = settings.get("edge.open_symbols");
    let user: Option<String> = settings.get("nats.user");
    let told = settings.finish(listen.zip(open).zip(user)).unwrap_err().to_string();
    let expected = [
        "unexpected argument start; settings are given as --key value",
        "--nats.user has no value; write --nats.user=VALUE",
        "edge.listen (from file FILE) is a date; write it as a string",
        "unknown setting nats.urll (from file FILE); did you mean nats.url?",
        "unknown setting edge.lissten (from TICKWIRE_EDGE__LISSTEN); did you mean edge.listen?",
        "unknown setting nats_url (from TICKWIRE_NATS_URL); did you mean nats.url?",
        "unknown setting venues.binance.simbols (from TICKWIRE_VENUES__BINANCE__SIMBOLS); \
         did you mean venues.binance.symbols?",
        "unknown setting wholly.other (from --wholly.other); remove it, or see --help for what there is",
        "edge.listen = \"nowhere\" (from --edge.listen): invalid socket address syntax. \
         Expected: Address for clients, as host:port; the default is \"0.0.0.0:8080\"",
        "edge.open_symbols = \"yes\" (from file FILE): provided string was not `true` or `false`. \
         Expected: Whether any symbol may be asked for: true or false; the default is \"false\"",
        "nats.user = \"\" (from default): is required but empty. Expected: User at NATS",
    ];
    let told: Vec<String> = told.lines().map(anonymous).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_meaning_can_be_a_mistake_too() {
    let mut settings = settings("", &[], &["--edge.listen=127.0.0.1:1"]);
    settings.mistake("edge.listen", "is the port of NATS");
    let told = settings.finish(Some(())).unwrap_err();
    assert_eq!(told.sentences().len(), 1);
    assert!(told.to_string().starts_with(
        "edge.listen = \"127.0.0.1:1\" (from --edge.listen): is the port of NATS. Expected: Address for clients"
    ));
}

#[test]
fn what_belongs_to_others_is_ignored() {
    let env = [
        ("TICKWIRE_INGESTOR__SHARD", "3"),
        ("TICKWIRE_EDGE__ECHO", "true"),
        ("TICKWIRE_TEST_NATS_SERVER", "/usr/bin/nats-server"),
        ("TICKWIRE_NATS_SERVICE_HOST", "10.0.0.1"),
        ("TICKWIRE_NATS_SERVICE_PORT", "4222"),
        ("TICKWIRE_NATS_SERVICE_PORT_CLIENT", "4222"),
        ("TICKWIRE_NATS_PORT", "tcp://10.0.0.1:4222"),
        ("TICKWIRE_NATS_PORT_4222_TCP", "tcp://10.0.0.1:4222"),
        ("TICKWIRE_NATS_PORT_4222_TCP_PROTO", "tcp"),
        ("TICKWIRE_NATS_PORT_4222_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    assert_eq!(settings("ingestor.x = 1", &env, &[]).build(|_| Some(7)), Outcome::Run(7));
    let told =
        refused("", &[("TICKWIRE_INGESTORS__X", "1"), ("TICKWIRE_NATS_PORT", "4222")], &["--edge.echo=1"]);
    assert_eq!(told.len(), 3, "neighbours of the ignored names are not ignored: {told:?}");
}

#[test]
fn each_source_gives_a_setting_once() {
    let told = refused("", &[], &["--nats.url=a", "--nats.url", "b"]);
    assert_eq!(told, ["nats.url is given twice, by --nats.url and by --nats.url; keep one"]);
    let told = refused("venues.binance-usdm.symbols = 'a'\nvenues.binance_usdm.symbols = 'b'", &[], &[]);
    assert_eq!(told, ["venues.binance-usdm.symbols is given twice, by file FILE and by file FILE; keep one"]);
}

#[test]
fn files_that_cannot_be_used_are_mistakes() {
    let secret = "[nats]\nurl = 'a'\npassword = \"hunter2";
    let told = refused(secret, &[], &[]);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("FILE line 3 is not TOML: "), "{told:?}");
    assert!(!told[0].contains("hunter2"), "{told:?}");

    let told = refused("venues.a.symbols = ['a,b']\nvenues.b.symbols = [1]", &[], &[]);
    assert_eq!(told.len(), 2, "{told:?}");

    let gone = ["--config".to_owned(), "/nonexistent/tickwire.toml".to_owned()];
    let outcome = Settings::read("p", "a", &TABLE, &[], gone, []).build(|_| Some(()));
    let Outcome::Refuse(told) = outcome else { panic!("{outcome:?}") };
    assert!(told.to_string().starts_with("--config /nonexistent/tickwire.toml cannot be read: No such file"));
}

#[test]
fn secrets_are_never_shown() {
    let env = [
        ("TICKWIRE_NATS__PASSWORD", "hunter2"),
        ("TICKWIRE_NATS__URL", "nats://bob:hun,te/r3@a:1,nats://b:2"),
    ];
    let mut settings = settings("", &env, &["--check-config"]);
    let quoting = |text: &str| -> Result<(), String> { Err(format!("cannot use {text:?}")) };
    assert_eq!(settings.get_with("nats.password", quoting), None);
    assert_eq!(settings.get_with("nats.url", quoting), None);
    let in_force = settings.in_force();
    let told = settings.finish(Some(())).unwrap_err().to_string();
    assert!(
        in_force.contains("nats.password = \"(hidden)\"  # from TICKWIRE_NATS__PASSWORD\n"),
        "{in_force}"
    );
    assert!(in_force.contains("nats.url = \"nats://(hidden)@a:1,nats://b:2\""), "{in_force}");
    for text in [&in_force, &told] {
        for secret in ["hunter2", "bob", "hun", "r3"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(
        told.contains("nats.password = \"(hidden)\" (from TICKWIRE_NATS__PASSWORD): cannot use"),
        "{told}"
    );
}

#[test]
fn empty_is_none_and_never_the_default() {
    let mut settings = settings("", &[("TICKWIRE_EDGE__LISTEN", "")], &[]);
    assert_eq!(settings.get_optional::<String>("nats.user"), None);
    assert_eq!(settings.get::<SocketAddr>("edge.listen"), None);
    let told = settings.finish(Some(())).unwrap_err();
    assert_eq!(told.sentences().len(), 1);
    assert!(
        told.to_string()
            .starts_with("edge.listen = \"\" (from TICKWIRE_EDGE__LISTEN): is required but empty")
    );
}

#[test]
fn an_undeclared_key_is_a_mistake_of_the_program() {
    let mut settings = settings("", &[], &[]);
    assert_eq!(settings.get::<String>("edge.colour"), None);
    assert!(
        settings
            .finish(Some(()))
            .unwrap_err()
            .to_string()
            .starts_with("edge.colour is asked for but not declared")
    );
}

#[test]
fn the_arguments_can_ask_for_something_else() {
    let of =
        |args: &[&str]| settings("", &[], args).build(|settings| settings.get::<SocketAddr>("edge.listen"));
    assert_eq!(of(&["-V"]), Outcome::Print(format!("tickwire-test {}\n", env!("CARGO_PKG_VERSION"))));
    let Outcome::Print(help) = of(&["--help", "--wrong"]) else { panic!("help was refused") };
    for part in [
        "--nats.url <VALUE>",
        "--venues.<NAME>.symbols <VALUE>",
        "Address for clients, as host:port [default: 0.0.0.0:8080] [env: TICKWIRE_EDGE__LISTEN]",
        "TICKWIRE_VENUES__<NAME>__WS_URL",
        "--check-config",
    ] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    let Outcome::Print(checked) = of(&["--check-config", "--venues.kucoin.symbols=all"]) else { panic!() };
    assert!(checked.contains("edge.listen = \"0.0.0.0:8080\"  # from default\n"), "{checked}");
    assert!(
        checked.contains("venues.kucoin.symbols = \"all\"  # from --venues.kucoin.symbols\n"),
        "{checked}"
    );
    assert!(checked.contains("venues.kucoin.ws_url = \"\"  # from default\n"), "{checked}");
    assert!(matches!(of(&["--check-config", "--edge.listen=x"]), Outcome::Refuse(_)));
}

#[test]
fn what_is_not_utf8_is_refused_by_name() {
    let told = refused("", &[("TICKWIRE_NATS__USER", "b\u{FFFD}b")], &[]);
    assert_eq!(told, ["nats.user (from TICKWIRE_NATS__USER) is not UTF-8; write it in UTF-8"]);
}

proptest! {
    /// What `--check-config` prints is a file that gives the same settings, whatever is in them.
    #[test]
    fn settings_in_force_can_be_read_again(user in "[^@\u{FFFD}]*", name in "[a-z0-9][a-z0-9-]{0,8}", symbols in "[^@\u{FFFD}]*") {
        let args = [format!("--nats.user={user}"), format!("--venues.{name}.symbols={symbols}")];
        let first = settings("", &[], &args.each_ref().map(String::as_str));
        let again = settings(&first.in_force(), &[], &[]);
        prop_assert_eq!(&again.mistakes, &Vec::<String>::new());
        for key in ["nats.user", "edge.listen", &format!("venues.{name}.symbols")] {
            prop_assert_eq!(first.raw(key), again.raw(key));
        }
    }

    /// Whatever the arguments and the file, reading ends in mistakes and not in a panic.
    #[test]
    fn outside_text_never_panics(file in ".*", args in proptest::collection::vec("(--)?[a-z.*=@-]{0,12}|.*", 0..6)) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let settings = settings(&file, &[], &args);
        let mistakes = settings.mistakes.clone();
        prop_assert_eq!(settings.finish(Some(())).is_ok(), mistakes.is_empty());
    }
}
