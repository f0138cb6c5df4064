//! `waxseal tlsa rollover`: a new key for a mail server, without a moment in which a client's TLSA records do not fit.

mod probe;
mod tell;
mod wish;

use std::{path::PathBuf, time::Duration};

use waxseal_config::Config;
use waxseal_dns::{Authorities, Resolver};
use waxseal_rollover::{
    Error, Folder, Limit, Lookups, Moment, Publisher, Real, Rollover, Standing, advance, begin, finish, look,
    prepare, switch, undo,
};

use crate::{
    settings::ConfigFiles,
    terminal::{Status, Terminal, complain},
};

/// How long between two looks with --wait, at the least and at the most.
const LOOKS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// Replaces the key of a mail server in steps that are taken only when no client can be turned away by them: publish, wait, switch, withdraw.
///
/// The state is kept on disk; each command may be given again and again, also after a crash. `run` does whatever may be done now, and is made for a timer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 done, 1 refused because something else comes first, 75 still waiting or not known just now.\n\n\
                        Example:\n  waxseal tlsa rollover start --config /etc/waxseal/waxseal.toml --new-key ecdsa --nsupdate-key /etc/waxseal/ddns.key\n  \
                        waxseal tlsa rollover run --config /etc/waxseal/waxseal.toml      # by a timer, until it is done"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints the whole timetable, and does nothing.
    #[command(
        after_help = "Example:\n  waxseal tlsa rollover plan --install /etc/waxseal/tls.pem --new-key ecdsa"
    )]
    Plan(Begin),
    /// Begins: makes or takes the next key, and publishes its records beside the current ones.
    #[command(
        after_help = "Example:\n  waxseal tlsa rollover start --certificate fullchain.pem --key privkey.pem --hook /etc/waxseal/publish"
    )]
    Start(Begin),
    /// Tells what is waited for and until when; changes nothing.
    #[command(after_help = "Example:\n  waxseal tlsa rollover status --json | jq .phase")]
    Status(Go),
    /// Does whatever may be done now: for a timer, every few minutes, until it is over. Nothing to do is no fault.
    #[command(after_help = "Example:\n  waxseal tlsa rollover run --wait")]
    Run(Go),
    /// Puts the next key into use, and nothing else; refused while a client could hold records that it does not fit.
    #[command(after_help = "Example:\n  waxseal tlsa rollover switch")]
    Switch(Go),
    /// All that is left: the switch, where it has not been made and may be, then the withdrawal of the old records.
    #[command(after_help = "Example:\n  waxseal tlsa rollover finish --wait")]
    Finish(Go),
    /// Gives it up before the switch, and withdraws the next records.
    #[command(after_help = "Example:\n  waxseal tlsa rollover undo")]
    Undo(Go),
}

#[derive(Debug, clap::Args)]
struct Go {
    #[command(flatten)]
    config: ConfigFiles,
    /// The folder of the rollover: its state and the next key. Default: tlsa-rollover in the folder of the spool.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Goes on until it is over.
    #[arg(long)]
    wait: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Begin {
    #[command(flatten)]
    go: Go,
    #[command(flatten)]
    wish: wish::Options,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let (Action::Plan(Begin { go, .. })
    | Action::Start(Begin { go, .. })
    | Action::Status(go)
    | Action::Run(go)
    | Action::Switch(go)
    | Action::Finish(go)
    | Action::Undo(go)) = &arguments.action;
    let config = match go.config.load() {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            return Status::Configuration;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return Status::TryAgain;
        }
    };
    match runtime.block_on(act(&arguments.action, go, &config, terminal)) {
        Ok(status) => status,
        Err(error) => {
            match &error {
                Error::Unknown(why) => complain(format!(
                    "{why}; nothing goes on until it answers, or is no server of the zone any more; `waxseal doctor` looks at the resolver"
                )),
                other => complain(other),
            }
            status_of(&error)
        }
    }
}

fn status_of(error: &Error) -> Status {
    match error {
        Error::OutOfOrder(_) => Status::No,
        Error::Wrong(_) => Status::Usage,
        Error::File { .. } => Status::Configuration,
        // The world's faults, which may mend.
        _ => Status::TryAgain,
    }
}

