//! How parameters start.

use std::fmt;

/// How a parameter starts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Init {
    /// The same number everywhere.
    Constant(f32),
    /// Uniform in ±sqrt(1 / fan-in): the default of PyTorch's convolution and dense layers, weights
    /// and biases alike.
    FanInUniform {
        /// Inputs that one output sums over.
        fan_in: usize,
    },
    /// With mean 0 and a variance that follows from the fans.
    Scaled(Scaled),
    /// Normal with mean 0.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Normal with mean 0, drawn again where more than two standard deviations from it.
    TruncatedNormal {
        /// The standard deviation before the cut.
        std: f64,
    },
    /// Uniform around 0.
    Uniform {
        /// The greatest distance from 0.
        bound: f64,
    },
    /// Read from a weights file; 0 until then.
    File {
        /// Which of the files that the model names.
        index: usize,
    },
}

/// A start whose variance follows from the fans.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scaled {
    /// How.
    pub scaling: Scaling,
    /// Of what form.
    pub distribution: Distribution,
    /// What the standard deviation is multiplied with.
    pub gain: f64,
    /// Inputs that one output sums over; those of one group.
    pub fan_in: usize,
    /// Outputs that one input reaches; those of one group.
    pub fan_out: usize,
}

/// How a variance follows from the fans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scaling {
    /// 1 / fan-in (LeCun, Bottou, Orr and Müller 1998, section 4.6).
    Lecun,
    /// 2 / (fan-in + fan-out) (Glorot and Bengio 2010, equation 12).
    Xavier,
    /// 2 / fan-in (He et al. 2015, equation 10).
    HeFanIn,
    /// 2 / fan-out (He et al. 2015, equation 14).
    HeFanOut,
}

/// The form of a distribution with mean 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distribution {
    /// Normal.
    Normal,
    /// Uniform.
    Uniform,
}

impl Distribution {
    /// The name in nets and dumps.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Uniform => "uniform",
        }
    }
}

impl Scaled {
    /// The standard deviation. A fan of 0 counts as 1.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "fans are far below 2^53, and a deviation needs few digits"
    )]
    pub fn std(&self) -> f64 {
        let (fan_in, fan_out) = (self.fan_in as f64, self.fan_out as f64);
        let variance = match self.scaling {
            Scaling::Lecun => 1.0 / fan_in.max(1.0),
            Scaling::Xavier => 2.0 / (fan_in + fan_out).max(1.0),
            Scaling::HeFanIn => 2.0 / fan_in.max(1.0),
            Scaling::HeFanOut => 2.0 / fan_out.max(1.0),
        };
        self.gain * variance.sqrt()
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Constant(value) => write!(f, "{value:?}"),
            Init::FanInUniform { fan_in } => write!(f, "fan_in_uniform({fan_in})"),
            Init::Scaled(Scaled {
                scaling,
                distribution,
                gain,
                fan_in,
                fan_out,
            }) => {
                let form = distribution.name();
                match scaling {
                    Scaling::Lecun => write!(f, "lecun_{form}({fan_in}"),
                    Scaling::Xavier => write!(f, "xavier_{form}({fan_in}, {fan_out}"),
                    Scaling::HeFanIn => write!(f, "he_{form}({fan_in}"),
                    Scaling::HeFanOut => write!(f, "he_{form}(out {fan_out}"),
                }?;
                if *gain != 1.0 {
                    write!(f, ", gain {gain}")?;
                }
                f.write_str(")")
            }
            Init::Normal { std } => write!(f, "normal({std})"),
            Init::TruncatedNormal { std } => write!(f, "truncated_normal({std})"),
            Init::Uniform { bound } => write!(f, "uniform({bound})"),
            Init::File { index } => write!(f, "file({index})"),
        }
    }
}
