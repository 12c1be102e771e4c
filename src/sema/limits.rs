//! How far a net may expand.
//!
//! A file of one line can describe billions of layers. These limits are far above what machines of this kind run, and
//! low enough that a mistake is reported at once.

/// Nodes of the graph; the largest published nets have about two thousand, a residual network of a thousand layers ten.
pub(super) const MAX_NODES: usize = 20_000;
/// Elements of chains, statements and expressions evaluated for one net.
pub(super) const MAX_STEPS: usize = 2_000_000;
/// Blocks and functions inside of one another.
pub(super) const MAX_CALLS: usize = 64;
/// Items of a range or of a list with all lists in it, rounds of a `repeat`.
pub(super) const MAX_ITEMS: usize = 100_000;
/// A size that an attribute may name: channels, features, height, width.
pub(super) const MAX_SIZE: i64 = 1 << 24;
/// Kernel, stride, dilation and padding.
pub(super) const MAX_WINDOW: i64 = 1 << 14;
/// Elements of one tensor for one image: positions are counted in 32 bits.
pub(super) const MAX_ELEMENTS: usize = (1 << 31) - 1;
/// Elements of all parameters together: 32 GB.
pub(super) const MAX_PARAMS: usize = 1 << 33;
/// Tensors of parameters, statistics among them, each of which has a gradient and states: a residual network of 1,202
/// layers, the deepest published, has six thousand.
pub(super) const MAX_TENSORS: usize = 8_000;
/// Different errors of one run.
pub(super) const MAX_ERRORS: usize = 50;
/// Characters of a layer's path.
pub(super) const MAX_PATH: usize = 4096;
/// Characters of the paths of all layers, which each operation keeps.
pub(super) const MAX_PATHS: usize = 1 << 24;
/// Patterns of `freeze`, each of which is held against all weights.
pub(super) const MAX_PATTERNS: usize = 1_000;
/// Those of them with a `*`, which take a hundred times as long.
pub(super) const MAX_STARS: usize = 100;
/// Shared bodies of one net.
pub(super) const MAX_SHARED: usize = 10_000;
