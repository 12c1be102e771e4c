//! Sessions: a program with its memory and threads.
#![allow(unsafe_code, reason = "calls generated code")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::buffer::Arena;
use super::convert;
use super::crew;
use super::float::FlushToZero;
use super::whole::WholeBatch;
use crate::codegen::Code;
use crate::driver::Program;
use crate::ir::{DType, StepScalar, ValueId, ValueKind};
use crate::lower::Domain;

/// Why a session could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is not so much memory.
    #[error("the program needs {bytes} bytes of memory, which the system does not give")]
    Memory {
        /// The size of the arena.
        bytes: usize,
    },
    /// The threads could not be started.
    #[error("could not start {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// A name that the program does not have.
    #[error("the program has no {what} named `{name}`: it has {known}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Data of another size.
    #[error("`{name}` takes {expected} elements, not {found}")]
    Size {
        /// The input or parameter.
        name: String,
        /// Its elements.
        expected: usize,
        /// The elements given.
        found: usize,
    },
    /// A batch larger than what the program was compiled for.
    #[error("a batch of {batch} is more than the {most} that the program was compiled for")]
    Batch {
        /// The batch.
        batch: usize,
        /// The largest.
        most: usize,
    },
}

/// A step ready to be called.
struct Call {
    /// The index of its kernel.
    kernel: usize,
    /// Where its addresses start in the session's list.
    args: usize,
    domain: Domain,
}

impl Call {
    /// How many tasks it may be split into.
    fn tasks(&self, batch: usize) -> usize {
        let units = self.domain.units.count(batch);
        units.div_ceil(self.domain.chunk).max(1)
    }
}

/// A copy that ends a step: an update that could not be made in place.
struct Move {
    from: usize,
    to: usize,
    bytes: usize,
}

/// A program with its memory and threads.
pub struct Session {
    program: Arc<Program>,
    arena: Arena,
    addresses: Vec<*mut u8>,
    calls: Vec<Call>,
    moves: Vec<Move>,
    /// Whether what follows from parameters is older than they are.
    is_stale: bool,
    /// Where a batch goes through in parts, what is given and asked for of all of it.
    batch: Option<WholeBatch>,
    pool: Option<ThreadPool>,
}

// SAFETY: the addresses point into the session's own arena, which moves with it.
unsafe impl Send for Session {}
// SAFETY: what takes `&self` reads memory; kernels run only under `&mut self`.
unsafe impl Sync for Session {}

/// The steps of a session, for threads that do them together.
struct Shared<'a, F> {
    calls: &'a [Call],
    addresses: *const *mut u8,
    code: &'a Code,
    batch: usize,
    ended: F,
}

// SAFETY: the list of addresses is not changed while steps run, and the runtime gives tasks of one step disjoint parts of its
// domain, which by the plan's contract write disjoint memory.
unsafe impl<F: Sync> Sync for Shared<'_, F> {}

impl<F> Shared<'_, F> {
    /// The units of a step, and how many of them a task takes.
    fn split(&self, step: usize) -> (usize, usize) {
        let domain = self.calls[step].domain;
        let units = domain.units.count(self.batch);
        (units, domain.chunk)
    }
}

impl<F: Fn(usize) + Sync> crew::Steps for Shared<'_, F> {
    fn tasks(&self, step: usize) -> usize {
        self.calls[step].tasks(self.batch)
    }

    fn work(&self, step: usize, tasks: Range<usize>) {
        let (units, chunk) = self.split(step);
        let call = &self.calls[step];
        let (lo, hi) = (tasks.start * chunk, (tasks.end * chunk).min(units));
        let kernel = self.code.kernel(call.kernel);
        // SAFETY: the addresses are those of the step's buffers in the live arena, which the list has from `args` on; `lo..hi`
        // is within its domain and disjoint from other tasks' parts, and the batch is at most the plan's.
        unsafe {
            kernel.call(
                self.addresses.add(call.args),
                lo as i64,
                hi as i64,
                self.batch as i64,
            )
        };
    }

    fn ended(&self, step: usize) {
        (self.ended)(step);
    }
}

