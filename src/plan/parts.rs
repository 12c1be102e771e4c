//! How many images of a batch go through the whole net at a time.
//!
//! Where no image's result depends on another image, a batch may go through in parts. What lies between two layers then
//! stays in the last cache, where that of the whole batch would not; in return the parameters are read once for each part,
//! and kernels have less to share out. The choice is by a model: a group of nodes takes the time of its
//! multiply-accumulates and that of its bytes, which are dear beyond the caches and cheap within.

use crate::codegen::Target;
use crate::ir::{DType, Graph, ValueId, ValueKind};
use crate::lower::Group;
use crate::passes::fuse::Groups;
use crate::summary::macs;

/// Multiply-accumulates in the time that a byte takes to or from memory: 54 thousand million a second against 20 GB, of one
/// core of an AMD EPYC (Zen 4).
const MACS_A_BYTE: f64 = 2.7;

/// The time of a byte in the last cache, by that of one in memory: a guess between the 60 and 100 GB that the same core reads
/// there in a second, for arithmetic hides part of the time.
const NEAR: f64 = 1.0 / 3.0;

/// The share of the time that parts must save to be worth their smaller kernels.
const WORTH: f64 = 0.025;

/// Images of a part at least. With two, what one thread saved of 5 to 25 % was lost again by two threads, which had to wait
/// for each other more often.
const LEAST: usize = 4;

/// Whether each image's results depend on that image and on parameters alone.
fn is_independent(graph: &Graph) -> bool {
    let batched = |value: ValueId| graph.ty(value).shape.batched;
    let joins = graph.nodes.iter().any(|(_, node)| {
        node.inputs.iter().any(|&value| batched(value))
            && node.outputs.iter().any(|&value| !batched(value))
    });
    // A step's numbers are the same for all images of a step, and no others.
    let steps = graph.values.iter().any(|(id, value)| match value.kind {
        ValueKind::Step(_) | ValueKind::State(_) => true,
        ValueKind::Input(_) => !batched(id) || value.ty.dtype != DType::F32,
        ValueKind::Param(_) | ValueKind::Result { .. } => false,
    });
    let outputs = || graph.outputs.iter();
    !joins && !steps && graph.updates.is_empty() && outputs().all(|output| batched(output.value))
}

/// What a group of nodes has to do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Work {
    /// Multiply-accumulates for an image.
    pub macs: f64,
    /// Bytes that it reads and writes for an image, each value once.
    pub own: f64,
    /// Bytes that it reads and writes for all images together.
    pub shared: f64,
}

/// What a group of nodes has to do.
#[must_use]
pub fn work(graph: &Graph, group: &Group) -> Work {
    let nodes = || {
        let nodes = group.anchor.iter().chain(&group.nodes);
        nodes.map(|&id| &graph.nodes[id])
    };
    let made: Vec<ValueId> = nodes().flat_map(|node| node.outputs.clone()).collect();
    let mut touched: Vec<ValueId> = nodes().flat_map(|node| node.inputs.clone()).collect();
    touched.retain(|value| !made.contains(value));
    touched.sort_unstable();
    touched.dedup();
    touched.extend(&group.stores);
    let bytes = |batched: bool| -> f64 {
        let shapes = touched.iter().map(|&value| &graph.ty(value).shape);
        let wanted = shapes.filter(|shape| shape.batched == batched);
        let elements: usize = wanted.map(|shape| shape.elements()).sum();
        (elements * size_of::<f32>()) as f64
    };
    let products: u64 = nodes().map(|node| macs(graph, node)).sum();
    Work {
        macs: products as f64,
        own: bytes(true),
        shared: bytes(false),
    }
}

