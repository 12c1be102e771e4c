//! `init`: how weights start.

use super::lines::Line;
use super::table::choice;
use crate::ir::Init;
use crate::sema::Elab;
use crate::sema::layers::{INITS, Layer};
use crate::sema::scope::Env;

/// How weights start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitRule {
    /// Uniform in ±sqrt(1 / fan-in), weights and biases alike: PyTorch's default.
    FanIn,
    /// Normal with variance 2 / fan-in (He et al. 2015); biases 0.
    He,
    /// Uniform in ±sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010); biases 0.
    Xavier,
    /// All 0.
    Zeros,
}

impl InitRule {
    pub(in crate::sema) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "fan_in" => Self::FanIn,
            "he" => Self::He,
            "xavier" => Self::Xavier,
            "zeros" => Self::Zeros,
            _ => return None,
        })
    }

    pub(in crate::sema) fn weights(self, fan_in: usize, fan_out: usize) -> Init {
        match self {
            Self::FanIn => Init::FanInUniform { fan_in },
            Self::He => Init::HeNormal { fan_in },
            Self::Xavier => Init::XavierUniform { fan_in, fan_out },
            Self::Zeros => Init::Constant(0.0),
        }
    }

    pub(in crate::sema) fn biases(self, fan_in: usize) -> Init {
        match self {
            Self::FanIn => Init::FanInUniform { fan_in },
            Self::He | Self::Xavier | Self::Zeros => Init::Constant(0.0),
        }
    }
}

static FAN_IN: Layer = choice(INITS[1], &[]);
static HE: Layer = choice(INITS[2], &[]);
static XAVIER: Layer = choice(INITS[3], &[]);
static ZEROS: Layer = choice(INITS[4], &[]);

impl<'a> Elab<'a> {
    pub(super) fn init_of(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<InitRule> {
        let chosen = self.chosen(line)?;
        let signature = self.signature(
            line,
            &chosen,
            &[&FAN_IN, &HE, &XAVIER, &ZEROS],
            &["orthogonal", "normal"],
        )?;
        self.attrs_of(env, line, &chosen, signature)?;
        InitRule::from_word(signature.name)
    }
}
