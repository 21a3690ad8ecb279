//! What is written to the log.

use std::{
    cell::RefCell,
    io,
    marker::PhantomData,
    sync::{Arc, Mutex, Once},
};

use tracing_subscriber::{
    filter::DynFilterFn,
    fmt::MakeWriter,
    layer::{Layer, SubscriberExt},
};

/// Collects everything that is logged, down to `TRACE`, on the thread it was made on. For tests on
/// a runtime of one thread.
pub struct CapturedLog {
    lines: Lines,
    /// It ends on the thread on which it began.
    _of_thread: PhantomData<*const ()>,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

thread_local! {
    /// The logs that are being captured on this thread. The last one collects.
    static CAPTURED: RefCell<Vec<Lines>> = const { RefCell::new(Vec::new()) };
}

/// One subscriber serves all tests of the process. With one per test, a place that logs for the
/// first time on another thread may be taken for disabled.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let filter = DynFilterFn::new(|_, _| CAPTURED.with_borrow(|logs| !logs.is_empty()));
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(OfThread)
            .with_filter(filter);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
    });
}

impl CapturedLog {
    /// Begins to collect.
    pub fn start() -> Self {
        install();
        let lines = Lines::default();
        CAPTURED.with_borrow_mut(|logs| logs.push(lines.clone()));
        Self {
            lines,
            _of_thread: PhantomData,
        }
    }

    /// What was logged so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.0.lock().expect("lines")).into_owned()
    }

    /// How often this was logged so far.
    pub fn count(&self, what: &str) -> usize {
        self.text().matches(what).count()
    }
}

impl Drop for CapturedLog {
    fn drop(&mut self) {
        CAPTURED.with_borrow_mut(|logs| logs.retain(|it| !Arc::ptr_eq(&it.0, &self.lines.0)));
    }
}

/// Writes to the log that this thread captures.
struct OfThread;

impl<'a> MakeWriter<'a> for OfThread {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        CAPTURED.with_borrow(|logs| logs.last().cloned().unwrap_or_default())
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lines").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
