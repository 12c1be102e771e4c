//! What a weights file says of the net that its tensors are of. Names and sizes say whether they fit another net, but not
//! whether it computes the same with them: the number that keeps a batch norm's divisor from zero is in no tensor.

use std::collections::BTreeMap;

use crate::io::weights::WeightsFile;
use crate::ir::Graph;
use crate::ops::{Op, Pointwise};
use crate::sema::Model;

/// Keys of the file's metadata.
const FORMAT: &str = "format";
const NET: &str = "net";
const EPSILONS: &str = "batch_norm_eps";

/// Of which net tensors are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// The net's name.
    pub net: String,
    /// `eps` of each batch norm, by the layer's path.
    pub epsilons: BTreeMap<String, f32>,
}

impl From<&str> for Provenance {
    fn from(net: &str) -> Provenance {
        Provenance {
            net: net.to_owned(),
            ..Provenance::default()
        }
    }
}

impl From<&Model> for Provenance {
    fn from(model: &Model) -> Provenance {
        Provenance {
            net: model.name.clone(),
            epsilons: epsilons(&model.graph),
        }
    }
}

fn epsilons(graph: &Graph) -> BTreeMap<String, f32> {
    let of_norm = graph.nodes.iter().filter_map(|(_, node)| match node.op {
        Op::Pointwise(Pointwise::BatchNorm { eps, .. }) => Some((node.origin.to_string(), eps)),
        _ => None,
    });
    of_norm.collect()
}

impl Provenance {
    /// As a file's metadata has it.
    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::from([
            (FORMAT.to_owned(), "pt".to_owned()),
            (NET.to_owned(), self.net.clone()),
        ]);
        if !self.epsilons.is_empty() {
            let text = serde_json::json!(self.epsilons).to_string();
            metadata.insert(EPSILONS.to_owned(), text);
        }
        metadata
    }

    /// What a file says; of files of other programs nothing is known.
    pub(super) fn of_file(file: &WeightsFile) -> Provenance {
        let read = |key: &str| file.metadata().get(key);
        let epsilons = read(EPSILONS).and_then(|text| serde_json::from_str(text).ok());
        Provenance {
            net: read(NET).cloned().unwrap_or_default(),
            epsilons: epsilons.unwrap_or_default(),
        }
    }

    /// The batch norms that have another `eps` than those of a net: the path, `eps` of these and of the net's.
    pub(super) fn other_epsilons(&self, graph: &Graph) -> Vec<(String, [f32; 2])> {
        let own = epsilons(graph).into_iter();
        let other = own.filter_map(|(path, own)| {
            let theirs = *self.epsilons.get(&path)?;
            (theirs.to_bits() != own.to_bits()).then_some((path, [theirs, own]))
        });
        other.collect()
    }
}
