//! `waxseal`: the operator's command. Arguments in, one module for each command, an exit status out.

mod api;
mod check;
mod conclude;
mod demo;
mod destinations;
mod doctor;
mod explain;
mod findings;
mod health;
mod ledger;
mod letter;
mod lookup;
mod narrate;
mod policy;
mod queue;
mod rollover;
mod send;
mod serve;
mod settings;
mod spool;
mod story;
mod submit;
mod table;
mod terminal;
mod tlsa;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::terminal::{Status, Terminal};

/// The operator's command of Waxseal: asks what would happen, sees what waits, sends a message.
#[derive(Debug, Parser)]
#[command(
    name = "waxseal",
    version,
    propagate_version = true,
    after_help = "Exit status: 0 done, 1 the answer is no, 64 wrong usage, 75 try again later, 78 wrong configuration.\n\n\
                  Example:\n  waxseal check --config /etc/postfix/main.cf"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Policy(policy::Arguments),
    ServePolicy(serve::Arguments),
    Send(send::Arguments),
    Queue(queue::Arguments),
    Destinations(destinations::Arguments),
    /// Closes a destination: nothing is delivered to it until it is resumed.
    #[command(after_help = "Example:\n  waxseal suspend example.com")]
    Suspend(destinations::One),
    /// Opens a destination again that was suspended.
    #[command(after_help = "Example:\n  waxseal resume example.com")]
    Resume(destinations::One),
    /// Has a running queue-manager read its tables, certificates and trust stores anew, as SIGHUP does.
    #[command(
        after_help = "Exit status: 0, or 1 where something is odd about them.\n\nExample:\n  waxseal reload"
    )]
    Reload(destinations::Reload),
    Top(top::Arguments),
    Demo(demo::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Ledger(ledger::Arguments),
    Spool(spool::Arguments),
    Table(table::Arguments),
    Tlsa(tlsa::Arguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help that was asked for goes to standard output and is no error.
            let _ = error.print();
            let status = if error.use_stderr() { Status::Usage } else { Status::Done };
            return status.into();
        }
    };
    let mut terminal = Terminal::new();
    let status = match arguments.command {
        Command::Check(arguments) => check::run(&arguments, &mut terminal),
        Command::Policy(arguments) => policy::run(&arguments, &mut terminal),
        Command::ServePolicy(arguments) => serve::run(&arguments),
        Command::Send(arguments) => send::run(&arguments, &mut terminal),
        Command::Queue(arguments) => queue::run(&arguments, &mut terminal),
        Command::Destinations(arguments) => destinations::run(&arguments, &mut terminal),
        Command::Suspend(arguments) => destinations::close(&arguments, true, &mut terminal),
        Command::Resume(arguments) => destinations::close(&arguments, false, &mut terminal),
        Command::Reload(arguments) => destinations::reload(&arguments, &mut terminal),
        Command::Top(arguments) => top::run(&arguments, &mut terminal),
        Command::Demo(arguments) => demo::run(&arguments, &mut terminal),
        Command::Doctor(arguments) => doctor::run(&arguments, &mut terminal),
        Command::Table(arguments) => table::run(&arguments, &mut terminal),
        Command::Explain(arguments) => explain::run(&arguments, &mut terminal),
        Command::Ledger(arguments) => ledger::run(&arguments, &mut terminal),
        Command::Tlsa(arguments) => tlsa::run(&arguments, &mut terminal),
        Command::Spool(arguments) => spool::run(&arguments, &mut terminal),
    };
    terminal.finish(status)
}
