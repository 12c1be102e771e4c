//! A trained net with learned group convolutions as the net of its test time: `index`, convolutions in groups, no masks.
//!
//! The result is a text that a person can read and go on with, and weights. That both compute the same follows from
//! [`crate::ops::condense`]: what a group does not read is multiplied by 0 before, and left out after.
//!
//! Source: Huang et al. 2018, section 3.3.

mod carriers;
mod edits;
mod source;
mod unused;

use std::path::Path;

use crate::diag::{Diagnostic, Files, codes};
use crate::ir::{Graph, ParamRole};
use crate::model::{self, NamedParam, Net, NetError, Provenance};
use crate::ops::condense::{channels_read, is_even};
use crate::sema::{LearnedLayer, Mode, Model};
use crate::summary::{self, Summary};
use crate::syntax;

/// A condensed net.
#[derive(Debug)]
pub struct Condensed {
    /// Its name.
    pub name: String,
    /// Its text, in the one layout.
    pub text: String,
    /// Its parameters.
    pub params: Vec<NamedParam>,
    /// What a file of them says of the net.
    pub provenance: Provenance,
    /// The learned group convolutions that it had.
    pub layers: usize,
    /// The counts of the net that was trained.
    pub before: Summary,
    /// Its own counts.
    pub after: Summary,
}

/// Why a net cannot be condensed.
#[derive(Debug, thiserror::Error)]
pub enum CondenseError {
    /// The net or its weights.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The file does not hold the net.
    #[error("the net stands in no file that is known")]
    NoNet,
    /// There is nothing to condense.
    #[error("{net} has no learned group convolution (`lgconv`), so there is nothing to condense")]
    Nothing {
        /// The net.
        net: String,
    },
    /// Training has not condensed a layer to the end.
    #[error(
        "`{layer}` is not condensed yet: group {group} of {groups} reads {reads} of {channels} input channels, and \
         {keep} are to be left; channels are dropped in the first half of the epochs, so train on"
    )]
    NotYet {
        /// The layer.
        layer: String,
        /// The first group that reads too much, from 1.
        group: usize,
        /// Its groups.
        groups: usize,
        /// The channels that the group reads.
        reads: usize,
        /// Those that it may read when it is condensed.
        keep: usize,
        /// All channels.
        channels: usize,
    },
    /// A mask that no training makes.
    #[error("the mask of `{layer}` is damaged: {what}")]
    Mask {
        /// The layer.
        layer: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The source has a form that the new text cannot have.
    #[error("{place}: {what}")]
    Source {
        /// File, line and column.
        place: String,
        /// What is in the way.
        what: String,
    },
    /// The new text has errors, as where names of two files clash in one.
    #[error("the condensed net would not be a valid one:\n{0}")]
    Text(Box<NetError>),
}

/// Condenses a net with its trained weights. `out` is where the text will stand.
///
/// # Errors
///
/// The net or its weights have errors, a layer is not condensed, or the source has a form that cannot be kept.
///
/// # Panics
///
/// The new net has other parameters than the old one, which is a bug.
pub fn condense(net: &Net, weights: &Path, out: &Path) -> Result<Condensed, CondenseError> {
    let model = net.model(Mode::Infer)?;
    if model.learned.layers.is_empty() {
        return Err(CondenseError::Nothing { net: model.name });
    }
    let params = net.parameters(Mode::Infer, Some(weights), 0)?;
    let layers: Vec<(&LearnedLayer, Vec<Vec<usize>>)> = model
        .learned
        .layers
        .iter()
        .map(|layer| Ok((layer, groups_of(layer, &params)?)))
        .collect::<Result<_, CondenseError>>()?;
    let channels: Vec<Vec<usize>> = layers.iter().map(|(_, groups)| groups.concat()).collect();
    let text = tidied(source::condensed(net, &model, &channels)?, out)?;
    let new = parsed(&text, out)?;
    let condensed = new.model(Mode::Infer).map_err(invalid)?;
    // What only training has must fit as well.
    new.model(Mode::Train).map_err(invalid)?;
    Ok(Condensed {
        params: moved(&model, &params, &layers, &condensed.graph),
        provenance: Provenance::from(&condensed),
        name: condensed.name,
        text,
        layers: layers.len(),
        before: summary::of(&model.graph),
        after: summary::of(&condensed.graph),
    })
}

