//! How parameters start.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ir::{Graph, Init, Param, ValueKind};

/// The first values of a parameter, in PyTorch's order of its axes. Each parameter has a stream of
/// its own, made from the seed and its name, so adding a layer changes no other layer's start.
pub fn initial(param: &Param, elements: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name_hash(&param.name));
    match param.init {
        Init::Constant(value) => vec![value; elements],
        Init::FanInUniform { fan_in } => uniform(&mut rng, elements, bound(1.0, fan_in)),
        Init::XavierUniform { fan_in, fan_out } => {
            uniform(&mut rng, elements, bound(6.0, fan_in + fan_out))
        }
        Init::HeNormal { fan_in } => {
            let deviation = (2.0 / fan_in.max(1) as f64).sqrt();
            (0..elements)
                .map(|_| (normal(&mut rng) * deviation) as f32)
                .collect()
        }
    }
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
                Some((param.name.clone(), shape.dims.clone(), data))
            }
            _ => None,
        })
        .collect()
}

fn bound(numerator: f64, fan: usize) -> f64 {
    (numerator / fan.max(1) as f64).sqrt()
}

fn uniform(rng: &mut ChaCha8Rng, elements: usize, bound: f64) -> Vec<f32> {
    (0..elements)
        .map(|_| ((rng.random::<f64>() * 2.0 - 1.0) * bound) as f32)
        .collect()
}

/// A standard normal number by the method of Box and Muller (1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // One minus a number below one is above zero, so its logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
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
    use crate::ir::ParamRole;

    fn param(name: &str, init: Init) -> Param {
        Param {
            name: name.to_owned(),
            role: ParamRole::Weight,
            init,
        }
    }

    #[test]
    fn starts_have_the_stated_spread() {
        let n = 20_000;
        let he = initial(&param("a", Init::HeNormal { fan_in: 50 }), n, 1);
        let variance = he.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
        // Twenty thousand samples know a variance to about one percent; five deviations are left.
        assert!((variance / 0.04 - 1.0).abs() < 0.05, "{variance}");
        let fan = initial(&param("a", Init::FanInUniform { fan_in: 25 }), n, 1);
        let most = fan.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(most <= 0.2 && most > 0.199, "{most}");
    }

    #[test]
    fn a_start_depends_on_seed_and_name_alone() {
        let init = Init::HeNormal { fan_in: 3 };
        let start = |name: &str, seed| initial(&param(name, init), 8, seed);
        assert_eq!(start("conv1.weight", 1), start("conv1.weight", 1));
        assert_ne!(start("conv1.weight", 1), start("conv1.weight", 2));
        assert_ne!(start("conv1.weight", 1), start("conv2.weight", 1));
    }
}
