//! A `train` section with every default, and what becomes of each parameter.

use std::fmt;

use super::step::StepConfig;
use crate::ir::{Graph, Param};
use crate::sema::TrainConfig;

/// A section for a net, in the form that a section is written in; the lists of parameters follow as comments.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The section.
    pub section: &'a TrainConfig,
    /// The net, as built for training.
    pub graph: &'a Graph,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.section;
        writeln!(f, "train {} {{", self.graph.name)?;
        if let Some(optimizer) = section.optimizer {
            writeln!(f, "    optimizer {optimizer}")?;
        }
        let regularize = section.regularize.to_string();
        if !regularize.is_empty() {
            writeln!(f, "    regularize {regularize}")?;
        }
        if let Some(clip) = section.clip {
            writeln!(f, "    clip {clip}")?;
        }
        if !section.freeze.is_empty() {
            writeln!(f, "    freeze {}", section.freeze)?;
        }
        writeln!(f, "    accumulate {}", section.accumulate)?;
        writeln!(f, "    init {}", section.init)?;
        writeln!(f, "    batch {}", section.batch)?;
        writeln!(f, "    epochs {}", section.epochs)?;
        writeln!(f, "    seed {}", section.seed)?;
        writeln!(f, "}}")?;
        let Some(optimizer) = section.optimizer else {
            return Ok(());
        };
        let config = StepConfig::new(section, optimizer);
        let decays = |param: &Param| optimizer.weight_decay.touches(param.role);
        let penalised = |param: &Param| {
            let penalties = [section.regularize.l1, section.regularize.l2];
            let mut penalties = penalties.into_iter().flatten();
            penalties.any(|penalty| penalty.strength != 0.0 && penalty.on.touches(param.role))
        };
        type Belongs<'b> = &'b dyn Fn(&Param) -> bool;
        let lists: [(&str, Belongs<'_>); 4] = [
            ("trained", &|param| config.trains(param)),
            ("decayed", &|param| config.trains(param) && decays(param)),
            ("penalised", &|param| {
                config.trains(param) && penalised(param)
            }),
            ("frozen", &|param| config.freeze.covers(&param.name)),
        ];
        for (title, belongs) in lists {
            let names: Vec<&str> = self
                .graph
                .params()
                .filter(|(_, param)| belongs(param))
                .map(|(_, param)| param.name.as_str())
                .collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            writeln!(f, "// {title}: {names}")?;
        }
        Ok(())
    }
}