/// The channels that each group of a layer reads.
fn groups_of(
    layer: &LearnedLayer,
    params: &[NamedParam],
) -> Result<Vec<Vec<usize>>, CondenseError> {
    let name = || layer.path.clone();
    let (_, dims, mask) = param(params, &layer.path, "mask");
    let sizes = [dims[0], dims[1]];
    if !is_even(mask, sizes, layer.groups) {
        let what = "it holds other numbers than 0 and 1, or the filters of a group differ in it";
        return Err(CondenseError::Mask {
            layer: name(),
            what,
        });
    }
    let groups = channels_read(mask, sizes, layer.groups);
    let wrong = groups.iter().position(|reads| reads.len() != layer.keep);
    let Some(group) = wrong else {
        return Ok(groups);
    };
    let reads = groups[group].len();
    if reads < layer.keep {
        let what = "a group reads fewer channels than its layer keeps";
        return Err(CondenseError::Mask {
            layer: name(),
            what,
        });
    }
    Err(CondenseError::NotYet {
        layer: name(),
        group: group + 1,
        groups: layer.groups,
        reads,
        keep: layer.keep,
        channels: sizes[1],
    })
}

fn param<'p>(params: &'p [NamedParam], layer: &str, suffix: &str) -> &'p NamedParam {
    let name = format!("{layer}.{suffix}");
    params
        .iter()
        .find(|(known, ..)| *known == name)
        .unwrap_or_else(|| panic!("the net has no `{name}`"))
}

fn parsed(text: &str, out: &Path) -> Result<Net, CondenseError> {
    Net::parse(out, text.as_bytes(), None, &[]).map_err(invalid)
}

fn invalid(error: NetError) -> CondenseError {
    CondenseError::Text(Box::new(error))
}

/// The text without what nothing reads any more, laid out.
fn tidied(mut text: String, out: &Path) -> Result<String, CondenseError> {
    loop {
        let net = parsed(&text, out)?;
        let model = net.model(Mode::Infer).map_err(invalid)?;
        let unused = |warning: &&Diagnostic| warning.code == codes::UNUSED;
        let unused = model.warnings.iter().filter(unused);
        let unused: Vec<_> = unused.filter_map(Diagnostic::span).collect();
        match unused::without(&net.files, net.program.main(), &unused) {
            Some(less) => text = less,
            None => break,
        }
    }
    let mut files = Files::new();
    let file = files.add(out.display().to_string(), text.as_str());
    Ok(syntax::fmt::format(file, &text).expect("the text has just been parsed"))
}

/// The parameters of the new net: in the order of the old ones, which have the same places in both, with the filters
/// that are condensed and without the masks.
fn moved(
    model: &Model,
    params: &[NamedParam],
    layers: &[(&LearnedLayer, Vec<Vec<usize>>)],
    condensed: &Graph,
) -> Vec<NamedParam> {
    let old = model
        .graph
        .params()
        .filter(|(_, param)| param.role != ParamRole::Mask)
        .map(|(_, about)| {
            let mut all = params.iter();
            let found = all.find(|(name, ..)| *name == about.name);
            found.unwrap_or_else(|| panic!("`{}` has been read", about.name))
        });
    let new = model::names_and_dims(condensed);
    let moved: Vec<NamedParam> = old
        .zip(&new)
        .map(|((name, dims, data), (new_name, new_dims))| {
            let filter = layers
                .iter()
                .find(|(layer, _)| *name == format!("{}.weight", layer.path));
            let data = match filter {
                Some((_, groups)) => gathered(data, dims, groups),
                None => data.clone(),
            };
            let elements: usize = new_dims.iter().product();
            assert_eq!(data.len(), elements, "`{name}` has become `{new_name}`");
            (new_name.clone(), new_dims.clone(), data)
        })
        .collect();
    assert_eq!(moved.len(), new.len(), "each parameter has its old one");
    moved
}

/// Of a filter [K, C, R, S], for each group of filters the channels that it reads.
fn gathered(data: &[f32], dims: &[usize], groups: &[Vec<usize>]) -> Vec<f32> {
    let area: usize = dims[2..].iter().product();
    let filters = dims[0] / groups.len();
    let rows = data.chunks(dims[1] * area).enumerate();
    rows.flat_map(|(filter, row)| {
        let channels = groups[filter / filters].iter();
        channels.flat_map(move |channel| &row[channel * area..(channel + 1) * area])
    })
    .copied()
    .collect()
}
