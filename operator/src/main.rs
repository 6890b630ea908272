//! `mergesearch-operator`.

use clap::Parser as _;
use mergesearch_operator::settings::Settings;

fn main() {
    let _settings = Settings::parse();
}
