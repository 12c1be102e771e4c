//! A net of a file, ready for everything that is done with nets: the face of the library.
//!
//! ```no_run
//! use netc::engine::{Engine, Runner};
//! use netc::sema::Mode;
//!
//! let net = netc::Net::open("examples/lenet5.net", &[])?;
//! let model = net.model(Mode::Infer)?;
//! let params = net.parameters(Mode::Infer, None, 1)?;
//! let mut runner = Runner::new(&model.graph, 1, &Engine::host(), &params)?;
//! runner.set_input("input", &[0.5; 784])?;
//! runner.run(1)?;
//! let scores = runner.output("output", 1)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod provenance;

pub use provenance::Provenance;

use std::path::{Path, PathBuf};

use crate::diag::{Diagnostic, Files, Renderer, Terminal};
use crate::io::InFile;
use crate::io::atomic::WriteError;
use crate::io::near;
use crate::io::weights::{
    self, Difference, NamedTensor, WeightsError, WeightsFile, WeightsProblem,
};
use crate::ir::{Graph, Init, Param};
use crate::ops::ShapeError;
use crate::program::{Disk, Program, Sources, Texts};
use crate::runtime::params;
use crate::sema::{self, InitRule, Mode, Model, Override, TrainConfig};
use crate::syntax;
use crate::train::loss::{Loss, LossKind, OutputLoss};
use crate::train::step::{self, StepConfig};

/// A net of a file.
#[derive(Debug)]
pub struct Net {
    /// The file.
    pub path: PathBuf,
    /// The sources, for rendering diagnostics.
    pub files: Files,
    /// The file with all files that it uses.
    pub program: Program,
    /// Findings of the parser that the file survives.
    pub warnings: Vec<Diagnostic>,
    name: Option<String>,
    overrides: Vec<Override>,
}

/// Diagnostics with the sources that they point to.
#[derive(Debug)]
pub struct Findings {
    /// The sources.
    pub files: Files,
    /// What was found, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let renderer = Terminal { color: false };
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let gap = if index > 0 { "\n\n" } else { "" };
            write!(f, "{gap}{}", renderer.render(diagnostic, &self.files))?;
        }
        Ok(())
    }
}

/// Why a net could not be had or used.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The file could not be read.
    #[error("cannot read `{}`: {source}{}", path.display(), near::hint(path, "net"))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<std::io::Error>,
    },
    /// The text has errors.
    #[error("{0}")]
    Text(Box<Findings>),
    /// The file says nothing of what training needs.
    #[error("{net} cannot be trained: {problem}")]
    Training {
        /// The net.
        net: String,
        /// What is missing, and how to mend it.
        problem: String,
    },
    /// The loss does not fit the output.
    #[error("the loss does not fit the output of {net}: {source}")]
    Loss {
        /// The net.
        net: String,
        /// Why.
        source: Box<ShapeError>,
    },
    /// The weights could not be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// A parameter's path and sizes, in PyTorch's order of axes.
type Named = (String, Vec<usize>);

/// A parameter's path, sizes and values, in PyTorch's order of axes.
pub type NamedParam = (String, Vec<usize>, Vec<f32>);

