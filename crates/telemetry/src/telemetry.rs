//! The sink of the queue's events.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io,
    os::fd::AsFd as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use waxseal_queue::{Event, Sink};

use crate::{
    Error, Settings, Target, events,
    export::Export,
    log,
    metrics::{LOST, Page, Recorder},
    trace::Tracer,
    writer::Writer,
};

/// Takes events of the queue, and turns them into delivery events, log lines and traces. Shared by `Arc`.
#[derive(Debug)]
pub struct Telemetry {
    target: Target,
    writer: Option<Writer>,
    traces: Option<(Tracer, Export)>,
    recorder: Recorder,
}

thread_local! {
    /// Lines of one event: the buffer is kept for the next one.
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Capacity of that buffer between events.
const KEPT: usize = 64 << 10;

impl Telemetry {
    /// Opens the file and starts the threads. Installs nothing that is global to the process; log lines go where `tracing` sends them.
    ///
    /// # Errors
    /// The file cannot be opened, the endpoint is none, or there is no thread to be had.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let writer = match open(&settings.delivery_events)? {
            Some(file) => {
                let name = settings.delivery_events.to_string();
                Some(Writer::start(file, name, settings.backlog_limit).map_err(Error::Thread)?)
            }
            None => None,
        };
        let traces = Export::start(&settings)?.map(|export| (Tracer::new(), export));
        Ok(Self { target: settings.delivery_events, writer, traces, recorder: Recorder::new() })
    }

    /// Opens the delivery event file anew, after a rotation has renamed it. Events that happened before are in the old file.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> Result<(), Error> {
        if let (Some(writer), Target::File(_)) = (&self.writer, &self.target)
            && let Some(file) = open(&self.target)?
        {
            writer.replace(file);
        }
        Ok(())
    }

    /// Delivery events that could not be written.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::lost)
    }

    /// Spans that no collector has seen.
    #[must_use]
    pub fn lost_spans(&self) -> u64 {
        self.traces.as_ref().map_or(0, |(_, export)| export.lost())
    }

    /// Writes down what this crate counts: what the queue's events told, and what was lost.
    pub fn read(&self, page: &mut Page) {
        self.recorder.read(page);
        page.set(&LOST, &["events"], self.lost_events());
        page.set(&LOST, &["spans"], self.lost_spans());
        let pages = self.traces.as_ref().map_or(0, |(_, export)| export.lost_pages());
        page.set(&LOST, &["exports"], pages);
        if let Some((tracer, _)) = &self.traces {
            tracer.sampling().read(page);
        }
    }

    /// Whether pages are wanted: a collector is configured.
    #[must_use]
    pub const fn exports(&self) -> bool {
        self.traces.is_some()
    }

    /// Sends a page to the collector. Never waits; while one is under way, the next is lost.
    pub fn export(&self, page: Page) {
        if let Some((_, export)) = &self.traces {
            export.push_page(page);
        }
    }

    /// Writes and sends what waits, and ends the threads. Events that come later are counted as lost.
    pub fn shutdown(&self) {
        if let Some(writer) = &self.writer {
            writer.stop();
        }
        if let Some((_, export)) = &self.traces {
            export.stop();
        }
    }

    fn write(&self, event: &Event<'_>) {
        let Some(writer) = &self.writer else { return };
        LINES.with_borrow_mut(|lines| {
            lines.clear();
            events::write(lines, event);
            if !lines.is_empty() {
                writer.push(lines.as_bytes());
            }
            // One message to thousands shall not keep its buffer for ever.
            lines.shrink_to(KEPT);
        });
    }
}

impl Sink for Telemetry {
    fn event(&self, event: Event<'_>) {
        self.recorder.event(&event);
        self.write(&event);
        if let Some((tracer, export)) = &self.traces {
            let spans = tracer.spans(&event);
            if !spans.is_empty() {
                export.push(spans);
            }
        }
        log::log(&event);
    }
}

fn open(target: &Target) -> Result<Option<File>, Error> {
    let failed = |path: &Path, source| Error::Events { path: path.to_owned(), source };
    match target {
        Target::Off => Ok(None),
        // Without std's buffer in between.
        Target::Stdout => match io::stdout().as_fd().try_clone_to_owned() {
            Ok(descriptor) => Ok(Some(File::from(descriptor))),
            Err(error) => Err(failed(Path::new("-"), error)),
        },
        Target::File(path) => {
            // Addresses are not everybody's business.
            let opened = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
            opened.map(Some).map_err(|error| failed(path, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::fixture::account;

    /// `cargo test --release -p waxseal-telemetry -- --ignored --nocapture cost`
    #[test]
    #[ignore = "a measurement, not a test"]
    fn cost_of_an_event() {
        let account = account(1);
        let event = Event::Attempted { account: &account, next_attempt: None };
        let folder = tempfile::tempdir().unwrap();
        let target = Target::File(folder.path().join("delivery.jsonl"));
        let limit = Settings { delivery_events: target, backlog_limit: 1 << 30, ..Settings::default() };
        let telemetry = Telemetry::start(limit).unwrap();
        const ROUNDS: u32 = 50_000;
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| telemetry.event(event));
        let taken = begun.elapsed();
        telemetry.shutdown();
        // Four lines each: two attempts, two ends.
        println!("{:?} a line, {:?} with the disk", taken / ROUNDS / 4, begun.elapsed() / ROUNDS / 4);
        let tracer = Tracer::new();
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| assert_eq!(tracer.spans(&event).len(), 12));
        println!("{:?} for the spans of an attempt", begun.elapsed() / ROUNDS);
    }
}
