//! What the machine is. Everything that depends on it asks a [`Target`]; no lane or register count
//! stands anywhere else.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// A tier of vector code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Isa {
    /// 128-bit vectors through Cranelift; on every machine with fused multiply-add, which on
    /// x86-64 means those made since 2013. Without it each multiply-add would be four library calls.
    Baseline,
    /// 256-bit vectors.
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

/// Of the 16 or 32 registers Cranelift needs some to itself: its multiply-adds never overwrite the
/// addend on x86-64, so that sums move from register to register. Measured with `benches/tile.rs` on
/// Zen 5: tiles of 13 registers come to 90 % and 95 % of the processor's limit, those of 14 and more
/// to 80 % and less, once their loops are unrolled by 4. Elsewhere it is the addend that is
/// overwritten; the few registers set aside there have not been measured.
const BASELINE_REGISTERS: usize = if cfg!(target_arch = "x86_64") { 13 } else { 28 };

/// Multiply-adds of a vector that most processors of the last ten years start in a cycle.
const MULTIPLY_ADDS: usize = 2;

/// The machine that code is made for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// The tier of vector code.
    pub isa: Isa,
    /// Lanes of a vector register (`W`).
    pub lanes: usize,
    /// Vector registers that a body can fill without spilling: all of them, but fewer on the baseline
    /// tier.
    pub registers: usize,
    /// Data cache sizes in bytes, nearest first; the last is shared.
    pub caches: [usize; 3],
    /// Multiply-adds of a whole vector that a core can start in a cycle.
    pub multiply_adds: usize,
}

impl Target {
    /// Cache sizes to assume where the system does not tell: no recent machine has less.
    pub const SMALL_CACHES: [usize; 3] = [32 << 10, 256 << 10, 4 << 20];

    /// This machine's best tier. Where it has none, the baseline, whose compilation then fails with
    /// the name of what is missing.
    pub fn host() -> Target {
        let best = Isa::ALL.into_iter().rev().find(|isa| supported(*isa));
        Target::of_host(best.unwrap_or(Isa::Baseline))
    }

    fn of_host(isa: Isa) -> Target {
        Target {
            multiply_adds: multiply_adds(isa, family()),
            ..Target::of(isa, host_caches())
        }
    }

    /// This machine with a given tier, or none if it lacks it.
    pub fn with_isa(isa: Isa) -> Option<Target> {
        supported(isa).then(|| Target::of_host(isa))
    }

    /// A machine of a tier and of given caches, be it this one or not. Code for a tier that this
    /// machine lacks can be made and printed, but not loaded.
    pub fn of(isa: Isa, caches: [usize; 3]) -> Target {
        let (lanes, registers) = match isa {
            Isa::Baseline => (4, BASELINE_REGISTERS),
            Isa::Avx2 => (8, 16),
            Isa::Avx512 => (16, 32),
        };
        Target {
            isa,
            lanes,
            registers,
            caches,
            multiply_adds: MULTIPLY_ADDS,
        }
    }

    /// How many bytes a whole vector takes.
    pub fn vector_bytes(&self) -> usize {
        self.lanes * size_of::<f32>()
    }
}

/// Whether this machine runs a tier.
pub fn supported(isa: Isa) -> bool {
    missing_feature(isa).is_none()
}

/// The first processor feature that a tier needs and this machine lacks.
pub fn missing_feature(isa: Isa) -> Option<&'static str> {
    features(isa)
        .iter()
        .find(|(_, present)| !present)
        .map(|(name, _)| *name)
}

/// What a tier needs, and whether this machine has it. SSE4.1 rounds, multiplies integers and
/// blends; BMI2 makes masks from lane counts.
#[cfg(target_arch = "x86_64")]
fn features(isa: Isa) -> Vec<(&'static str, bool)> {
    let mut list = vec![
        ("sse4.1", is_x86_feature_detected!("sse4.1")),
        ("avx", is_x86_feature_detected!("avx")),
        ("fma", is_x86_feature_detected!("fma")),
    ];
    if isa >= Isa::Avx2 {
        list.push(("avx2", is_x86_feature_detected!("avx2")));
        list.push(("bmi2", is_x86_feature_detected!("bmi2")));
    }
    if isa >= Isa::Avx512 {
        list.push(("avx512f", is_x86_feature_detected!("avx512f")));
        list.push(("avx512dq", is_x86_feature_detected!("avx512dq")));
        list.push(("avx512bw", is_x86_feature_detected!("avx512bw")));
        list.push(("avx512vl", is_x86_feature_detected!("avx512vl")));
    }
    list
}

