//! Threads that go through the steps of a program side by side.
//!
//! A step's tasks are shared out before it begins: each thread gets a run of neighbours, the same part of every step, so
//! that it finds in its caches what it wrote in the step before. It does most of them in one call, so that what the call
//! keeps near stays there, and the rest in ever smaller ones; who has done his own takes from the end of another's. The
//! thread that finishes the last task of a step gives out the next; the others wait for that in a loop, since most steps
//! last no longer than the system takes to wake a thread. Who does a task makes no difference to its result.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Loads of a waiting thread that follow each other at once, some 5 µs of them.
const SPINS: u32 = 128;

/// Loads between which it lets others run, which costs little where nobody wants to: about a millisecond.
const YIELDS: u32 = 2_000;

/// How long it sleeps after that: a step that lasts so long does not notice.
const NAP: std::time::Duration = std::time::Duration::from_micros(50);

/// Bits of the first and of the end of a share. What is left of the word is the number of its step.
const PLACE_BITS: u32 = 24;

/// Threads that have a share of their own; of more, some begin with the same share.
const MOST_SHARES: usize = 64;

/// Tasks that a step may have at most.
pub(super) const MOST_TASKS: usize = (1 << PLACE_BITS) - 1;

/// Steps that a crew may go through at most.
pub(super) const MOST_STEPS: usize = 1 << (u64::BITS - 2 * PLACE_BITS);

/// What a crew works on.
pub(super) trait Steps: Sync {
    /// The number of tasks of a step, from 1 to [`MOST_TASKS`].
    fn tasks(&self, step: usize) -> usize;
    /// Does some of them. Those of one step may be done by several threads at once.
    fn work(&self, step: usize, tasks: Range<usize>);
    /// Hears that a step has ended, before the next one begins.
    fn ended(&self, step: usize);
}

/// Something that threads write, on cache lines of its own: processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Apart<T>(T);

/// Tasks of a step that one thread was given and nobody has taken yet.
#[derive(Clone, Copy)]
struct Share {
    step: u64,
    first: u64,
    end: u64,
}

impl Share {
    fn of(word: u64) -> Share {
        let places = (1 << PLACE_BITS) - 1;
        Share {
            step: word >> (2 * PLACE_BITS),
            first: (word >> PLACE_BITS) & places,
            end: word & places,
        }
    }

    fn word(self) -> u64 {
        (self.step << (2 * PLACE_BITS)) | (self.first << PLACE_BITS) | self.end
    }
}

struct Crew<'a, S> {
    steps: &'a S,
    /// The number after that of the last step.
    end: usize,
    threads: usize,
    /// A word for each thread: step, first and end change together, so a thread that was asleep since an earlier step cannot
    /// take a task of this one for that.
    shares: [Apart<AtomicU64>; MOST_SHARES],
    /// The step whose tasks are given out.
    current: Apart<AtomicUsize>,
    /// Its tasks that are not finished.
    left: Apart<AtomicUsize>,
}

/// Goes through steps, from one number up to another, with all threads of the pool that the caller is in. Allocates nothing.
pub(super) fn run<S: Steps>(steps: &S, first: usize, end: usize) {
    let threads = rayon::current_num_threads();
    let mut first = first;
    while first < end {
        let part = end.min(first + MOST_STEPS - 1);
        let crew = Crew {
            steps,
            end: part,
            threads: threads.min(MOST_SHARES),
            shares: std::array::from_fn(|_| Apart::default()),
            current: Apart(AtomicUsize::new(first)),
            left: Apart(AtomicUsize::new(0)),
        };
        if crew.advance(first) < part {
            crew.members(threads);
        }
        first = part;
    }
}

