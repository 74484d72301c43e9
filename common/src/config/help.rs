//! `--help` and `--version`, laid out by clap from the table. Clap does not parse: it stops at the first mistake,
//! and has no flags with a name inside (`--venues.binance.symbols`).

use clap::{Arg, Command};

use super::key::Setting;

pub(super) fn help(program: &str, about: &str, table: &[Setting]) -> String {
    let switches = [
        Arg::new("config").long("config").value_name("FILE").help("TOML file with any of the settings below"),
        Arg::new("check-config")
            .long("check-config")
            .num_args(0)
            .help("Print the settings in force and their sources, then leave; status 2 if any is wrong"),
    ];
    let settings = table.iter().map(|setting| {
        Arg::new(setting.key)
            .long(setting.named("<NAME>"))
            .value_name("VALUE")
            .help_heading("Settings")
            .help(describe(setting))
    });
    Command::new(program.to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .about(about.to_owned())
        .after_help("A flag is stronger than the environment, and that than the file. Exit status: 0 ended as asked, 1 failed, 2 wrong configuration.")
        .args(switches)
        .args(settings)
        .next_line_help(true)
        .render_help()
        .to_string()
}

pub(super) fn version(program: &str) -> String {
    format!("{program} {}\n", env!("CARGO_PKG_VERSION"))
}

fn describe(setting: &Setting) -> String {
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    format!("{}{default} [env: {}]", setting.doc, setting.env_name())
}
