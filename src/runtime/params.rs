//! How parameters start.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ir::{Distribution, Graph, Init, Param, ValueKind};

/// The first values of a parameter, in PyTorch's order of its axes. Each parameter has a stream of
/// its own, made from the seed and its name, so adding a layer changes no other layer's start.
pub fn initial(param: &Param, elements: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name_hash(&param.name));
    let mut draw = |next: &mut dyn FnMut(&mut ChaCha8Rng) -> f64| {
        let data = (0..elements).map(|_| next(&mut rng) as f32);
        data.collect()
    };
    let std = match param.init {
        Init::Constant(value) => return vec![value; elements],
        // The caller reads the file.
        Init::File { .. } => return vec![0.0; elements],
        Init::FanInUniform { fan_in } => {
            let bound = (1.0 / fan_in.max(1) as f64).sqrt();
            return draw(&mut |rng| uniform(rng, bound));
        }
        Init::Uniform { bound } => return draw(&mut |rng| uniform(rng, bound)),
        Init::TruncatedNormal { std } => return draw(&mut |rng| truncated(rng) * std),
        Init::Normal { std } => std,
        Init::Scaled(scaled) => match scaled.distribution {
            Distribution::Normal => scaled.std(),
            Distribution::Uniform => {
                // The variance of a uniform distribution is a third of its bound's square.
                let bound = scaled.std() * 3.0_f64.sqrt();
                return draw(&mut |rng| uniform(rng, bound));
            }
        },
    };
    draw(&mut |rng| normal(rng) * std)
}

/// All parameters of a graph with their sizes and first values, in order.
pub fn all(graph: &Graph, seed: u64) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    graph
        .values
        .iter()
        .filter_map(|(_, value)| match &value.kind {
            ValueKind::Param(param) => {
                let shape = &value.ty.shape;
                let data = initial(param, shape.elements(), seed);
                Some((param.name.clone(), shape.dims.to_vec(), data))
            }
            _ => None,
        })
        .collect()
}

/// A number between -bound and bound.
fn uniform(rng: &mut ChaCha8Rng, bound: f64) -> f64 {
    (rng.random::<f64>() * 2.0 - 1.0) * bound
}

/// A standard normal number by the method of Box and Muller (1958). The logarithm and the cosine are those of a
/// library in plain Rust: those of systems differ in their last bits.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // One minus a number below one is above zero, so its logarithm is finite.
    let radius = (-2.0 * libm::log(1.0 - rng.random::<f64>())).sqrt();
    radius * libm::cos(std::f64::consts::TAU * rng.random::<f64>())
}

/// A standard normal number, drawn again until it is at most two deviations from 0: about one in 22 is not.
fn truncated(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let number = normal(rng);
        if number.abs() <= 2.0 {
            return number;
        }
    }
}

