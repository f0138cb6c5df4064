//! `queue-manager`: arguments, configuration, start, signals, drain.

mod host;

use std::{path::PathBuf, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use waxseal_config::{Config, Gravity};
use waxseal_ledger::Recorder;
use waxseal_policy::TableName;
use waxseal_queue::{Several, Sink};
use waxseal_queue_manager::{Archive, Engine, EngineEvent, EngineSettings, Opened};
use waxseal_telemetry::{Protocol, Target, Telemetry};
use waxseal_trust::Store;

/// Messages come and go on several threads; what they leave is given back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// sysexits(3): the configuration is wrong.
const EX_CONFIG: u8 = 78;
/// sysexits(3): a fault of the program; recovery does the rest at the next start.
const EX_SOFTWARE: u8 = 70;
/// sysexits(3): called with the wrong words.
const EX_USAGE: u8 = 64;

/// Waxseal's daemon: takes mail by SMTP and delivers it over TLS as strong as each destination's policy demands.
///
/// Without --config it starts on safe defaults: intake on 127.0.0.1:2525 for clients of this machine, spool in ./waxseal-spool.
/// SIGTERM and SIGINT end it cleanly, SIGHUP reloads tables, certificates and trust stores and reopens the event file.
#[derive(Debug, Parser)]
#[command(
    name = "queue-manager",
    version,
    after_help = "Example:\n  queue-manager --config /etc/postfix/main.cf --config /etc/waxseal/waxseal.toml"
)]
struct Arguments {
    /// A configuration file: *.toml, or *.cf for a Postfix main.cf. Later ones override earlier ones, WAXSEAL_* variables override all.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EX_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    // Variables that are not Unicode are nobody's configuration.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = match Config::load(&arguments.config, environment) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            eprintln!(
                "queue-manager: not started; `waxseal check` tests a configuration without starting anything"
            );
            return ExitCode::from(EX_CONFIG);
        }
    };
    host::prepare();
    if let Err(error) = waxseal_telemetry::init_logging(&log_filter(&config.log.level)) {
        return refuse(&error);
    }
    for found in &config.warnings {
        match found.gravity {
            Gravity::Notice => tracing::info!("{found}"),
            Gravity::Error | Gravity::Warning => tracing::warn!("{found}"),
        }
    }
    // Ports are bound, and privileges dropped, before there is any other thread.
    let opened =
        match Engine::open_with(EngineSettings::from(&config), |store| drop_privileges(&config, store)) {
            Ok(opened) => opened,
            Err(error) => return refuse(&error),
        };
    let system = match runtime() {
        Ok(runtime) => actix::System::with_tokio_rt(|| runtime),
        Err(error) => return refuse(&error),
    };
    waxseal_telemetry::gather_until_end_of_turn();
    let ended = system.block_on(run(config, opened, arguments.config.is_empty()));
    waxseal_telemetry::end_turn();
    ended
}

/// The manager's. What it has to tell goes out when it has nothing else to do, and before it tells of a panic.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        waxseal_telemetry::end_turn();
        tell(panic);
    }));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(waxseal_telemetry::end_turn)
        .build()
}

/// A lone level is for what we say; the library that serves the API tells of its threads at `info`.
fn log_filter(level: &str) -> String {
    if level.contains([',', '=']) { level.to_owned() } else { format!("{level},actix_server=warn") }
}

/// Becomes `process.user`, where one is configured; tells which files that user cannot read.
fn drop_privileges(config: &Config, store: &Store) -> Result<Vec<String>, String> {
    let Some(name) = &config.user else { return Ok(Vec::new()) };
    let user = host::find_user(name)?;
    let mut notices = store.unreadable_for(user.uid, user.gid);
    // What the intake shows, and what it shows by name.
    let maps = config.intake.tls.sni_maps.iter().map(|map| TableName::new(map));
    let named = maps.flat_map(|map| config.tables.entries(&map));
    let named = named.flat_map(|(value, _)| waxseal_intake::chain_files(&value));
    let own = config.intake.tls.files.paths().cloned();
    notices.extend(waxseal_trust::unreadable_for(own.chain(named), (user.uid, user.gid)));
    host::become_user(user)?;
    Ok(notices.iter().map(ToString::to_string).collect())
}