impl Session {
    /// Takes memory for a program and starts its threads: `threads` of them, or none beside the
    /// caller's own if that is 1.
    ///
    /// # Errors
    ///
    /// The system gives neither memory nor threads without end.
    pub fn new(program: Arc<Program>, threads: usize) -> Result<Session, SessionError> {
        let plan = &program.plan;
        let bytes = plan.arena_bytes;
        let arena = Arena::new(bytes).ok_or(SessionError::Memory { bytes })?;
        let pool = match threads {
            0 | 1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|index| format!("netc-{index}"))
                    .start_handler(|_| FlushToZero::keep())
                    .build()
                    .map_err(|source| SessionError::Threads { threads, source })?,
            ),
        };
        let mut addresses = Vec::new();
        let mut calls = Vec::new();
        for step in &plan.steps {
            calls.push(Call {
                kernel: step.kernel,
                args: addresses.len(),
                domain: step.domain,
            });
            addresses.extend(step.args.iter().map(|&offset| arena.at(offset)));
        }
        let place = |value: ValueId| plan.slots.get(&value);
        let moves = program
            .graph
            .updates
            .iter()
            .filter_map(|update| Some((place(update.value)?, place(update.target)?)))
            .filter(|(from, to)| from.offset != to.offset)
            .map(|(from, to)| Move {
                from: from.offset,
                to: to.offset,
                bytes: to.bytes,
            })
            .collect();
        Ok(Session {
            arena,
            addresses,
            calls,
            moves,
            is_stale: true,
            batch: WholeBatch::of(&program)?,
            program,
            pool,
        })
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Runs a closure on a thread of the session, if it has its own: entering costs tens of
    /// microseconds, so whoever runs many steps enters once.
    pub fn enter<R: Send>(&mut self, work: impl FnOnce(&mut Session) -> R + Send) -> R {
        match self.pool.take() {
            None => work(self),
            Some(pool) => {
                let result = pool.install(|| work(self));
                self.pool = Some(pool);
                result
            }
        }
    }

    /// Takes the session's threads out, for those who enter them by themselves; until they are put
    /// back, the session runs on the current thread's pool.
    pub(crate) fn take_threads(&mut self) -> Option<ThreadPool> {
        self.pool.take()
    }

    /// Puts threads back that were taken out.
    pub(crate) fn put_threads(&mut self, pool: ThreadPool) {
        self.pool = Some(pool);
    }

    /// Runs the program once on a batch.
    ///
    /// # Errors
    ///
    /// The batch is larger than the program allows.
    pub fn run(&mut self, batch: usize) -> Result<(), SessionError> {
        let most = self.program.images;
        if batch > most {
            return Err(SessionError::Batch { batch, most });
        }
        match self.batch.take() {
            None => self.run_part(batch),
            Some(mut whole) => {
                self.each_part(&mut whole, batch, |session, count| session.run_part(count));
                self.batch = Some(whole);
            }
        }
        Ok(())
    }

    /// Brings each part of a batch in, does something with it, and takes its results out.
    fn each_part(
        &mut self,
        whole: &mut WholeBatch,
        batch: usize,
        mut work: impl FnMut(&mut Session, usize),
    ) {
        let program = self.program.clone();
        let most = program.plan.batch;
        for first in (0..batch).step_by(most) {
            let count = most.min(batch - first);
            let part = |value: ValueId| {
                let each = program.graph.ty(value).shape.elements();
                first * each..(first + count) * each
            };
            for (value, data) in whole.inputs() {
                self.place(value, &data[part(value)]);
            }
            work(self, count);
            whole.write_outputs(|value, data| self.read_into(value, &mut data[part(value)]));
        }
    }

    /// Runs the program once on as many images as go through at a time.
    fn run_part(&mut self, batch: usize) {
        self.set_scalar(StepScalar::InverseBatch, 1.0 / batch.max(1) as f32);
        let first = match std::mem::take(&mut self.is_stale) {
            true => 0,
            false => self.program.plan.fixed_steps,
        };
        match &self.pool {
            // Other threads would be woken for nothing: it takes longer than such a net.
            Some(_)
                if self.calls[first..]
                    .iter()
                    .all(|call| call.tasks(batch) == 1) =>
            {
                self.steps_alone(first, batch, |_| {});
            }
            Some(pool) => pool.install(|| self.steps(first, batch)),
            // Within `enter` the current thread is the pool's.
            None => self.steps(first, batch),
        }
        for index in 0..self.moves.len() {
            let Move { from, to, bytes } = self.moves[index];
            let count = bytes / size_of::<f32>();
            // Updates are whole buffers; the two never overlap.
            let (from, to) = (self.arena.at(from), self.arena.at(to));
            // SAFETY: both ranges lie in the arena and belong to different buffers of the plan.
            unsafe { std::ptr::copy_nonoverlapping(from.cast::<f32>(), to.cast::<f32>(), count) };
        }
    }

    /// Runs all steps from the first one on.
    fn steps(&self, first: usize, batch: usize) {
        self.each_step(first, batch, |_| {});
    }

    /// The same, with each step's number handed to `ended` when it has.
    fn each_step(&self, first: usize, batch: usize, ended: impl Fn(usize) + Sync) {
        if rayon::current_thread_index().is_some() && rayon::current_num_threads() > 1 {
            let shared = Shared {
                calls: &self.calls,
                addresses: self.addresses.as_ptr(),
                code: &self.program.code,
                batch,
                ended,
            };
            crew::run(&shared, first, self.calls.len());
            return;
        }
        self.steps_alone(first, batch, ended);
    }

    /// The same by this thread alone.
    fn steps_alone(&self, first: usize, batch: usize, ended: impl Fn(usize)) {
        let _mode = FlushToZero::set();
        for (number, call) in self.calls.iter().enumerate().skip(first) {
            let args = self.addresses[call.args..].as_ptr();
            let units = call.domain.units.count(batch);
            let kernel = self.program.code.kernel(call.kernel);
            // SAFETY: the addresses are those of the step's buffers in the live arena, this thread has the whole domain,
            // and the batch is at most the plan's.
            unsafe { kernel.call(args, 0, units as i64, batch as i64) };
            ended(number);
        }
    }

    /// The time of each of the plan's steps, the fastest of several runs, in the order of the plan; nothing for those that
    /// depend on parameters alone. The steps run in order, as in [`Session::run`], so each finds the caches as the others
    /// left them.
    ///
    /// # Errors
    ///
    /// The batch is larger than the program allows.
    pub fn profile(&mut self, batch: usize, runs: usize) -> Result<Vec<Duration>, SessionError> {
        let fixed = self.program.plan.fixed_steps;
        let mut times = vec![Duration::MAX; self.calls.len()];
        // What follows from parameters must be there.
        self.run(batch)?;
        for _ in 0..runs.max(1) {
            let mut run = vec![Duration::ZERO; self.calls.len()];
            match self.batch.take() {
                None => self.profile_part(batch, &mut run),
                Some(mut whole) => {
                    self.each_part(&mut whole, batch, |session, count| {
                        session.profile_part(count, &mut run);
                    });
                    self.batch = Some(whole);
                }
            }
            for (time, run) in times.iter_mut().zip(run) {
                *time = (*time).min(run);
            }
        }
        times[..fixed].fill(Duration::ZERO);
        Ok(times)
    }

    /// Runs the program on as many images as go through at a time, and adds the time of each step.
    fn profile_part(&self, batch: usize, times: &mut [Duration]) {
        let fixed = self.program.plan.fixed_steps;
        let ends: Vec<AtomicU64> = self.calls.iter().map(|_| AtomicU64::new(0)).collect();
        let run = || {
            let start = Instant::now();
            self.each_step(fixed, batch, |number| {
                let end = start.elapsed().as_nanos();
                ends[number].store(u64::try_from(end).unwrap_or(u64::MAX), Ordering::Relaxed);
            });
        };
        match &self.pool {
            Some(pool) => pool.install(run),
            None => run(),
        }
        let mut before = 0;
        for (time, end) in times.iter_mut().zip(&ends).skip(fixed) {
            let end = end.load(Ordering::Relaxed);
            *time += Duration::from_nanos(end - before);
            before = end;
        }
    }

    /// The value of a name. Finding one allocates nothing: steps look their inputs up.
    fn named(&self, what: &'static str, name: &str) -> Result<ValueId, SessionError> {
        let mut found = None;
        self.each_name(what, &mut |known, value| {
            if known == name {
                found = found.or(Some(value));
            }
        });
        found.ok_or_else(|| {
            let mut known = Vec::new();
            self.each_name(what, &mut |name, _| known.push(name.to_owned()));
            let known = match known.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            let name = name.to_owned();
            SessionError::Unknown { what, name, known }
        })
    }

    fn each_name(&self, what: &'static str, visit: &mut dyn FnMut(&str, ValueId)) {
        let graph = &self.program.graph;
        if what == "output" {
            for output in &graph.outputs {
                visit(&output.name, output.value);
            }
            return;
        }
        for (id, value) in graph.values.iter() {
            match &value.kind {
                ValueKind::Input(name) if what == "input" => visit(name, id),
                ValueKind::Param(param) if what == "parameter" => visit(&param.name, id),
                ValueKind::State(name) if what == "state" => visit(name, id),
                ValueKind::Input(_)
                | ValueKind::Param(_)
                | ValueKind::State(_)
                | ValueKind::Step(_)
                | ValueKind::Result { .. } => {}
            }
        }
    }

    /// Sets an input: one image after another, each in C, H, W order.
    ///
    /// # Errors
    ///
    /// There is no such input, or the data is not a whole number of images that fit.
    pub fn set_input(&mut self, name: &str, data: &[f32]) -> Result<(), SessionError> {
        let value = self.named("input", name)?;
        self.write(value, name, data, false)
    }

    /// Sets an integer input, such as labels.
    ///
    /// # Errors
    ///
    /// There is no such input, or the data is not a whole number of images that fit.
    pub fn set_labels(&mut self, name: &str, labels: &[u32]) -> Result<(), SessionError> {
        let value = self.named("input", name)?;
        debug_assert_eq!(self.program.graph.ty(value).dtype, DType::I32);
        let slot = &self.program.plan.slots[&value];
        let most = slot.bytes / size_of::<u32>();
        if labels.len() > most {
            return Err(SessionError::Size {
                name: name.to_owned(),
                expected: most,
                found: labels.len(),
            });
        }
        let to = self.arena.floats_mut(slot.offset, labels.len());
        for (to, &label) in to.iter_mut().zip(labels) {
            *to = f32::from_bits(label);
        }
        Ok(())
    }

    /// Sets a parameter, in PyTorch's order of its axes.
    ///
    /// # Errors
    ///
    /// There is no such parameter, or it has another size.
    pub fn set_param(&mut self, name: &str, data: &[f32]) -> Result<(), SessionError> {
        let value = self.named("parameter", name)?;
        self.is_stale = true;
        self.write(value, name, data, true)
    }

    /// A parameter, in PyTorch's order of its axes.
    ///
    /// # Errors
    ///
    /// There is no such parameter.
    pub fn param(&self, name: &str) -> Result<Vec<f32>, SessionError> {
        let value = self.named("parameter", name)?;
        Ok(self.read(value, 1))
    }

    /// A tensor of the optimiser, in the order of its parameter's axes.
    ///
    /// # Errors
    ///
    /// There is no such state.
    pub fn state(&self, name: &str) -> Result<Vec<f32>, SessionError> {
        let value = self.named("state", name)?;
        Ok(self.read(value, 1))
    }

    /// Copies a parameter or, with `what` being `state`, a tensor of the optimiser into a buffer of exactly
    /// its size, without allocating.
    ///
    /// # Errors
    ///
    /// There is none of that name, or the buffer has another size.
    pub fn read_kept(
        &self,
        what: &'static str,
        name: &str,
        to: &mut [f32],
    ) -> Result<(), SessionError> {
        let value = self.named(what, name)?;
        let expected = self.program.graph.ty(value).shape.elements();
        if to.len() != expected {
            return Err(SessionError::Size {
                name: name.to_owned(),
                expected,
                found: to.len(),
            });
        }
        self.read_into(value, to);
        Ok(())
    }

    /// Sets a tensor of the optimiser.
    ///
    /// # Errors
    ///
    /// There is no such state, or it has another size.
    pub fn set_state(&mut self, name: &str, data: &[f32]) -> Result<(), SessionError> {
        let value = self.named("state", name)?;
        self.write(value, name, data, true)
    }

    /// An output of the last run for a batch of so many images, each in C, H, W order.
    ///
    /// # Errors
    ///
    /// There is no such output.
    pub fn output(&self, name: &str, batch: usize) -> Result<Vec<f32>, SessionError> {
        let value = self.named("output", name)?;
        Ok(self.read(value, batch))
    }

    /// Copies an output of the last run into a buffer of exactly its size, without allocating.
    ///
    /// # Errors
    ///
    /// There is no such output, or the buffer has another size.
    pub fn read_output(
        &self,
        name: &str,
        batch: usize,
        to: &mut [f32],
    ) -> Result<(), SessionError> {
        let value = self.named("output", name)?;
        let shape = &self.program.graph.ty(value).shape;
        let expected = shape.elements() * if shape.batched { batch } else { 1 };
        if to.len() != expected {
            return Err(SessionError::Size {
                name: name.to_owned(),
                expected,
                found: to.len(),
            });
        }
        self.read_into(value, to);
        Ok(())
    }

    /// Sets a step scalar, if the program reads it.
    pub fn set_scalar(&mut self, scalar: StepScalar, value: f32) {
        self.set_scalar_bits(scalar, value.to_bits());
    }

    /// Sets the seed of this step's dropout masks.
    pub fn set_seed(&mut self, seed: u32) {
        self.set_scalar_bits(StepScalar::Seed, seed);
    }

    fn set_scalar_bits(&mut self, scalar: StepScalar, bits: u32) {
        for index in 0..self.program.plan.scalars.len() {
            let (known, offset) = self.program.plan.scalars[index];
            if known == scalar {
                self.arena.floats_mut(offset, 1)[0] = f32::from_bits(bits);
            }
        }
    }

    fn write(
        &mut self,
        value: ValueId,
        name: &str,
        data: &[f32],
        exact: bool,
    ) -> Result<(), SessionError> {
        let entry = &self.program.graph.values[value];
        let elements = entry.ty.shape.elements();
        let images = match entry.ty.shape.batched {
            true => self.program.images,
            false => 1,
        };
        let most = elements * images;
        let fits = data.len() <= most && data.len().is_multiple_of(elements.max(1));
        if !fits || (exact && data.len() != most) {
            let name = name.to_owned();
            return Err(SessionError::Size {
                name,
                expected: most,
                found: data.len(),
            });
        }
        match self.batch.as_mut().and_then(|whole| whole.input_mut(value)) {
            Some(held) => held[..data.len()].copy_from_slice(data),
            None => self.place(value, data),
        }
        Ok(())
    }

    /// Puts images, or one parameter, where the program reads them.
    fn place(&mut self, value: ValueId, data: &[f32]) {
        let entry = &self.program.graph.values[value];
        let elements = entry.ty.shape.elements();
        let stride = entry.layout.image_stride();
        let offset = self.program.plan.slots[&value].offset;
        let has_halo = entry.layout.origin() != 0 || !entry.layout.is_dense();
        for (index, image) in data.chunks_exact(elements.max(1)).enumerate() {
            let at = offset + index * stride * size_of::<f32>();
            let to = self.arena.floats_mut(at, stride);
            // A halo is zero when the program reads it; its memory may have been another buffer's.
            if has_halo {
                to.fill(0.0);
            }
            convert::scatter(&entry.layout, image, to);
        }
    }

    fn read(&self, value: ValueId, batch: usize) -> Vec<f32> {
        let shape = &self.program.graph.ty(value).shape;
        let images = if shape.batched { batch } else { 1 };
        let mut data = vec![0.0; shape.elements() * images];
        self.read_into(value, &mut data);
        data
    }

    fn read_into(&self, value: ValueId, to: &mut [f32]) {
        if let Some(held) = self.batch.as_ref().and_then(|whole| whole.output(value)) {
            return to.copy_from_slice(&held[..to.len()]);
        }
        let entry = &self.program.graph.values[value];
        let stride = entry.layout.image_stride();
        let offset = self.program.plan.slots[&value].offset;
        // What lies in another value ends before an image of that does.
        let length = stride - self.program.graph.place(value).channel;
        for (index, image) in to
            .chunks_exact_mut(entry.ty.shape.elements().max(1))
            .enumerate()
        {
            let at = offset + index * stride * size_of::<f32>();
            convert::gather(&entry.layout, self.arena.floats(at, length), image);
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("net", &self.program.graph.name)
            .field("arena_bytes", &self.arena.len())
            .field("steps", &self.calls.len())
            .finish_non_exhaustive()
    }
}
