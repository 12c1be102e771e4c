//! Measuring time and memory, the same way for the command line and for the benches.

use std::time::{Duration, Instant};

/// The least time that a series takes.
pub const SERIES: Duration = Duration::from_millis(600);
/// The least calls of a series.
pub const CALLS: usize = 5;
/// The time that is spent before a series, for caches, clocks and threads to settle.
pub const WARM_UP: Duration = Duration::from_millis(150);

/// How long calls took.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Series {
    /// The middle one.
    pub median: Duration,
    /// The least.
    pub min: Duration,
    /// Calls measured.
    pub calls: usize,
}

/// Calls a closure until both [`SERIES`] and [`CALLS`] are reached, after a warm-up.
///
/// # Errors
///
/// The first error of the closure.
pub fn series<E>(mut call: impl FnMut() -> Result<(), E>) -> Result<Series, E> {
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        call()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < SERIES || times.len() < CALLS {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(Series {
        median: times[times.len() / 2],
        min: times[0],
        calls: times.len(),
    })
}

/// Starts the peak of memory anew, so that it is that of what comes; whether the system can.
pub fn reset_peak() -> bool {
    // Linux: 5 resets the peak of the resident set.
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most memory that was resident, if the system tells.
pub fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_long_enough() {
        let mut calls = 0;
        let found = series(|| -> Result<(), ()> {
            calls += 1;
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        });
        let series = found.unwrap();
        assert!(series.calls >= CALLS && series.calls <= calls);
        assert!(series.min >= Duration::from_millis(20) && series.min <= series.median);
        assert!(series.median * series.calls as u32 >= SERIES / 2);
    }

    #[test]
    fn errors_end_a_series() {
        assert_eq!(series(|| Err::<(), u8>(3)), Err(3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_the_peak() {
        assert!(peak_rss().unwrap() > 100_000);
    }
}