async fn run(config: Config, opened: Opened, on_defaults: bool) -> ExitCode {
    let settings = waxseal_telemetry::Settings {
        delivery_events: Target::new(config.log.delivery_events.as_deref().unwrap_or_default()),
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        otlp_protocol: if config.telemetry.grpc { Protocol::Grpc } else { Protocol::Http },
        ..waxseal_telemetry::Settings::default()
    };
    let telemetry = match Telemetry::start(settings) {
        Ok(telemetry) => Arc::new(telemetry),
        Err(error) => return refuse(&error),
    };
    for notice in &opened.notices {
        tracing::warn!("{notice}");
    }
    let recorder = match config.ledger.clone().map(Recorder::start).transpose() {
        Ok(recorder) => recorder.map(Arc::new),
        // History is worth less than mail: without a ledger it is delivered all the same.
        Err(error) => {
            tracing::error!("no ledger is kept: {error}");
            None
        }
    };
    let mut sinks = vec![Arc::clone(&telemetry) as Arc<dyn Sink>];
    sinks.extend(recorder.clone().map(|recorder| recorder as Arc<dyn Sink>));
    let mut engine = match Engine::run(opened, Arc::new(Several::of(sinks))).await {
        Ok(engine) => engine,
        Err(error) => return refuse(&error),
    };
    engine.provide(Archive { telemetry: Arc::clone(&telemetry), ledger: recorder.clone() });
    export_metrics(&engine, &telemetry, config.telemetry.metrics_interval);
    // Who is told that this is ready may end it at once, and it ends as it should.
    let (end, hup) = match signals() {
        Ok(signals) => signals,
        Err(error) => return refuse(&error),
    };
    announce(&engine, &config, on_defaults);
    host::notify("READY=1");
    let ended_well = serve(&mut engine, (end, hup), (&config, &telemetry)).await;
    if !ended_well {
        tracing::error!(
            "the queue manager died; what was accepted is on disk and is taken up at the next start"
        );
        telemetry.shutdown();
        if let Some(recorder) = recorder {
            recorder.shutdown();
        }
        return ExitCode::from(EX_SOFTWARE);
    }
    host::notify("STOPPING=1");
    tokio::spawn(async {
        // A second signal ends at once.
        if let Ok((end, _)) = signals() {
            end.await;
            waxseal_telemetry::end_turn();
            std::process::exit(0);
        }
    });
    if !engine.shut_down().await {
        tracing::warn!(
            "some deliveries did not end within queue.shutdown_grace; they are tried again after the next start"
        );
    }
    telemetry.shutdown();
    if let Some(recorder) = recorder {
        recorder.shutdown();
    }
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

/// Sends the metrics to the collector now and then, where there is one.
fn export_metrics(engine: &Engine, telemetry: &Arc<Telemetry>, interval: Duration) {
    if !telemetry.exports() || interval.is_zero() {
        return;
    }
    let (readings, telemetry) = (engine.readings().clone(), Arc::clone(telemetry));
    actix_rt::spawn(async move {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            telemetry.export(readings.page(&telemetry).await);
        }
    });
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("queue-manager: {error}");
    ExitCode::from(EX_CONFIG)
}

fn announce(engine: &Engine, config: &Config, on_defaults: bool) {
    let addresses: Vec<_> = config.intake.listen.iter().map(ToString::to_string).collect();
    let bound: Vec<_> = engine.addresses().iter().map(ToString::to_string).collect();
    let shown = if bound.is_empty() { addresses.join(", ") } else { bound.join(", ") };
    tracing::info!(
        "{} ready: mail is taken on {shown}, spool in {}",
        config.hostname,
        config.spool.path.display()
    );
    if let Some(address) = engine.admin_address() {
        tracing::info!("the page and the API are at http://{address}/");
    }
    if on_defaults {
        eprintln!(
            "\nWaxseal takes mail from this machine on {shown}. Send the first message from another terminal:\n\n  \
             cargo run --release --bin waxseal -- send --from you@example.org --to somebody@example.net\n  \
             cargo run --release --bin waxseal -- queue list\n\nCtrl-C ends it; what was accepted stays in {}.\n",
            config.spool.path.display()
        );
    }
}

/// A signal that ends the process.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Resolves at SIGTERM and SIGINT, which from now on do nothing by themselves; and SIGHUP.
fn signals() -> std::io::Result<(End, Signal)> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let end = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    Ok((Box::pin(end), signal(SignalKind::hangup())?))
}

/// Until a signal ends it: `true`; `false` where the manager died.
async fn serve(
    engine: &mut Engine,
    (mut end, mut hup): (End, Signal),
    (config, telemetry): (&Config, &Telemetry),
) -> bool {
    let beat = host::watchdog();
    // Tables are looked at again every second; a file is read once it has been quiet for a second (design §5.9).
    let mut look = tokio::time::interval(Duration::from_secs(1));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            () = &mut end => return true,
            event = engine.next_event() => event,
            _ = look.tick() => {
                refresh_tables(config);
                for notice in engine.notices() {
                    tracing::warn!("{notice}");
                }
                if beat && engine.is_well().await {
                    host::notify("WATCHDOG=1");
                }
                continue;
            }
            _ = hup.recv() => EngineEvent::Reload(None),
        };
        match event {
            EngineEvent::Died => return false,
            EngineEvent::Reload(request) => {
                host::notify_reloading();
                let switches = request.as_ref().is_some_and(|request| request.switches());
                let notices = reload((engine, switches), config, telemetry);
                host::notify("READY=1");
                if let Some(request) = request {
                    request.done(notices);
                }
            }
        }
    }
}

/// Reads everything anew that can be; what is odd about it, which is told in the log as well.
fn reload((engine, switches): (&Engine, bool), config: &Config, telemetry: &Telemetry) -> Vec<String> {
    tracing::info!("reloading");
    let mut notices = refresh_tables(config);
    for notice in engine.reload(switches) {
        tracing::warn!("{notice}");
        notices.push(notice);
    }
    if let Err(error) = telemetry.reopen() {
        tracing::error!("{error}");
        notices.push(error.to_string());
    }
    notices
}

/// Looks at all tables again; what is wrong with any.
fn refresh_tables(config: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    for alert in config.tables.refresh_all(std::time::SystemTime::now()) {
        let text = format!("{}: {}", alert.table, alert.text);
        match alert.severity {
            waxseal_config::Severity::Failed => tracing::error!("{text}"),
            waxseal_config::Severity::Stale => tracing::warn!("{text}"),
            waxseal_config::Severity::Reloaded => {
                tracing::info!("{text}");
                continue;
            }
        }
        wrong.push(text);
    }
    wrong
}
