//! What the machine is. Everything that depends on it asks a [`Target`]; no lane or register count
//! stands anywhere else.

use std::fmt;
use std::str::FromStr;

/// A tier of vector code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Isa {
    /// 128-bit vectors through Cranelift; on every machine.
    Baseline,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors with masks.
    Avx512,
}

impl Isa {
    /// All tiers, narrowest first.
    pub const ALL: [Isa; 3] = [Isa::Baseline, Isa::Avx2, Isa::Avx512];

    /// The name that `--isa` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Baseline => "baseline",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = String;
    fn from_str(text: &str) -> Result<Isa, String> {
        Isa::ALL
            .into_iter()
            .find(|isa| isa.name() == text)
            .ok_or_else(|| format!("`{text}` is no tier: use baseline, avx2 or avx512"))
    }
}

/// The machine that code is made for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// The tier of vector code.
    pub isa: Isa,
    /// Lanes of a vector register (`W`).
    pub lanes: usize,
    /// Vector registers.
    pub registers: usize,
    /// Data cache sizes in bytes, nearest first; the last is shared.
    pub caches: [usize; 3],
}

impl Target {
    /// This machine's best tier.
    pub fn host() -> Target {
        let best = Isa::ALL.into_iter().rev().find(|isa| supported(*isa));
        Target::of(best.unwrap_or(Isa::Baseline))
    }

    /// This machine with a given tier, or none if it lacks it.
    pub fn with_isa(isa: Isa) -> Option<Target> {
        supported(isa).then(|| Target::of(isa))
    }

    fn of(isa: Isa) -> Target {
        let (lanes, registers) = match isa {
            Isa::Baseline => (4, if cfg!(target_arch = "x86_64") { 16 } else { 32 }),
            Isa::Avx2 => (8, 16),
            Isa::Avx512 => (16, 32),
        };
        Target {
            isa,
            lanes,
            registers,
            caches: [32 << 10, 1 << 20, 16 << 20],
        }
    }

    /// How many bytes a whole vector takes.
    pub fn vector_bytes(&self) -> usize {
        self.lanes * size_of::<f32>()
    }
}

/// Whether this machine runs a tier.
pub fn supported(isa: Isa) -> bool {
    match isa {
        Isa::Baseline => true,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
        }
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => false,
    }
}
