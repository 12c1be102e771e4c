//! A `train` section with every default, and what becomes of each parameter.

use std::fmt;

use super::step::StepConfig;
use crate::ir::{Graph, Param};
use crate::sema::{MovingNorm, TrainConfig};

/// A section for a net, in the form that a section is written in; the lists of parameters follow as comments.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The section.
    pub section: &'a TrainConfig,
    /// The net, as built for training.
    pub graph: &'a Graph,
    /// Its batch norms.
    pub norms: &'a [MovingNorm],
}

/// The keys that stand for nothing where a section does not have them.
const OPTIONAL: [&str; 7] = [
    "data",
    "augment",
    "optimizer",
    "regularize",
    "freeze",
    "clip",
    "early_stop",
];

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.section;
        writeln!(f, "train {} {{", self.graph.name)?;
        let lines = section.written();
        for line in &lines {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "}}")?;
        let absent: Vec<&str> = OPTIONAL
            .into_iter()
            .filter(|key| lines.iter().all(|line| line.key != *key))
            .collect();
        if !absent.is_empty() {
            writeln!(f, "// none: {}", absent.join(", "))?;
        }
        self.statistics(f)?;
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

impl Described<'_> {
    /// How running statistics move, a line for each momentum.
    fn statistics(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut momenta: Vec<f32> = Vec::new();
        for norm in self.norms {
            if !momenta.contains(&norm.momentum) {
                momenta.push(norm.momentum);
            }
        }
        for momentum in momenta {
            let alike = self.norms.iter().filter(|norm| norm.momentum == momentum);
            let paths: Vec<&str> = alike.map(|norm| norm.path.as_str()).collect();
            let paths = paths.join(", ");
            writeln!(
                f,
                "// running statistics, momentum {momentum}, variance stored unbiased: {paths}"
            )?;
        }
        Ok(())
    }
}
