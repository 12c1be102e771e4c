//! Running a graph, compiled or by the reference interpreter, behind one face.

use std::sync::Arc;

use crate::codegen::{CodegenError, Target};
use crate::driver::{self, Options};
use crate::interp::{self, Bindings, StepValues};
use crate::ir::{DType, Graph, StepScalar, Value, ValueId, ValueKind};
use crate::model::NamedParam;
use crate::ops::array::{Array, Real, len};
use crate::runtime::{Session, SessionError};

/// What computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Machine code.
    Compiled {
        /// The machine.
        target: Target,
        /// Threads.
        threads: usize,
        /// Whether convolutions may be done by the method of Winograd: faster, and with tiles of 4 x 4 up to six
        /// times the error of the direct sum.
        winograd: bool,
    },
    /// The operators' references in f32.
    InterpretF32,
    /// The operators' references in f64.
    InterpretF64,
}

impl Engine {
    /// Machine code for this machine's best tier, on all of its processors.
    pub fn host() -> Engine {
        Engine::Compiled {
            target: Target::host(),
            threads: processors(),
            winograd: true,
        }
    }
}

/// The processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a graph keeps from step to step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// A parameter.
    Param,
    /// A tensor of the optimiser.
    State,
}

impl Kept {
    fn what(self) -> &'static str {
        match self {
            Kept::Param => "parameter",
            Kept::State => "state",
        }
    }
}