async fn act(action: &Action, go: &Go, config: &Config, terminal: &mut Terminal) -> Result<Status, Error> {
    let path = go.state.clone().unwrap_or_else(|| config.spool.path.join("tlsa-rollover"));
    if let Action::Plan(begin) = action {
        return plan(begin, config, terminal).await;
    }
    let folder = Folder::open(&path)?;
    if let Action::Start(begin) = action {
        return start(begin, config, &folder, terminal).await;
    }
    let Some(mut rollover) = folder.load()? else {
        let nothing = format!(
            "no rollover has been started in {}; `waxseal tlsa rollover start` begins one",
            path.display()
        );
        if matches!(action, Action::Run(_)) {
            terminal.line(nothing);
            return Ok(Status::Done);
        }
        return Err(Error::OutOfOrder(nothing));
    };
    let world = world(config, &folder, &rollover.publisher)?;
    let standing = match action {
        Action::Status(_) => return status(&mut rollover, &world, go.json, terminal).await,
        Action::Switch(_) => {
            switch(&mut rollover, &world).await?;
            advance(&mut rollover, &world, Limit::Switch).await?
        }
        Action::Finish(_) => finish(&mut rollover, &world).await?,
        Action::Undo(_) => undo(&mut rollover, &world).await?,
        Action::Plan(_) | Action::Start(_) | Action::Run(_) => {
            advance(&mut rollover, &world, Limit::End).await?
        }
    };
    let standing = go_on(go.wait, standing, &mut rollover, &world).await?;
    if standing == Standing::Over {
        folder.clear();
    }
    tell::standing(&rollover, &standing, go.json, terminal);
    Ok(match (&standing, action) {
        (Standing::Waits(_), Action::Finish(_) | Action::Undo(_)) => Status::TryAgain,
        (Standing::Waits(_) | Standing::Due | Standing::Over, _) => Status::Done,
    })
}

/// Looks again and again, where that is wanted. What is not known just now may be known later.
async fn go_on(
    wait: bool,
    mut standing: Standing,
    rollover: &mut Rollover,
    world: &Real<'_>,
) -> Result<Standing, Error> {
    while wait && standing != Standing::Over {
        let ttl = rollover.places().filter_map(|place| rollover.memory.longest_ttl(place)).min();
        tokio::time::sleep((ttl.unwrap_or(*LOOKS.end()) / 4).clamp(*LOOKS.start(), *LOOKS.end())).await;
        match advance(rollover, world, Limit::End).await {
            Ok(next) => standing = next,
            Err(error @ (Error::Unknown(_) | Error::Publish(_) | Error::Command(_))) => complain(&error),
            Err(error) => return Err(error),
        }
    }
    Ok(standing)
}

async fn plan(begin: &Begin, config: &Config, terminal: &mut Terminal) -> Result<Status, Error> {
    // A key has to be made to say what its record will be like; it is thrown away.
    let trial = tempfile::tempdir().map_err(|error| Error::Unknown(error.to_string()))?;
    let folder = Folder::open(trial.path())?;
    let wish = begin.wish.wish(config)?;
    let next = prepare(&folder, &begin.wish.source()?, &wish::names(&wish))?;
    let world = world(config, &folder, &wish.publisher)?;
    let rollover = wish.plan(&next, &world).await?;
    tell::timetable(&rollover, &next, begin.wish.makes_a_key(), begin.go.json, terminal);
    Ok(Status::Done)
}

async fn start(
    begins: &Begin,
    config: &Config,
    folder: &Folder,
    terminal: &mut Terminal,
) -> Result<Status, Error> {
    if folder.load()?.is_some_and(|known| !known.phase.is_over()) {
        let why = "a rollover is under way there: `status` tells how far it is, `undo` gives it up";
        return Err(Error::OutOfOrder(why.into()));
    }
    let wish = begins.wish.wish(config)?;
    let next = prepare(folder, &begins.wish.source()?, &wish::names(&wish))?;
    let world = world(config, folder, &wish.publisher)?;
    let mut rollover = wish.plan(&next, &world).await?;
    let mut standing = begin(&mut rollover, &world).await?;
    // What is covered already needs no second command: a renewal with the same key, or under an issuer that stays.
    if standing == Standing::Due {
        standing = advance(&mut rollover, &world, Limit::End).await?;
    }
    let standing = go_on(begins.go.wait, standing, &mut rollover, &world).await?;
    if standing == Standing::Over {
        folder.clear();
    }
    if begins.wish.wants_a_request() && !begins.go.json {
        terminal
            .line(format_args!("The request for the next certificate: {}", folder.request_file().display()));
    }
    tell::standing(&rollover, &standing, begins.go.json, terminal);
    Ok(Status::Done)
}

async fn status(
    rollover: &mut Rollover,
    world: &Real<'_>,
    json: bool,
    terminal: &mut Terminal,
) -> Result<Status, Error> {
    if rollover.phase.is_over() {
        tell::standing(rollover, &Standing::Over, json, terminal);
        return Ok(Status::Done);
    }
    // What is seen is remembered, which is as good as a look by a timer; nothing else is done.
    let seen = look(rollover, world).await;
    let standing = Standing::Waits(tell::waits(rollover, world, &Moment::now()));
    tell::standing(rollover, &standing, json, terminal);
    seen.map(|()| Status::Done)
}

fn world<'a>(config: &'a Config, folder: &'a Folder, publisher: &Publisher) -> Result<Real<'a>, Error> {
    let wrong = |error: waxseal_dns::Error| Error::Wrong(format!("dns: {error}"));
    let authorities = Authorities::new(&config.dns, config.queue.families).map_err(wrong)?;
    let resolver = Resolver::new(config.dns.clone()).map_err(wrong)?;
    let probe = Box::new(probe::Caller::new(config, resolver.clone())?);
    Ok(Real::new(folder, Lookups::new(authorities, resolver), publisher.clone(), probe))
}
