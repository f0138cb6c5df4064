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

use crate::{Error, Settings, Target, events, writer::Writer};

/// Takes events of the queue, and turns them into delivery events, log lines and traces. Shared by `Arc`.
#[derive(Debug)]
pub struct Telemetry {
    target: Target,
    writer: Option<Writer>,
}

thread_local! {
    /// Lines of one event: the buffer is kept for the next one.
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Telemetry {
    /// Opens the file and starts the threads. Installs nothing that is global to the process; log lines go where `tracing` sends them.
    ///
    /// # Errors
    /// The file cannot be opened, the endpoint is none, or there is no thread to be had.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let writer = match open(&settings.delivery_events)? {
            Some(file) => Some(Writer::start(file, settings.backlog_limit).map_err(Error::Thread)?),
            None => None,
        };
        Ok(Self { target: settings.delivery_events, writer })
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

    /// Writes and sends what waits, and ends the threads. Events that come later are counted as lost.
    pub fn shutdown(&self) {
        if let Some(writer) = &self.writer {
            writer.stop();
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
        });
    }
}

impl Sink for Telemetry {
    fn event(&self, event: Event<'_>) {
        self.write(&event);
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