impl Net {
    /// Opens `FILE` or `FILE:NAME`, NAME being a net or preset of it, with the files that it uses. Overrides are as in
    /// `classes=100` or `train.epochs=3`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or does not parse, what it uses is not there, or an override is malformed.
    pub fn open(spec: &str, overrides: &[String]) -> Result<Net, NetError> {
        let (path, name) = split(spec);
        let bytes = std::fs::read(path).map_err(|source| NetError::Read {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Net::load(path, &bytes, &Disk, name, overrides)
    }

    /// Takes the text of a file that stands alone: it may use what is shipped, and no other file. `path` is only named
    /// in messages.
    ///
    /// # Errors
    ///
    /// The text does not parse, or an override is malformed.
    pub fn parse(
        path: &Path,
        bytes: &[u8],
        name: Option<&str>,
        overrides: &[String],
    ) -> Result<Net, NetError> {
        Net::load(path, bytes, &Texts::new(), name, overrides)
    }

    /// Takes the text of a file that has been read; the files that it uses come from `sources`, by paths relative to
    /// `path`.
    ///
    /// # Errors
    ///
    /// A text does not parse, what is used is not there, or an override is malformed.
    pub fn load(
        path: &Path,
        bytes: &[u8],
        sources: &dyn Sources,
        name: Option<&str>,
        overrides: &[String],
    ) -> Result<Net, NetError> {
        let mut files = Files::new();
        let file = match syntax::read(&mut files, &path.display().to_string(), bytes) {
            Ok(file) => file,
            Err(diagnostic) => return Err(text(files, vec![*diagnostic])),
        };
        let loaded = Program::load(&mut files, file, path, sources);
        let mut parsed_overrides = Vec::new();
        let mut errors = Vec::new();
        for override_text in overrides {
            match Override::parse(&mut files, override_text) {
                Ok(parsed) => parsed_overrides.push(parsed),
                Err(diagnostics) => errors.extend(diagnostics),
            }
        }
        let Some(program) = loaded.program else {
            errors.extend(loaded.diagnostics);
            if let Some(rest) = &loaded.recovered {
                errors.extend(sema::check_recovered(rest, &files, name, &parsed_overrides));
            }
            crate::diag::sort(&mut errors);
            return Err(text(files, errors));
        };
        if !errors.is_empty() {
            return Err(text(files, errors));
        }
        Ok(Net {
            path: path.to_owned(),
            files,
            program,
            warnings: loaded.diagnostics,
            name: name.map(str::to_owned),
            overrides: parsed_overrides,
        })
    }

    /// The net for use or for training. Outputs that have losses come first, in the order of the
    /// losses; heads that exist only in training come last.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the net, its `train` section or the overrides.
    pub fn model(&self, mode: Mode) -> Result<Model, NetError> {
        self.model_of(self.name(), mode)
    }

    /// The name after the file's, if one was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What sets parameters of the net and values of its `train` section from outside.
    #[must_use]
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// As [`Net::model`], for the net or preset of a name.
    ///
    /// # Errors
    ///
    /// As [`Net::model`].
    pub fn model_of(&self, name: Option<&str>, mode: Mode) -> Result<Model, NetError> {
        let elaborated = sema::elaborate(&self.program, &self.files, name, &self.overrides, mode);
        let mut model = elaborated.map_err(|diagnostics| text(self.files.clone(), diagnostics))?;
        let losses = model.train.iter().flat_map(|train| &train.losses);
        let judged: Vec<String> = losses.filter_map(|loss| loss.output.clone()).collect();
        let aux = &model.aux;
        model.graph.outputs.sort_by_key(|output| {
            let is_aux = aux.iter().any(|aux| aux.output == output.name);
            let place = judged.iter().position(|name| *name == output.name);
            (is_aux, place.unwrap_or(judged.len()))
        });
        Ok(model)
    }

    /// The parameters of the net from a weights file, or fresh ones from a seed. A file may have the
    /// parameters of heads that exist only in training, also where the net is for use.
    ///
    /// # Errors
    ///
    /// The net has errors, the file cannot be read, or its tensors are not the net's.
    pub fn parameters(
        &self,
        mode: Mode,
        weights: Option<&Path>,
        seed: u64,
    ) -> Result<Vec<NamedParam>, NetError> {
        let model = self.model(mode)?;
        let graph = &model.graph;
        let Some(path) = weights else {
            let mut fresh = params::all(graph, seed);
            self.read_starts(&model, &mut fresh)?;
            return Ok(fresh);
        };
        let wanted = names_and_dims(graph);
        // The parameters of heads that exist only in training may be there.
        let known = || Ok(names_and_dims(&self.model(Mode::Train)?.graph));
        let is_known = |known: &[Named], tensor: &Named| known.contains(tensor);
        read(path, &wanted, &known, &is_known)
    }

    /// Reads what initialisers take from files. A file for the whole net must have nothing that the net
    /// lacks; from one for single layers, only their tensors are looked at.
    fn read_starts(&self, model: &Model, fresh: &mut [NamedParam]) -> Result<(), NetError> {
        let whole = model.train.as_ref().and_then(|train| match train.init {
            InitRule::File { index, .. } => Some(index),
            _ => None,
        });
        for (index, file) in model.init_files.iter().enumerate() {
            let from_file = |(_, param): &(_, &Param)| param.init == Init::File { index };
            let wanted: Vec<(String, Vec<usize>)> = model
                .graph
                .params()
                .filter(from_file)
                .map(|(value, param)| (param.name.clone(), model.graph.dims(value).to_vec()))
                .collect();
            let folder = self.path.parent().unwrap_or(Path::new(""));
            let path = folder.join(&*file.path);
            let known = || Ok(names_and_dims(&self.model(Mode::Train)?.graph));
            // Layers with an initialiser of their own may have other sizes in the file.
            let is_known = |known: &[Named], tensor: &Named| {
                Some(index) != whole || known.iter().any(|(name, _)| *name == tensor.0)
            };
            for (name, dims, data) in read(&path, &wanted, &known, &is_known)? {
                if let Some(own) = fresh.iter_mut().find(|(own, ..)| *own == name) {
                    *own = (name, dims, data);
                }
            }
        }
        Ok(())
    }
}

/// The wanted tensors of a weights file. Further ones are an error unless `is_known` says of all that the net has in
/// training that they belong to it.
fn read(
    path: &Path,
    wanted: &[Named],
    known: &dyn Fn() -> Result<Vec<Named>, NetError>,
    is_known: &dyn Fn(&[Named], &Named) -> bool,
) -> Result<Vec<NamedParam>, NetError> {
    let mut file = WeightsFile::open(path)?;
    let mut difference = weights::difference(wanted, &file);
    if !difference.extra.is_empty() {
        let known = known()?;
        difference.extra.retain(|tensor| !is_known(&known, tensor));
    }
    if difference != Difference::default() {
        return Err(InFile::new(path, WeightsProblem::Misfit(difference)).into());
    }
    wanted
        .iter()
        .map(|(name, dims)| {
            let tensor = file.read(name)?;
            Ok((name.clone(), dims.clone(), tensor.into_data()))
        })
        .collect()
}

impl Net {
    /// As [`Net::parameters`], but takes from the file only the tensors that fit, and gives all others
    /// fresh values; beside the parameters, what did not fit.
    ///
    /// # Errors
    ///
    /// The net has errors, or the file cannot be read.
    pub fn parameters_that_fit(
        &self,
        mode: Mode,
        weights: &Path,
        seed: u64,
    ) -> Result<(Vec<NamedParam>, Difference), NetError> {
        let graph = self.model(mode)?.graph;
        let mut file = WeightsFile::open(weights)?;
        let difference = self.difference(&graph, &file)?;
        let mut params = params::all(&graph, seed);
        for (name, _, data) in &mut params {
            let missing = difference.missing.iter().any(|(known, _)| known == name);
            let differs = difference.differing.iter().any(|other| other.name == *name);
            if !missing && !differs {
                file.read_into(name, data)?;
            }
        }
        Ok((params, difference))
    }

    /// The batch norms whose `eps` is not that with which a file's tensors were made, if the file tells: the path, `eps` of
    /// the file and of the net.
    ///
    /// # Errors
    ///
    /// The net has errors, or the file cannot be read.
    pub fn other_epsilons(
        &self,
        mode: Mode,
        weights: &Path,
    ) -> Result<Vec<(String, [f32; 2])>, NetError> {
        let graph = self.model(mode)?.graph;
        let file = WeightsFile::open(weights)?;
        Ok(Provenance::of_file(&file).other_epsilons(&graph))
    }

    /// How the tensors of a file differ from the parameters of a graph of this net. Those of heads that
    /// exist only in training are no surplus.
    fn difference(&self, graph: &Graph, file: &WeightsFile) -> Result<Difference, NetError> {
        let mut difference = weights::difference(&names_and_dims(graph), file);
        if !difference.extra.is_empty() {
            let known = names_and_dims(&self.model(Mode::Train)?.graph);
            difference.extra.retain(|tensor| !known.contains(tensor));
        }
        Ok(difference)
    }
}

/// Names and sizes of a graph's parameters, in PyTorch's order of axes.
pub fn names_and_dims(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    graph
        .params()
        .map(|(value, param)| (param.name.clone(), graph.dims(value).to_vec()))
        .collect()
}

/// Writes tensors under their names, all or nothing. The file says which net they are of.
///
/// # Errors
///
/// The file cannot be written.
pub fn save(path: &Path, of: &Provenance, tensors: &[NamedParam]) -> Result<(), WriteError> {
    let tensors: Vec<NamedTensor<'_>> = tensors
        .iter()
        .map(|(name, shape, data)| NamedTensor { name, shape, data })
        .collect();
    weights::write(path, &tensors, &of.metadata())
}

/// `FILE:NAME` in two, unless a file has that whole name.
fn split(spec: &str) -> (&Path, Option<&str>) {
    let whole = Path::new(spec);
    match spec.rsplit_once(':') {
        Some((file, name)) if !whole.exists() && !name.contains(['/', '\\']) => {
            (Path::new(file), Some(name))
        }
        _ => (whole, None),
    }
}

fn text(files: Files, diagnostics: Vec<Diagnostic>) -> NetError {
    NetError::Text(Box::new(Findings { files, diagnostics }))
}

/// The training half of a model.
///
/// # Errors
///
/// The file has no `train` section for it.
pub fn train_config(model: &Model) -> Result<&TrainConfig, NetError> {
    model.train.as_ref().ok_or_else(|| NetError::Training {
        net: model.name.clone(),
        problem: format!("the file has no `train {} {{ … }}` section", model.name),
    })
}

/// What training makes small.
///
/// # Errors
///
/// The file says nothing of it.
pub fn loss(model: &Model) -> Result<Loss, NetError> {
    let config = train_config(model)?;
    if config.losses.is_empty() {
        return Err(NetError::Training {
            net: model.name.clone(),
            problem: "its `train` section names no loss, such as `loss cross_entropy`".to_owned(),
        });
    }
    let output = |loss: &sema::OutputLoss| OutputLoss {
        output: loss.output.clone(),
        kind: loss_kind(&loss.loss),
        weight: loss.weight as f32,
    };
    let auxiliary = model
        .aux
        .iter()
        .map(|aux| (aux.output.clone(), aux.weight as f32))
        .collect();
    Ok(Loss {
        outputs: config.losses.iter().map(output).collect(),
        auxiliary,
    })
}

fn loss_kind(loss: &sema::Loss) -> LossKind {
    match loss {
        sema::Loss::CrossEntropy {
            label_smoothing,
            class_weights,
        } => LossKind::CrossEntropy {
            label_smoothing: *label_smoothing as f32,
            class_weights: class_weights
                .as_ref()
                .map(|weights| weights.iter().map(|&weight| weight as f32).collect()),
        },
        sema::Loss::BinaryCrossEntropy => LossKind::BinaryCrossEntropy,
        sema::Loss::MeanSquaredError => LossKind::MeanSquared,
        sema::Loss::MeanAbsoluteError => LossKind::MeanAbsolute,
        sema::Loss::Huber { delta } => LossKind::Huber {
            delta: *delta as f32,
        },
    }
}

/// That a model's `train` section has no optimizer.
pub(crate) fn no_optimizer(model: &Model) -> NetError {
    NetError::Training {
        net: model.name.clone(),
        problem: "its `train` section names no optimizer, such as \
                  `optimizer sgd(lr = 0.05, momentum = 0.9)`"
            .to_owned(),
    }
}

/// What a step does with gradients: how parameters follow them, and what holds them back.
///
/// # Errors
///
/// The file has no `train` section, or names no optimiser.
pub fn step_config(model: &Model) -> Result<StepConfig, NetError> {
    let section = train_config(model)?;
    let optimizer = section.optimizer.ok_or_else(|| no_optimizer(model))?;
    Ok(StepConfig::new(section, optimizer))
}

/// The graph of a training step: forward, loss, gradients, updates.
///
/// # Errors
///
/// The `train` section lacks something, or the loss does not fit the output.
pub fn training_graph(model: &Model) -> Result<Graph, NetError> {
    training_graph_of(model, model.graph.clone())
}

/// As [`training_graph`], of the model's graph, given apart by one who needs it for nothing else.
///
/// # Errors
///
/// As [`training_graph`].
pub fn training_graph_of(model: &Model, forward: Graph) -> Result<Graph, NetError> {
    let (loss, config) = (loss(model)?, step_config(model)?);
    step::training_step(forward, loss, &config).map_err(|source| NetError::Loss {
        net: model.name.clone(),
        source: Box::new(source),
    })
}

/// The graph that gives the loss and the gradients of all that is not frozen, and changes nothing.
///
/// # Errors
///
/// The `train` section names no loss, or the loss does not fit the output.
pub fn gradient_graph(model: &Model) -> Result<Graph, NetError> {
    let freeze = &train_config(model)?.freeze;
    step::gradient_graph(model.graph.clone(), loss(model)?, freeze).map_err(|source| {
        NetError::Loss {
            net: model.name.clone(),
            source: Box::new(source),
        }
    })
}

/// The graph that gives the outputs and the loss, with everything at rest.
///
/// # Errors
///
/// The `train` section names no loss, or the loss does not fit the output.
pub fn evaluation_graph(model: &Model) -> Result<Graph, NetError> {
    step::evaluation_graph(model.graph.clone(), loss(model)?).map_err(|source| NetError::Loss {
        net: model.name.clone(),
        source: Box::new(source),
    })
}
