//! Stopping in good order: the first Ctrl-C or `kill` is a request, the second one ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::exit;

/// Whether somebody has asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// From now on, the first signal is noted and the second one ends the process at once.
    pub(super) fn watch() -> io::Result<Interrupt> {
        let noted = Arc::new(AtomicBool::new(false));
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM] {
            // Handlers run in the order of their registration: the first finds nothing noted yet.
            let code = i32::from(exit::SIGNAL) + number;
            flag::register_conditional_shutdown(number, code, Arc::clone(&noted))?;
            flag::register(number, Arc::clone(&noted))?;
            let value = usize::try_from(number).unwrap_or_default();
            flag::register_usize(number, Arc::clone(&signal), value)?;
        }
        Ok(Interrupt { signal })
    }

    /// The signal that has come, if one has.
    pub(super) fn signal(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(signal).ok(),
        }
    }
}