/// The images of a part, for batches of up to so many: all of them, if parts are not worth it.
pub fn images(graph: &Graph, groups: &Groups, target: &Target, batch: usize) -> usize {
    if batch <= LEAST || !is_independent(graph) {
        return batch;
    }
    // What depends on parameters alone is made once, for no batch.
    let is_batched = |value: &ValueId| graph.ty(*value).shape.batched;
    let groups = groups.groups.iter().map(|(_, group)| group);
    let of_images = groups.filter(|group| group.stores.iter().any(is_batched));
    let work: Vec<Work> = of_images.map(|group| work(graph, group)).collect();
    let near = target.caches[2] as f64 / 2.0;
    let time = |part: usize| -> f64 {
        let parts = batch.div_ceil(part) as f64;
        let of_group = |work: &Work| {
            let is_near = work.own * part as f64 <= near;
            let own = work.own * batch as f64 * if is_near { NEAR } else { 1.0 };
            work.macs * batch as f64 / MACS_A_BYTE + own + work.shared * parts
        };
        work.iter().map(of_group).sum()
    };
    let whole = time(batch);
    // Parts of one size, as nearly as may be.
    let sizes = (2..=batch / LEAST).map(|parts| batch.div_ceil(parts));
    let best = sizes.min_by(|&a, &b| time(a).total_cmp(&time(b)));
    match best {
        Some(part) if time(part) < whole * (1.0 - WORTH) => part,
        _ => batch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::Isa;
    use crate::ir::{Builder, Init, Param, ParamRole, Shape, Type};
    use crate::ops::{Conv2d, Op, Pads, Pointwise, Window};
    use crate::passes::{fuse, layout};

    fn parameter(name: &str) -> Param {
        Param {
            name: name.to_owned(),
            role: ParamRole::Weight,
            init: Init::Constant(0.0),
        }
    }

    fn images_of(graph: &Graph, batch: usize) -> usize {
        let target = Target::of(Isa::Baseline, [32 << 10, 256 << 10, 2 << 20]);
        let (laid_out, _) = layout::run(graph, &target, batch);
        let graph = laid_out.unwrap_or_else(|| graph.clone());
        let groups = fuse::run(&graph, fuse::Options { fuse: true });
        images(&graph, &groups, &target, batch)
    }

    /// A map of 100 KB an image, and a filter for each channel.
    fn light() -> Builder {
        let mut b = Builder::new("light");
        let x = b.input("x", Type::f32(Shape::batched([16, 40, 40])));
        let filter = b.param([16, 1, 3, 3], parameter("filter"));
        let window = Window {
            pads: Pads::all(1),
            ..Window::new([3, 3])
        };
        let y = b.op(Conv2d { window, groups: 16 }, &[x, filter]);
        let y = b.pointwise(Pointwise::Relu, &[y]);
        b.output("y", y);
        b
    }

    #[test]
    fn maps_that_fit_the_cache_in_parts_go_in_parts_of_one_size() {
        let graph = light().finish();
        // Half the cache has room for five images with their results, and a part has four at least.
        for (batch, wanted) in [(1, 1), (2, 2), (4, 4), (7, 7), (8, 4), (9, 5), (16, 4)] {
            assert_eq!(images_of(&graph, batch), wanted, "of {batch}");
        }
    }

    #[test]
    fn heavy_parameters_are_read_once() {
        let mut b = Builder::new("heavy");
        let x = b.input("x", Type::f32(Shape::batched([1000])));
        let weight = b.param([2000, 1000], parameter("weight"));
        let y = b.op(Op::Dense, &[x, weight]);
        b.output("y", y);
        assert_eq!(images_of(&b.finish(), 64), 64);
    }

    #[test]
    fn images_that_meet_stay_together() {
        let mut b = light();
        let x = b.input("other", Type::f32(Shape::batched([16, 40, 40])));
        let statistics = b.node(Op::BatchStats, &[x]);
        let y = b.pointwise(Pointwise::Sub, &[x, statistics[0]]);
        b.output("z", y);
        assert_eq!(images_of(&b.finish(), 16), 16);
    }
}