impl<S: Steps> Crew<'_, S> {
    /// Calls so many threads in: this one begins at once, and the others come as they wake. Who comes when all is done goes again.
    fn members(&self, count: usize) {
        match count {
            0 | 1 => self.member(),
            _ => {
                rayon::join(|| self.member(), || self.members(count - 1));
            }
        }
    }

    /// What one thread does, from the step on that is given out when it comes.
    fn member(&self) {
        let me = rayon::current_thread_index().unwrap_or(0) % self.threads;
        let mut step = self.current.0.load(Ordering::Acquire);
        while step < self.end {
            let mut done = 0;
            while let Some(tasks) = self.take(me, step) {
                done += tasks.len();
                self.steps.work(step, tasks);
            }
            // What every thread wrote in this step is seen by who counts the last task, and so by all who hear of the next.
            step = match done > 0 && self.left.0.fetch_sub(done, Ordering::AcqRel) == done {
                true => {
                    self.steps.ended(step);
                    self.advance(step + 1)
                }
                false => self.wait(step),
            };
        }
    }

    /// Gives a step out, or the first after it that has more than one task: those before are done on the spot.
    fn advance(&self, step: usize) -> usize {
        let mut step = step;
        let mut tasks = 0;
        while step < self.end {
            tasks = self.steps.tasks(step);
            if tasks > 1 {
                break;
            }
            self.steps.work(step, 0..1);
            self.steps.ended(step);
            step += 1;
        }
        if step < self.end {
            debug_assert!(tasks <= MOST_TASKS, "plans cut a step into fewer");
            let threads = self.threads;
            self.left.0.store(tasks, Ordering::Relaxed);
            for (thread, share) in self.shares[..threads].iter().enumerate() {
                let rest = Share {
                    step: self.tag(step),
                    first: (tasks * thread / threads) as u64,
                    end: (tasks * (thread + 1) / threads) as u64,
                };
                share.0.store(rest.word(), Ordering::Release);
            }
        }
        self.current.0.store(step, Ordering::Release);
        step
    }

    /// The number of a step within a share; an empty share has the number 0.
    fn tag(&self, step: usize) -> u64 {
        (self.end - step) as u64
    }

    /// Tasks of a step that nobody has: the next of the thread's own, else the last of another's.
    fn take(&self, me: usize, step: usize) -> Option<Range<usize>> {
        let threads = self.threads;
        (0..threads).find_map(|turn| {
            let of = &self.shares[(me + turn) % threads].0;
            let mut word = of.load(Ordering::Acquire);
            loop {
                let share = Share::of(word);
                if share.step != self.tag(step) || share.first >= share.end {
                    return None;
                }
                let (mut rest, count) = (share, share.end - share.first);
                let tasks = match turn {
                    0 => {
                        rest.first += (count * 3).div_ceil(4);
                        share.first..rest.first
                    }
                    _ => {
                        rest.end -= count.div_ceil(2);
                        rest.end..share.end
                    }
                };
                match of.compare_exchange_weak(
                    word,
                    rest.word(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => return Some(tasks.start as usize..tasks.end as usize),
                    Err(now) => word = now,
                }
            }
        })
    }

    /// Waits until another step than this is given out.
    fn wait(&self, step: usize) -> usize {
        let mut loads = 0;
        loop {
            let now = self.current.0.load(Ordering::Acquire);
            if now != step {
                return now;
            }
            loads += 1;
            if loads < SPINS {
                std::hint::spin_loop();
            } else if loads < SPINS + YIELDS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(NAP);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Steps that note who came when.
    struct Log {
        tasks: Vec<usize>,
        /// Each task of each step: how often it was done.
        done: Vec<Vec<AtomicUsize>>,
        ended: Mutex<Vec<usize>>,
    }

    impl Log {
        fn new(tasks: Vec<usize>) -> Log {
            let counters = |&count: &usize| (0..count).map(|_| AtomicUsize::new(0)).collect();
            Log {
                done: tasks.iter().map(counters).collect(),
                tasks,
                ended: Mutex::default(),
            }
        }
    }

    impl Steps for Log {
        fn tasks(&self, step: usize) -> usize {
            self.tasks[step]
        }

        fn work(&self, step: usize, tasks: Range<usize>) {
            // All of the step before is done, each task once.
            if step > 0 {
                for count in &self.done[step - 1] {
                    assert_eq!(count.load(Ordering::Relaxed), 1, "before step {step}");
                }
            }
            for task in tasks {
                self.done[step][task].fetch_add(1, Ordering::Relaxed);
            }
        }

        fn ended(&self, step: usize) {
            self.ended.lock().unwrap().push(step);
        }
    }

    fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(work)
    }

    #[test]
    fn each_task_is_done_once_and_steps_keep_their_order() {
        for threads in [1, 2, 3, 8] {
            let tasks: Vec<usize> = (0..2_000)
                .map(|step| match step % 5 {
                    0 => 1,
                    rest => step * 7919 % (rest * 13) + 1,
                })
                .collect();
            let count = tasks.len();
            let log = Log::new(tasks);
            on_threads(threads, || run(&log, 0, count));
            let ended = log.ended.into_inner().unwrap();
            assert_eq!(ended, (0..count).collect::<Vec<_>>(), "{threads} threads");
            for count in log.done.iter().flatten() {
                assert_eq!(count.load(Ordering::Relaxed), 1, "{threads} threads");
            }
        }
    }

    #[test]
    fn there_may_be_more_steps_than_a_share_can_number() {
        let count = 2 * MOST_STEPS + 10;
        let log = Log::new(vec![2; count]);
        on_threads(2, || run(&log, 0, count));
        assert_eq!(log.ended.into_inner().unwrap().len(), count);
    }

    #[test]
    fn a_share_keeps_its_parts_apart() {
        let share = Share {
            step: MOST_STEPS as u64 - 1,
            first: MOST_TASKS as u64,
            end: MOST_TASKS as u64 - 1,
        };
        let again = Share::of(share.word());
        assert_eq!(
            (again.step, again.first, again.end),
            (share.step, share.first, share.end)
        );
    }
}