/// Other processors that Cranelift knows have fused multiply-add in their base set, and no wide tier.
#[cfg(not(target_arch = "x86_64"))]
fn features(isa: Isa) -> Vec<(&'static str, bool)> {
    match isa {
        Isa::Baseline => Vec::new(),
        Isa::Avx2 | Isa::Avx512 => vec![("x86-64", false)],
    }
}

/// AMD's number of the family that this processor is of; none if another firm made it.
#[cfg(target_arch = "x86_64")]
fn family() -> Option<u32> {
    use std::arch::x86_64::__cpuid;
    let maker = __cpuid(0);
    let letters = [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes);
    let version = __cpuid(1).eax;
    // The numbers from 15 on are 15 and what further bits add.
    let family = ((version >> 8) & 0xf) + ((version >> 20) & 0xff);
    (letters.as_flattened() == b"AuthenticAMD").then_some(family)
}

#[cfg(not(target_arch = "x86_64"))]
fn family() -> Option<u32> {
    None
}

/// Of a processor of AMD's family, if it is one. Zen 4 has 512-bit instructions but units of 256 bits, two of which do one
/// instruction (AMD, Software Optimization Guide for the Zen4 Microarchitecture, 2.11).
fn multiply_adds(isa: Isa, family: Option<u32>) -> usize {
    match (isa, family) {
        (Isa::Avx512, Some(0x19)) => 1,
        _ => MULTIPLY_ADDS,
    }
}

/// The cache sizes of the first processor, as Linux tells them.
fn host_caches() -> [usize; 3] {
    read_caches(Path::new("/sys/devices/system/cpu/cpu0/cache")).unwrap_or(Target::SMALL_CACHES)
}

/// Reads a directory of `index*/{level,type,size}` files; none without a first-level data cache.
/// A level that is absent counts as large as the one before it.
fn read_caches(directory: &Path) -> Option<[usize; 3]> {
    let mut sizes = [0; 3];
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
        let (Some(level), Some(kind), Some(size)) = (read("level"), read("type"), read("size"))
        else {
            continue;
        };
        let level: usize = level.trim().parse().ok()?;
        if kind.trim() != "Instruction" && (1..=3).contains(&level) {
            sizes[level - 1] = parse_size(size.trim())?;
        }
    }
    if sizes[0] == 0 {
        return None;
    }
    sizes[1] = sizes[1].max(sizes[0]);
    sizes[2] = sizes[2].max(sizes[1]);
    Some(sizes)
}

/// Reads `48K`, `32M` or a number of bytes.
fn parse_size(text: &str) -> Option<usize> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    Some(digits.parse::<usize>().ok()? << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("48K"), Some(48 << 10));
        assert_eq!(parse_size("2M"), Some(2 << 20));
        assert_eq!(parse_size("512"), Some(512));
        assert_eq!(parse_size("K"), None);
        assert_eq!(parse_size(""), None);
    }

    #[test]
    fn caches_come_from_index_directories() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let caches = [
            ("index0", "1", "Data", "48K"),
            ("index1", "1", "Instruction", "32K"),
            ("index2", "2", "Unified", "1024K"),
        ];
        for (name, level, kind, size) in caches {
            let directory = root.path().join(name);
            fs::create_dir(&directory).expect("a new directory");
            for (file, text) in [("level", level), ("type", kind), ("size", size)] {
                fs::write(directory.join(file), format!("{text}\n")).expect("a written file");
            }
        }
        let found = read_caches(root.path());
        assert_eq!(found, Some([48 << 10, 1 << 20, 1 << 20]));
    }

    #[test]
    fn an_unknown_machine_has_small_caches() {
        assert_eq!(read_caches(Path::new("/nonexistent")), None);
    }

    #[test]
    fn halved_units_are_known() {
        assert_eq!(multiply_adds(Isa::Avx512, Some(0x19)), 1);
        assert_eq!(multiply_adds(Isa::Avx2, Some(0x19)), 2);
        assert_eq!(multiply_adds(Isa::Avx512, Some(0x1a)), 2);
        assert_eq!(multiply_adds(Isa::Avx512, None), 2);
    }

    #[test]
    fn tiers_grow() {
        let targets = Isa::ALL.map(|isa| Target::of(isa, Target::SMALL_CACHES));
        assert!(targets.is_sorted_by_key(|target| target.lanes));
        for target in targets {
            assert_eq!(target.vector_bytes(), 4 * target.lanes);
            assert_eq!(target.isa.name().parse(), Ok(target.isa));
        }
        assert!("sse9".parse::<Isa>().is_err());
    }
}