/// The 64-bit FNV-1a hash of a name: specified, unlike the standard library's.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{ParamRole, Scaled, Scaling};

    fn param(name: &str, init: Init) -> Param {
        Param {
            name: name.to_owned(),
            role: ParamRole::Weight,
            init,
        }
    }

    fn scaled(scaling: Scaling, distribution: Distribution) -> Init {
        Init::Scaled(Scaled {
            scaling,
            distribution,
            gain: 1.0,
            fan_in: 50,
            fan_out: 30,
        })
    }

    /// Samples of each distribution.
    const SAMPLES: usize = 40_000;

    /// Mean, variance, and the mean fourth power by the variance's square: 3 for a normal distribution, 1.8 for a
    /// uniform one.
    fn moments(init: Init) -> [f64; 3] {
        let data = initial(&param("a.weight", init), SAMPLES, 1);
        let mean = |power: i32| {
            let powers = data.iter().map(|&x| f64::from(x).powi(power));
            powers.sum::<f64>() / SAMPLES as f64
        };
        [mean(1), mean(2), mean(4) / mean(2).powi(2)]
    }

    #[test]
    fn starts_have_the_stated_moments() {
        use Distribution::{Normal, Uniform};
        // Of a normal distribution cut at two deviations: 1 - 4 φ(2) / (Φ(2) - Φ(-2)), and its fourth moment.
        let cut = 0.773_741_3;
        let cases = [
            (Init::FanInUniform { fan_in: 25 }, 1.0 / 75.0, 1.8),
            (scaled(Scaling::Lecun, Normal), 1.0 / 50.0, 3.0),
            (scaled(Scaling::Lecun, Uniform), 1.0 / 50.0, 1.8),
            (scaled(Scaling::Xavier, Uniform), 2.0 / 80.0, 1.8),
            (scaled(Scaling::Xavier, Normal), 2.0 / 80.0, 3.0),
            (scaled(Scaling::HeFanIn, Normal), 2.0 / 50.0, 3.0),
            (scaled(Scaling::HeFanIn, Uniform), 2.0 / 50.0, 1.8),
            (scaled(Scaling::HeFanOut, Normal), 2.0 / 30.0, 3.0),
            (Init::Normal { std: 0.3 }, 0.09, 3.0),
            (Init::Uniform { bound: 0.3 }, 0.03, 1.8),
            (Init::TruncatedNormal { std: 0.3 }, 0.09 * cut, 2.365_5),
        ];
        for (init, variance, shape) in cases {
            let [mean, found, found_shape] = moments(init);
            // Five deviations of the estimates: of the mean σ / √n, of the variance at most σ² √(2 / n), of the
            // fourth moment's quotient at most √(24 / n).
            let n = SAMPLES as f64;
            let (mean_error, error, shape_error) = (
                5.0 * (variance / n).sqrt(),
                5.0 * variance * (2.0 / n).sqrt(),
                5.0 * (24.0 / n).sqrt(),
            );
            assert!(mean.abs() < mean_error, "{init}: mean {mean}");
            assert!((found - variance).abs() < error, "{init}: variance {found}");
            assert!(
                (found_shape - shape).abs() < shape_error,
                "{init}: fourth moment {found_shape}"
            );
        }
    }

    #[test]
    fn bounds_hold() {
        let within = |init, bound: f32| {
            let data = initial(&param("a", init), SAMPLES, 3);
            let largest = data.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!(largest <= bound, "{init}: {largest}");
            assert!(largest > 0.99 * bound, "{init}: {largest}");
        };
        within(Init::FanInUniform { fan_in: 25 }, 0.2);
        within(Init::Uniform { bound: 0.5 }, 0.5);
        within(Init::TruncatedNormal { std: 0.25 }, 0.5);
        within(
            scaled(Scaling::HeFanIn, Distribution::Uniform),
            0.12_f32.sqrt(),
        );
    }

    #[test]
    fn extremes_are_numbers() {
        let all = |init| initial(&param("a", init), 100, 1);
        assert!(all(Init::Normal { std: 0.0 }).iter().all(|&x| x == 0.0));
        assert!(
            all(Init::TruncatedNormal { std: 0.0 })
                .iter()
                .all(|&x| x == 0.0)
        );
        assert_eq!(all(Init::Constant(0.5)), vec![0.5; 100]);
        let huge = |fan_in, fan_out| {
            Init::Scaled(Scaled {
                scaling: Scaling::Xavier,
                distribution: Distribution::Normal,
                gain: 1.0,
                fan_in,
                fan_out,
            })
        };
        assert!(
            all(huge(usize::MAX, usize::MAX))
                .iter()
                .all(|x| x.abs() < 1e-8)
        );
        assert!(all(huge(0, 0)).iter().all(|x| x.is_finite()));
        assert!(initial(&param("a", Init::Normal { std: 1.0 }), 0, 1).is_empty());
    }

    #[test]
    fn a_start_depends_on_seed_and_name_alone() {
        let init = scaled(Scaling::HeFanIn, Distribution::Normal);
        let start = |name: &str, seed| initial(&param(name, init), 8, seed);
        assert_eq!(start("conv1.weight", 1), start("conv1.weight", 1));
        assert_ne!(start("conv1.weight", 1), start("conv1.weight", 2));
        assert_ne!(start("conv1.weight", 1), start("conv2.weight", 1));
        // Another number of elements, the same stream.
        assert_eq!(
            initial(&param("conv1.weight", init), 4, 1),
            start("conv1.weight", 1)[..4]
        );
    }

    /// The same bits on every machine: these were written down once.
    #[test]
    fn starts_are_the_same_everywhere() {
        let first = |init| {
            let data = initial(&param("conv1.weight", init), 3, 1);
            data.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        insta::assert_debug_snapshot!((
            first(Init::Normal { std: 1.0 }),
            first(Init::TruncatedNormal { std: 1.0 }),
            first(Init::Uniform { bound: 1.0 }),
        ));
    }
}