/// Why a graph could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Machine code could not be made.
    #[error(transparent)]
    Code(#[from] CodegenError),
    /// Memory, threads, names or sizes.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A graph with its parameters, ready to run batches.
#[derive(Debug)]
pub struct Runner {
    graph: Graph,
    most: usize,
    state: State,
}

/// The session is much larger than the bindings, but there is one runner at a time.
#[derive(Debug)]
enum State {
    Compiled(Box<Session>),
    F32(Interpreted<f32>),
    F64(Interpreted<f64>),
}

#[derive(Debug)]
struct Interpreted<T> {
    bindings: Bindings<T>,
    step: StepValues,
    /// The outputs of the last run, in order.
    outputs: Vec<Vec<f32>>,
}

impl<T: Real> Interpreted<T> {
    fn new(graph: &Graph) -> Interpreted<T> {
        Interpreted {
            bindings: Bindings::new(graph),
            step: StepValues::REST,
            outputs: Vec::new(),
        }
    }

    fn set(&mut self, graph: &Graph, value: ValueId, data: impl Iterator<Item = f64>) {
        let data = data.map(T::from_f64).collect();
        let array = Array::new(graph.ty(value).shape.clone(), data);
        self.bindings.set(value, array);
    }

    fn run(&mut self, graph: &Graph, batch: usize) {
        let values = interp::run_step(graph, batch, &self.step, &mut self.bindings);
        let read = |value: ValueId| values[value].data().iter().map(|x| x.to_f64() as f32);
        let outputs = graph.outputs.iter();
        self.outputs = outputs.map(|output| read(output.value).collect()).collect();
    }
}

impl Runner {
    /// Prepares a graph for batches of up to `batch` images.
    ///
    /// # Errors
    ///
    /// There is no code, memory or thread, or a parameter is missing from the graph or has another
    /// size.
    pub fn new(
        graph: &Graph,
        batch: usize,
        engine: &Engine,
        params: &[NamedParam],
    ) -> Result<Runner, RunError> {
        let state = match engine {
            Engine::Compiled {
                target,
                threads,
                winograd,
            } => {
                let options = Options {
                    target: target.clone(),
                    winograd: *winograd,
                    ..Options::new(batch)
                };
                let program = driver::compile(graph, &options)?;
                State::Compiled(Box::new(Session::new(Arc::new(program), *threads)?))
            }
            Engine::InterpretF32 => State::F32(Interpreted::new(graph)),
            Engine::InterpretF64 => State::F64(Interpreted::new(graph)),
        };
        let mut runner = Runner {
            graph: graph.clone(),
            most: batch,
            state,
        };
        for (name, _, data) in params {
            runner.set_param(name, data)?;
        }
        Ok(runner)
    }

    /// Sets a parameter, in PyTorch's order of its axes.
    ///
    /// # Errors
    ///
    /// There is no such parameter, or it has another size.
    pub fn set_param(&mut self, name: &str, data: &[f32]) -> Result<(), RunError> {
        let value = match &mut self.state {
            State::Compiled(session) => return Ok(session.set_param(name, data)?),
            State::F32(_) | State::F64(_) => self.value(name, "parameter")?,
        };
        let expected = self.graph.ty(value).shape.elements();
        self.check_size(name, expected, data.len())?;
        self.interpret_set(value, data.iter().map(|&x| f64::from(x)));
        Ok(())
    }

    /// Sets an input: one image after another, each in C, H, W order.
    ///
    /// # Errors
    ///
    /// There is no such input, or the data is not a whole number of images that fit.
    pub fn set_input(&mut self, name: &str, data: &[f32]) -> Result<(), RunError> {
        let value = match &mut self.state {
            State::Compiled(session) => return Ok(session.set_input(name, data)?),
            State::F32(_) | State::F64(_) => self.value(name, "input")?,
        };
        self.check_batch(value, name, data.len())?;
        self.interpret_set(value, data.iter().map(|&x| f64::from(x)));
        Ok(())
    }

    /// Sets labels. They must have been held against the number of classes.
    ///
    /// # Errors
    ///
    /// There is no such input, or there are too many labels.
    pub fn set_labels(&mut self, name: &str, labels: &[u32]) -> Result<(), RunError> {
        let value = match &mut self.state {
            State::Compiled(session) => return Ok(session.set_labels(name, labels)?),
            State::F32(_) | State::F64(_) => self.value(name, "input")?,
        };
        self.check_batch(value, name, labels.len())?;
        self.interpret_set(value, labels.iter().map(|&x| f64::from(x)));
        Ok(())
    }

    /// Sets the seed of the masks of dropout; below 2^24.
    pub fn set_seed(&mut self, seed: u32) {
        match &mut self.state {
            State::Compiled(session) => session.set_seed(seed),
            State::F32(interpreted) => interpreted.step.seed = seed,
            State::F64(interpreted) => interpreted.step.seed = seed,
        }
    }

    /// Sets a number that graphs of training steps read.
    pub fn set_scalar(&mut self, scalar: StepScalar, number: f64) {
        let set = |step: &mut StepValues| match scalar {
            StepScalar::LearningRate => step.learning_rate = number,
            StepScalar::FirstMomentCorrection => step.first_moment_correction = number,
            StepScalar::SecondMomentCorrection => step.second_moment_correction = number,
            StepScalar::VelocityShare => step.velocity_share = number,
            StepScalar::GroupShare => step.group_share = number,
            StepScalar::Continues => step.continues = number,
            StepScalar::Applies => step.applies = number,
            StepScalar::Waits => step.applies = 1.0 - number,
            // These follow from the batch and from `set_seed`.
            StepScalar::InverseBatch | StepScalar::Seed => {}
        };
        match &mut self.state {
            State::Compiled(session) => session.set_scalar(scalar, number as f32),
            State::F32(interpreted) => set(&mut interpreted.step),
            State::F64(interpreted) => set(&mut interpreted.step),
        }
    }

    /// Runs a batch. Every input must have been set to a batch of that size.
    ///
    /// # Errors
    ///
    /// The batch is larger than what was prepared for.
    pub fn run(&mut self, batch: usize) -> Result<(), RunError> {
        if batch > self.most {
            let most = self.most;
            return Err(SessionError::Batch { batch, most }.into());
        }
        match &mut self.state {
            State::Compiled(session) => session.run(batch)?,
            State::F32(interpreted) => interpreted.run(&self.graph, batch),
            State::F64(interpreted) => interpreted.run(&self.graph, batch),
        }
        Ok(())
    }

    /// An output of the last run.
    ///
    /// # Errors
    ///
    /// There is no such output.
    pub fn output(&self, name: &str, batch: usize) -> Result<Vec<f32>, RunError> {
        let outputs = match &self.state {
            State::Compiled(session) => return Ok(session.output(name, batch)?),
            State::F32(interpreted) => &interpreted.outputs,
            State::F64(interpreted) => &interpreted.outputs,
        };
        let place = self.graph.outputs.iter().position(|o| o.name == name);
        match place.and_then(|place| outputs.get(place)) {
            Some(data) => Ok(data.clone()),
            None => Err(unknown(
                "output",
                name,
                self.graph.outputs.iter().map(|output| &*output.name),
            )),
        }
    }

    /// Copies an output of the last run into a buffer of exactly its size; from machine code without
    /// allocating.
    ///
    /// # Errors
    ///
    /// There is no such output, or the buffer has another size.
    pub fn read_output(&self, name: &str, batch: usize, to: &mut [f32]) -> Result<(), RunError> {
        if let State::Compiled(session) = &self.state {
            return Ok(session.read_output(name, batch, to)?);
        }
        let data = self.output(name, batch)?;
        self.check_size(name, data.len(), to.len())?;
        to.copy_from_slice(&data);
        Ok(())
    }

    /// The session, where there is machine code.
    pub fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Compiled(session) => Some(session),
            State::F32(_) | State::F64(_) => None,
        }
    }

    /// The session's threads, for those who enter them once for many steps, which saves tens of
    /// microseconds a step. Until they are put back, steps run on the current thread's pool.
    pub fn take_threads(&mut self) -> Option<rayon::ThreadPool> {
        match &mut self.state {
            State::Compiled(session) => session.take_threads(),
            State::F32(_) | State::F64(_) => None,
        }
    }

    /// Puts threads back that were taken.
    pub fn put_threads(&mut self, threads: rayon::ThreadPool) {
        if let State::Compiled(session) = &mut self.state {
            session.put_threads(threads);
        }
    }

    /// The graph that runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// A parameter, in PyTorch's order of its axes.
    ///
    /// # Errors
    ///
    /// There is no such parameter.
    pub fn param(&self, name: &str) -> Result<Vec<f32>, RunError> {
        fn narrow<T: Real>(array: &Array<T>) -> Vec<f32> {
            array.data().iter().map(|x| x.to_f64() as f32).collect()
        }
        let value = match &self.state {
            State::Compiled(session) => return Ok(session.param(name)?),
            State::F32(_) | State::F64(_) => self.value(name, "parameter")?,
        };
        Ok(match &self.state {
            State::F32(interpreted) => narrow(interpreted.bindings.get(value)),
            State::F64(interpreted) => narrow(interpreted.bindings.get(value)),
            State::Compiled(_) => Vec::new(),
        })
    }

    /// What the graph keeps from step to step, in order: parameters and the optimiser's states, with
    /// their sizes.
    pub fn kept(&self) -> Vec<(Kept, String, Vec<usize>)> {
        let kept = |(id, value): (ValueId, &Value)| {
            let (kind, name): (Kept, &str) = match &value.kind {
                ValueKind::Param(param) => (Kept::Param, &param.name),
                ValueKind::State(name) => (Kept::State, name),
                ValueKind::Input(_) | ValueKind::Step(_) | ValueKind::Result { .. } => return None,
            };
            Some((kind, name.to_owned(), self.graph.dims(id).to_vec()))
        };
        self.graph.values.iter().filter_map(kept).collect()
    }

    /// Copies something kept into a buffer of exactly its size; from machine code without allocating.
    ///
    /// # Errors
    ///
    /// There is none of that name, or the buffer has another size.
    pub fn read_kept(&self, kind: Kept, name: &str, to: &mut [f32]) -> Result<(), RunError> {
        fn narrow<T: Real>(array: &Array<T>, to: &mut [f32]) {
            for (to, from) in to.iter_mut().zip(array.data()) {
                *to = from.to_f64() as f32;
            }
        }
        if let State::Compiled(session) = &self.state {
            return Ok(session.read_kept(kind.what(), name, to)?);
        }
        let value = self.value(name, kind.what())?;
        self.check_size(name, self.graph.ty(value).shape.elements(), to.len())?;
        match &self.state {
            State::F32(interpreted) => narrow(interpreted.bindings.get(value), to),
            State::F64(interpreted) => narrow(interpreted.bindings.get(value), to),
            State::Compiled(_) => {}
        }
        Ok(())
    }

    /// Sets something kept, in PyTorch's order of its axes.
    ///
    /// # Errors
    ///
    /// There is none of that name, or it has another size.
    pub fn set_kept(&mut self, kind: Kept, name: &str, data: &[f32]) -> Result<(), RunError> {
        if let (Kept::State, State::Compiled(session)) = (kind, &mut self.state) {
            return Ok(session.set_state(name, data)?);
        }
        self.set_param(name, data)
    }

    fn interpret_set(&mut self, value: ValueId, data: impl Iterator<Item = f64>) {
        match &mut self.state {
            State::F32(interpreted) => interpreted.set(&self.graph, value, data),
            State::F64(interpreted) => interpreted.set(&self.graph, value, data),
            State::Compiled(_) => {}
        }
    }

    fn value(&self, name: &str, what: &'static str) -> Result<ValueId, RunError> {
        interp::named(&self.graph, name)
            .ok_or_else(|| unknown(what, name, self.graph.inputs().map(|(_, name)| name)))
    }

    /// Holds the data for an input against its size.
    fn check_batch(&self, value: ValueId, name: &str, found: usize) -> Result<(), RunError> {
        let shape = &self.graph.ty(value).shape;
        let one = shape.elements().max(1);
        let most = len(shape, self.most);
        let expected = if found <= most && found.is_multiple_of(one) {
            found
        } else {
            most
        };
        self.check_size(name, expected, found)
    }

    fn check_size(&self, name: &str, expected: usize, found: usize) -> Result<(), RunError> {
        if expected == found {
            return Ok(());
        }
        let name = name.to_owned();
        Err(SessionError::Size {
            name,
            expected,
            found,
        }
        .into())
    }
}

fn unknown<'n>(what: &'static str, name: &str, known: impl Iterator<Item = &'n str>) -> RunError {
    let known: Vec<&str> = known.collect();
    let (name, known) = (name.to_owned(), known.join(", "));
    SessionError::Unknown { what, name, known }.into()
}

/// Whether an input is a label, not numbers.
pub fn takes_labels(graph: &Graph, name: &str) -> bool {
    graph
        .inputs()
        .any(|(value, known)| known == name && graph.ty(value).dtype == DType::I32)
}
