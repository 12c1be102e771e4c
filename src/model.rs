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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diag::{Diagnostic, Files, Renderer, Terminal};
use crate::io::InFile;
use crate::io::atomic::WriteError;
use crate::io::weights::{
    self, Difference, NamedTensor, WeightsError, WeightsFile, WeightsProblem,
};
use crate::ir::Graph;
use crate::ops::ShapeError;
use crate::runtime::params;
use crate::sema::{self, Decay, Mode, Model, OptimizerConfig, Override, TrainConfig};
use crate::syntax::{self, Ast};
use crate::train::optimizer::{Decays, Optimizer, Rule};
use crate::train::step::{self, Loss, LossKind};

/// A net of a file.
#[derive(Debug)]
pub struct Net {
    /// The file.
    pub path: PathBuf,
    /// The sources, for rendering diagnostics.
    pub files: Files,
    /// The file's syntax tree.
    pub ast: Ast,
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
    #[error("cannot read `{}`: {source}", path.display())]
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

/// A parameter's path, sizes and values, in PyTorch's order of axes.
pub type NamedParam = (String, Vec<usize>, Vec<f32>);

impl Net {
    /// Opens `FILE` or `FILE:NAME`, NAME being a net or preset of it. Overrides are as in
    /// `classes=100` or `train.epochs=3`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or does not parse, or an override is malformed.
    pub fn open(spec: &str, overrides: &[String]) -> Result<Net, NetError> {
        let (path, name) = split(spec);
        let bytes = std::fs::read(path).map_err(|source| NetError::Read {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Net::parse(path, &bytes, name, overrides)
    }

    /// Takes the text of a file that has been read; `path` is only named in messages.
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
        let mut files = Files::new();
        let file = match syntax::read(&mut files, &path.display().to_string(), bytes) {
            Ok(file) => file,
            Err(diagnostic) => return Err(text(files, vec![*diagnostic])),
        };
        let parsed = syntax::parse(file, files.text(file));
        let Some(ast) = parsed.ast else {
            return Err(text(files, parsed.diagnostics));
        };
        let mut parsed_overrides = Vec::new();
        for override_text in overrides {
            match Override::parse(&mut files, override_text) {
                Ok(parsed) => parsed_overrides.push(parsed),
                Err(diagnostics) => return Err(text(files, diagnostics)),
            }
        }
        Ok(Net {
            path: path.to_owned(),
            files,
            ast,
            warnings: parsed.diagnostics,
            name: name.map(str::to_owned),
            overrides: parsed_overrides,
        })
    }

    /// The net for use or for training. Its first output is the one that has a loss; heads that exist
    /// only in training come last.
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

    /// As [`Net::model`], for the net or preset of a name.
    ///
    /// # Errors
    ///
    /// As [`Net::model`].
    pub fn model_of(&self, name: Option<&str>, mode: Mode) -> Result<Model, NetError> {
        let elaborated = sema::elaborate(&self.ast, &self.files, name, &self.overrides, mode);
        let mut model = elaborated.map_err(|diagnostics| text(self.files.clone(), diagnostics))?;
        let losses = model.train.iter().flat_map(|train| &train.losses);
        let judged: Vec<String> = losses.filter_map(|loss| loss.output.clone()).collect();
        let aux = &model.aux;
        model.graph.outputs.sort_by_key(|output| {
            let is_aux = aux.iter().any(|aux| aux.output == output.name);
            (is_aux, !judged.contains(&output.name))
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
        let Some(path) = weights else {
            return Ok(params::all(&self.model(mode)?.graph, seed));
        };
        let graph = self.model(mode)?.graph;
        let mut file = WeightsFile::open(path)?;
        let difference = self.difference(&graph, &file)?;
        if difference != Difference::default() {
            return Err(InFile::new(path, WeightsProblem::Misfit(difference)).into());
        }
        names_and_dims(&graph)
            .into_iter()
            .map(|(name, dims)| {
                let tensor = file.read(&name)?;
                Ok((name, dims, tensor.into_data()))
            })
            .collect()
    }
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
pub fn save(path: &Path, net: &str, tensors: &[NamedParam]) -> Result<(), WriteError> {
    let tensors: Vec<NamedTensor<'_>> = tensors
        .iter()
        .map(|(name, shape, data)| NamedTensor { name, shape, data })
        .collect();
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("net".to_owned(), net.to_owned()),
    ]);
    weights::write(path, &tensors, &metadata)
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
/// The file says nothing of it, or names several.
pub fn loss(model: &Model) -> Result<Loss, NetError> {
    let config = train_config(model)?;
    let [only] = config.losses.as_slice() else {
        return Err(NetError::Training {
            net: model.name.clone(),
            problem: format!(
                "it has {} losses, and one is supported so far",
                config.losses.len()
            ),
        });
    };
    let kind = loss_kind(only.loss);
    let auxiliary = model
        .aux
        .iter()
        .map(|aux| (aux.output.clone(), aux.weight as f32))
        .collect();
    Ok(Loss { kind, auxiliary })
}

fn loss_kind(loss: sema::Loss) -> LossKind {
    match loss {
        sema::Loss::CrossEntropy => LossKind::CrossEntropy,
        sema::Loss::MeanSquaredError => LossKind::MeanSquared,
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

/// How parameters learn.
///
/// # Errors
///
/// The file names no optimiser, or a variant that does not exist yet.
pub fn optimizer(model: &Model) -> Result<Optimizer, NetError> {
    let refuse = |problem: &str| NetError::Training {
        net: model.name.clone(),
        problem: problem.to_owned(),
    };
    let config = train_config(model)?;
    let config = config.optimizer.ok_or_else(|| no_optimizer(model))?;
    let decays = |decay: Decay| match decay {
        Decay::All => Decays::All,
        Decay::Weights => Decays::Weights,
    };
    match config {
        OptimizerConfig::Sgd { dampening, .. } if dampening != 0.0 => {
            Err(refuse("`dampening` other than 0 is not supported yet"))
        }
        OptimizerConfig::Sgd {
            momentum,
            nesterov,
            weight_decay,
            decay,
            ..
        } => Ok(Optimizer {
            rule: Rule::Sgd {
                momentum: momentum as f32,
                nesterov,
            },
            weight_decay: weight_decay as f32,
            decays: decays(decay),
        }),
        OptimizerConfig::Adam {
            decoupled: true, ..
        } => Err(refuse("decoupled weight decay is not supported yet")),
        OptimizerConfig::Adam {
            beta1,
            beta2,
            eps,
            weight_decay,
            decay,
            ..
        } => Ok(Optimizer {
            rule: Rule::Adam {
                beta1: beta1 as f32,
                beta2: beta2 as f32,
                eps: eps as f32,
            },
            weight_decay: weight_decay as f32,
            decays: decays(decay),
        }),
    }
}

/// The graph of a training step: forward, loss, gradients, updates.
///
/// # Errors
///
/// The `train` section lacks something, or the loss does not fit the output.
pub fn training_graph(model: &Model) -> Result<Graph, NetError> {
    let (loss, optimizer) = (loss(model)?, optimizer(model)?);
    step::training_step(model.graph.clone(), loss, &optimizer).map_err(|source| NetError::Loss {
        net: model.name.clone(),
        source: Box::new(source),
    })
}

/// The graph that gives the loss and all gradients, and changes nothing.
///
/// # Errors
///
/// The `train` section names no loss, or the loss does not fit the output.
pub fn gradient_graph(model: &Model) -> Result<Graph, NetError> {
    step::gradient_graph(model.graph.clone(), loss(model)?).map_err(|source| NetError::Loss {
        net: model.name.clone(),
        source: Box::new(source),
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
