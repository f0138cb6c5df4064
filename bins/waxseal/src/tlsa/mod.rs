//! `waxseal tlsa`: the publishing side of DANE.

mod check;
mod generate;
mod narrate;

use crate::{
    rollover,
    terminal::{Status, Terminal},
};

/// Makes TLSA records, and looks after those that are published.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  waxseal tlsa generate --host mx.example.com fullchain.pem\n  waxseal tlsa check --days 7 example.com"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Generate(generate::Arguments),
    Check(check::Arguments),
    Rollover(Box<rollover::Arguments>),
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    match &arguments.action {
        Action::Generate(arguments) => generate::run(arguments, terminal),
        Action::Check(arguments) => check::run(arguments, terminal),
        Action::Rollover(arguments) => rollover::run(arguments, terminal),
    }
}
