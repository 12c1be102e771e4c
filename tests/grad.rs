//! Every operator's gradient, and those of small nets, against central differences in f64.
//!
//! Data are distinct numbers that are farther from each other and from zero than the differences'
//! steps reach, so that no maximum changes hands and no rectifier switches on the way.

mod common;

use std::collections::BTreeMap;

use common::differences::{Forward, Rule};
use netc::autodiff;
use netc::interp::{self, Bindings, StepValues};
use netc::ir::verify::verify;
use netc::ir::{Builder, DType, Graph, IdVec, Shape, StepScalar, Type, ValueId, ValueKind};
use netc::ops::activation;
use netc::ops::dropout::Dropout;
use netc::ops::layers::{self, Across, Axis, BatchNorm, LocalResponseNorm, Reduce, WeightInit};
use netc::ops::loss::CrossEntropy;
use netc::ops::{
    Array, AvgPool, AvgPoolGrad, Concat, Conv2d, Conv2dFilterGrad, Conv2dInputGrad, Index,
    IndexGrad, Lrn, MaxPool, Op, Over, Pad, Pads, Pointwise, ReduceMax, Slice, Window,
};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The error of a difference falls with the square of the step, down to what cancellation leaves: about 1e-8 and 1e-12 for
/// functions of size 1. The tolerance is a hundred times the error of the larger step.
const RULE: Rule = Rule {
    steps: &[[1e-4, 3e-5]],
    tolerance: 1e-6,
    floor: 1.0,
    entries: 16,
};

const BATCH: usize = 2;
const CLASSES: u32 = 3;

const STEP: StepValues = StepValues {
    seed: 5,
    ..StepValues::REST
};

type Data = BTreeMap<ValueId, Array<f64>>;

/// Distinct numbers in ±1 for all that is given; in 0.5 to 1.5 for what must be positive.
fn data(graph: &Graph, positive: &[ValueId], rng: &mut ChaCha8Rng) -> Data {
    let given: Vec<(ValueId, &Type)> = graph
        .values
        .iter()
        .filter(|(_, value)| !matches!(value.kind, ValueKind::Result { .. } | ValueKind::Step(_)))
        .map(|(id, value)| (id, &value.ty))
        .collect();
    let count = |ty: &Type| ty.shape.with_batch(BATCH).iter().product::<usize>();
    // An even number of cells, so that zero lies between two.
    let cells = given.iter().map(|(_, ty)| count(ty)).sum::<usize>() * 2;
    let mut grid: Vec<f64> = (0..cells)
        .map(|cell| (cell as f64 + 0.5) * 2.0 / cells as f64 - 1.0)
        .collect();
    grid.shuffle(rng);
    let mut data = Data::new();
    for (id, ty) in given {
        let numbers = (0..count(ty)).map(|_| match ty.dtype {
            DType::I32 => f64::from(rng.random_range(0..CLASSES)),
            DType::F32 => {
                let number = grid.pop().expect("there is one for each element");
                if positive.contains(&id) {
                    1.0 + number / 2.0
                } else {
                    number
                }
            }
        });
        let numbers = numbers.collect();
        data.insert(id, Array::new(ty.shape.clone(), numbers));
    }
    data
}

fn run(graph: &Graph, data: &Data) -> IdVec<ValueId, Array<f64>> {
    let mut bindings = Bindings::new(graph);
    for (&id, array) in data {
        bindings.set(id, array.clone());
    }
    interp::run(graph, BATCH, &STEP, &bindings)
}

/// Holds the gradients of a loss against differences.
fn check(name: &str, mut builder: Builder, loss: ValueId, wrt: &[ValueId], positive: &[ValueId]) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let forward = builder.graph().clone();
    let grads = autodiff::gradients(&mut builder, loss, wrt);
    let graph = builder.finish();
    assert_eq!(verify(&graph), Ok(()), "{name}");
    let data = data(&forward, positive, &mut rng);
    let values = run(&graph, &data);
    let forward = Forward {
        graph: &forward,
        loss,
        batch: BATCH,
        values: run(&forward, &data)
            .iter()
            .map(|(id, array)| (id, array.clone()))
            .collect(),
    };
    for (&value, &grad) in wrt.iter().zip(&grads) {
        assert_eq!(graph.ty(grad), graph.ty(value), "{name}");
        forward.hold(name, value, values[grad].data(), &RULE, &mut rng);
    }
}

/// A number that depends on every element of some values, each with a weight of its own.
fn weighted_sum(builder: &mut Builder, values: &[ValueId]) -> ValueId {
    let sums: Vec<ValueId> = values
        .iter()
        .enumerate()
        .map(|(index, &value)| {
            let ty = builder.graph().ty(value).clone();
            let weights = builder.input(format!("weights{index}"), ty);
            let product = builder.pointwise(Pointwise::Mul, &[value, weights]);
            builder.op(Op::SumTo(Shape::single([])), &[product])
        })
        .collect();
    let (first, rest) = sums.split_first().expect("there is a value");
    rest.iter().fold(*first, |sum, &next| {
        builder.pointwise(Pointwise::Add, &[sum, next])
    })
}

/// An operator to be checked.
struct Case {
    op: Op,
    inputs: Vec<Type>,
    /// Inputs that must be positive.
    positive: Vec<usize>,
    /// Inputs that have no gradient.
    skip: Vec<usize>,
}

fn case(op: impl Into<Op>, inputs: &[Type]) -> Case {
    Case {
        op: op.into(),
        inputs: inputs.to_vec(),
        positive: Vec::new(),
        skip: Vec::new(),
    }
}

impl Case {
    fn positive(self, positive: &[usize]) -> Case {
        Case {
            positive: positive.to_vec(),
            ..self
        }
    }

    fn skip(self, skip: &[usize]) -> Case {
        Case {
            skip: skip.to_vec(),
            ..self
        }
    }

    fn check(&self) {
        let mut builder = Builder::new("case");
        let inputs: Vec<ValueId> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, ty)| builder.input(format!("x{index}"), ty.clone()))
            .collect();
        let outputs = builder.node(self.op.clone(), &inputs);
        let floats: Vec<ValueId> = outputs
            .into_iter()
            .filter(|&output| builder.graph().ty(output).dtype == DType::F32)
            .collect();
        let loss = weighted_sum(&mut builder, &floats);
        let wrt: Vec<ValueId> = inputs
            .iter()
            .enumerate()
            .filter(|(index, _)| {
                self.inputs[*index].dtype == DType::F32 && !self.skip.contains(index)
            })
            .map(|(_, &input)| input)
            .collect();
        let positive: Vec<ValueId> = self.positive.iter().map(|&index| inputs[index]).collect();
        let name = format!("{:?}", self.op);
        check(&name, builder, loss, &wrt, &positive);
    }
}

fn check_all(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        case.check();
    }
}

fn images(dims: &[usize]) -> Type {
    Type::f32(Shape::batched(dims))
}

fn weights(dims: &[usize]) -> Type {
    Type::f32(Shape::single(dims))
}

fn pads(top: usize, left: usize, bottom: usize, right: usize) -> Pads {
    Pads {
        top,
        left,
        bottom,
        right,
    }
}

/// Windows over maps of 7 x 5.
fn windows() -> Vec<Window> {
    let plain = Window::new([3, 2]);
    vec![
        plain,
        Window {
            stride: [2, 3],
            ..plain
        },
        Window {
            pads: pads(1, 0, 0, 1),
            ..plain
        },
        Window {
            stride: [2, 2],
            pads: pads(0, 1, 1, 0),
            ..plain
        },
        Window {
            dilation: [2, 3],
            pads: pads(2, 1, 0, 2),
            ..plain
        },
        Window {
            stride: [3, 2],
            dilation: [1, 2],
            pads: pads(1, 1, 1, 1),
            ceil: true,
            ..plain
        },
        Window {
            stride: [2, 2],
            ..Window::new([1, 1])
        },
    ]
}

#[test]
fn convolutions() {
    for window in windows() {
        for groups in [1, 3] {
            let conv = Conv2d { window, groups };
            let [height, width] = window.output([7, 5]).unwrap();
            let x = images(&[3, 7, 5]);
            let filter = weights(&conv.filter(3, 6).unwrap());
            let dy = images(&[6, height, width]);
            let input_grad = Conv2dInputGrad {
                conv,
                input: [7, 5],
            };
            check_all([
                case(conv, &[x.clone(), filter.clone()]),
                case(input_grad, &[dy.clone(), filter]),
                case(Conv2dFilterGrad { conv }, &[x, dy]),
            ]);
        }
    }
}

#[test]
fn three_groups_of_two_channels() {
    let conv = Conv2d {
        window: Window::new([3, 3]),
        groups: 3,
    };
    case(conv, &[images(&[6, 5, 5]), weights(&[9, 2, 3, 3])]).check();
}

#[test]
fn strided_convolutions_of_every_rest() {
    for size in [31, 32, 33] {
        let window = Window {
            stride: [2, 2],
            pads: Pads::all(3),
            ..Window::new([7, 7])
        };
        let conv = Conv2d { window, groups: 1 };
        case(conv, &[images(&[1, size, size]), weights(&[1, 1, 7, 7])]).check();
    }
}

#[test]
fn dense() {
    let (x, w, dy) = (images(&[5]), weights(&[3, 5]), images(&[3]));
    check_all([
        case(Op::Dense, &[x.clone(), w.clone()]),
        case(Op::DenseInputGrad, &[dy.clone(), w]),
        case(Op::DenseFilterGrad, &[x, dy]),
    ]);
}

#[test]
fn pools() {
    for mut window in windows() {
        // Half of the window, along both axes.
        window.pads.right = window.pads.right.min(1);
        let x = images(&[2, 7, 5]);
        let [height, width] = window.pool_output([7, 5]).unwrap();
        let dy = images(&[2, height, width]);
        case(MaxPool { window }, std::slice::from_ref(&x)).check();
        for include_pad in [false, true] {
            let average = AvgPool {
                window,
                include_pad,
            };
            let grad = AvgPoolGrad {
                window,
                include_pad,
                input: [7, 5],
            };
            check_all([
                case(average, std::slice::from_ref(&x)),
                case(grad, std::slice::from_ref(&dy)),
            ]);
        }
    }
}

#[test]
fn elementwise() {
    let map = || images(&[3, 2, 3]);
    let pairs = [
        [map(), map()],
        [map(), weights(&[3])],
        [images(&[3]), map()],
        [weights(&[]), map()],
        [map(), images(&[1, 2, 3])],
        [weights(&[3, 1, 3]), weights(&[3])],
        // Each stretches along an axis of the other.
        [images(&[3, 1, 3]), weights(&[1, 2])],
        [images(&[2, 1, 2, 1]), images(&[1, 2, 1, 3])],
    ];
    for pair in pairs {
        for op in [
            Pointwise::Add,
            Pointwise::Sub,
            Pointwise::Mul,
            Pointwise::Max,
            Pointwise::Min,
            Pointwise::TanhGrad,
            Pointwise::SigmoidGrad,
            Pointwise::ReluGrad,
        ] {
            case(op, &pair).check();
        }
        case(Pointwise::Div, &pair).positive(&[1]).check();
    }
    for op in [
        Pointwise::Neg,
        Pointwise::Exp,
        Pointwise::Relu,
        Pointwise::Tanh,
        Pointwise::Sigmoid,
        Pointwise::Square,
        Pointwise::Clip { lo: -0.5, hi: 0.25 },
        Pointwise::Elu { alpha: 0.75 },
        Pointwise::Softplus,
        Pointwise::Gelu,
    ] {
        case(op, &[map()]).check();
    }
    let bounds = Pointwise::ClipGrad { lo: -0.5, hi: 0.25 };
    case(bounds, &[map(), map()]).check();
    // What they are given of the forward half has no rule: no net asks for second gradients.
    for op in [
        Pointwise::EluGrad { alpha: 0.75 },
        Pointwise::SoftplusGrad,
        Pointwise::GeluGrad,
    ] {
        case(op, &[map(), map()]).skip(&[0]).check();
    }
    for slope in [weights(&[3]), weights(&[])] {
        case(Pointwise::Prelu, &[map(), slope.clone()]).check();
        case(Pointwise::PreluGrad, &[map(), slope, map()])
            .skip(&[1])
            .check();
    }
    case(Pointwise::BinaryCrossEntropy, &[map(), map()]).check();
    for op in [Pointwise::Sqrt, Pointwise::Rsqrt, Pointwise::Log] {
        case(op, &[map()]).positive(&[0]).check();
    }
}

#[test]
fn batch_norms() {
    let at_rest = Pointwise::BatchNorm {
        eps: 1e-3,
        batch_stats: false,
    };
    for x in [images(&[3, 2, 3]), images(&[3])] {
        let channels = || weights(&[3]);
        let operands = [x.clone(), channels(), channels(), channels(), channels()];
        check_all([
            case(at_rest, &operands).positive(&[2]),
            case(Op::BatchStats, &[x]),
        ]);
    }
    for affine in [false, true] {
        let mut builder = Builder::new("batch norm");
        let x = builder.input("x", images(&[3, 2, 3]));
        let params = layers::batch_norm_params(&mut builder, "bn", 3, affine);
        let norm = BatchNorm {
            eps: 1e-3,
            momentum: 0.1,
            train: true,
        };
        let y = layers::batch_norm(&mut builder, x, params, norm).unwrap();
        let loss = weighted_sum(&mut builder, &[y]);
        let learned = [params.gamma, params.beta].into_iter().filter(|_| affine);
        let wrt: Vec<ValueId> = [x].into_iter().chain(learned).collect();
        check("batch norm in training", builder, loss, &wrt, &[]);
    }
}

#[test]
fn softmaxes_and_losses() {
    let map = || images(&[4, 2, 1]);
    let labels = Type::i32(Shape::batched([]));
    check_all([
        case(Op::Softmax, &[map()]),
        case(Op::Softmax, &[images(&[5])]),
        // The output that it is given has no rule: no net asks for second gradients.
        case(Op::SoftmaxGrad, &[map(), map()]).skip(&[0]),
        case(CrossEntropy::default(), &[images(&[4]), labels.clone()]),
        case(Op::LogSoftmax, &[map()]),
    ]);
    for label_smoothing in [0.0, 0.3, 1.0] {
        let op = CrossEntropy { label_smoothing };
        let weighted = [images(&[4]), labels.clone(), weights(&[4])];
        check_all([
            case(op, &weighted[..2]),
            case(op, &weighted).positive(&[2]).skip(&[2]),
        ]);
    }
}

#[test]
fn shapes() {
    let map = || images(&[3, 2, 3]);
    check_all([
        case(Op::Expand(Shape::batched([3, 2, 3])), &[weights(&[3])]),
        case(Op::Expand(Shape::batched([3, 2, 3])), &[images(&[3, 1, 3])]),
        case(Op::Expand(Shape::batched([])), &[weights(&[])]),
        case(Op::SumTo(Shape::single([3])), &[map()]),
        case(Op::SumTo(Shape::batched([1, 2])), &[map()]),
        case(Op::SumTo(Shape::single([])), &[map()]),
        case(Op::SumTo(Shape::batched([3, 1, 3])), &[map()]),
        case(Op::SumTo(Shape::single([1, 2])), &[map()]),
        case(
            Op::SumTo(Shape::batched([2, 1, 2])),
            &[images(&[2, 2, 2, 3])],
        ),
        case(Op::Reshape(vec![9, 2]), &[map()]),
        case(Op::Relayout, &[map()]),
        case(Op::Transpose(vec![2, 0, 1]), &[map()]),
        case(Op::Transpose(vec![1, 0]), &[weights(&[3, 2])]),
        case(Concat { axis: 1 }, &[map(), images(&[3, 1, 3])]),
        case(Concat { axis: 2 }, &[map(), images(&[3, 2, 1])]),
        case(around([1, 0, 2], [0, 3, 1]), &[map()]),
        case(around([0, 0, 0], [0, 0, 1]), &[map()]),
        case(index(&[2, 0, 2, 2]), &[map()]),
        case(index_grad(&[2, 0, 2, 2], 3), &[images(&[4, 2, 1])]),
        case(
            Concat { axis: 0 },
            &[map(), images(&[1, 2, 3]), images(&[2, 2, 3])],
        ),
        case(Concat { axis: 0 }, &[images(&[3]), images(&[2])]),
        case(
            Slice {
                axis: 0,
                from: 0,
                to: 1,
            },
            &[map()],
        ),
        case(
            Slice {
                axis: 1,
                from: 1,
                to: 2,
            },
            &[map()],
        ),
        case(
            Slice {
                axis: 2,
                from: 1,
                to: 3,
            },
            &[map()],
        ),
    ]);
}

fn around(before: [usize; 3], after: [usize; 3]) -> Pad {
    Pad {
        before: before.to_vec(),
        after: after.to_vec(),
        value: 0.5,
    }
}

fn index(items: &[usize]) -> Index {
    Index {
        items: items.into(),
    }
}

fn index_grad(items: &[usize], channels: usize) -> IndexGrad {
    IndexGrad {
        items: items.into(),
        channels,
    }
}

#[test]
fn maxima_along_axes() {
    let map = || images(&[4, 2, 3]);
    let over = |over: Over| case(ReduceMax { over }, &[map()]);
    check_all([
        over(Over::Channels { pieces: 4 }),
        over(Over::Channels { pieces: 2 }),
        over(Over::Height),
        over(Over::Width),
        over(Over::Space),
    ]);
}

#[test]
fn local_response_norms() {
    for size in [1, 2, 3, 5, 12] {
        let lrn = Lrn {
            size,
            alpha: 0.5,
            beta: 0.75,
            k: 2.0,
            by_window: size == 3,
        };
        case(lrn, &[images(&[5, 2, 1])]).check();
    }
}

#[test]
fn dropout() {
    let mut builder = Builder::new("dropout");
    let x = builder.input("x", images(&[3, 2, 3]));
    let seed = builder.step_scalar(StepScalar::Seed);
    let op = Dropout {
        rate: 0.5,
        stream: 1,
    };
    let y = builder.op(op, &[x, seed]);
    let loss = weighted_sum(&mut builder, &[y]);
    check("dropout", builder, loss, &[x], &[]);
}

#[test]
fn composed_layers() {
    type Append = fn(&mut Builder, ValueId) -> ValueId;
    let layers: [(&str, Append); 19] = [
        ("silu", |b, x| activation::silu(b, x)),
        ("relu6", |b, x| activation::relu6(b, x)),
        ("leaky_relu", |b, x| activation::leaky_relu(b, x, 0.1)),
        ("leaky_relu going up", |b, x| {
            activation::leaky_relu(b, x, -0.5)
        }),
        ("elu", |b, x| activation::elu(b, x, 1.5)),
        ("gelu", |b, x| activation::gelu(b, x)),
        ("gelu by tanh", |b, x| activation::gelu_tanh(b, x)),
        ("hard_sigmoid", |b, x| activation::hard_sigmoid(b, x)),
        ("hard_swish", |b, x| activation::hard_swish(b, x)),
        ("softplus", |b, x| activation::softplus(b, x, 2.5)),
        ("clip", |b, x| activation::clip(b, x, [-0.3, 0.6])),
        ("global average", |b, x| {
            layers::global_avg_pool(b, x).unwrap()
        }),
        ("global maximum", |b, x| {
            layers::global_max_pool(b, x).unwrap()
        }),
        ("maxout", |b, x| layers::maxout(b, x, 2).unwrap()),
        ("local response norm", |b, x| {
            let norm = LocalResponseNorm {
                size: 3,
                alpha: 0.5,
                beta: 0.75,
                k: 2.0,
                across: Across::Space,
                by_window: false,
            };
            layers::local_response_norm(b, x, norm).unwrap()
        }),
        ("mean of channels", |b, x| {
            layers::reduce(b, x, Reduce::Mean, Axis::Channels).unwrap()
        }),
        ("sum of columns", |b, x| {
            layers::reduce(b, x, Reduce::Sum, Axis::Width).unwrap()
        }),
        ("shuffle", |b, x| layers::shuffle(b, x, 2).unwrap()),
        ("stochastic depth", |b, x| {
            let dropout = Dropout {
                rate: 0.5,
                stream: 2,
            };
            layers::stochastic_depth(b, x, dropout, true).unwrap()
        }),
    ];
    for (name, append) in layers {
        let mut builder = Builder::new(name);
        let x = builder.input("x", images(&[4, 3, 2]));
        let y = append(&mut builder, x);
        let loss = weighted_sum(&mut builder, &[y]);
        check(name, builder, loss, &[x], &[]);
    }
}

fn conv(builder: &mut Builder, name: &str, x: ValueId, outputs: usize) -> (ValueId, [ValueId; 2]) {
    let op = Conv2d {
        window: Window {
            pads: Pads::all(1),
            ..Window::new([3, 3])
        },
        groups: 1,
    };
    let channels = [builder.graph().dims(x)[0], outputs];
    let params = layers::conv2d_params(builder, name, &op, channels, true, WeightInit::FanIn);
    let params = params.expect("one group divides all");
    let y = layers::conv2d(builder, x, params, op).expect("it fits");
    (y, [params.weight, params.bias.expect("it was asked for")])
}

fn cross_entropy(builder: &mut Builder, logits: ValueId) -> ValueId {
    let labels = builder.input("labels", Type::i32(Shape::batched([])));
    let losses = builder.op(CrossEntropy::default(), &[logits, labels]);
    let sum = builder.op(Op::SumTo(Shape::single([])), &[losses]);
    let share = builder.step_scalar(StepScalar::InverseBatch);
    builder.pointwise(Pointwise::Mul, &[sum, share])
}

/// conv - batch norm - relu - pool - dense - cross-entropy.
#[test]
fn a_convolutional_net() {
    let mut builder = Builder::new("net");
    let x = builder.input("x", images(&[2, 7, 5]));
    let (y, mut wrt) = {
        let (y, params) = conv(&mut builder, "conv", x, 3);
        (y, params.to_vec())
    };
    let norm = BatchNorm {
        eps: 1e-3,
        momentum: 0.1,
        train: true,
    };
    let params = layers::batch_norm_params(&mut builder, "bn", 3, true);
    wrt.extend([params.gamma, params.beta]);
    let y = layers::batch_norm(&mut builder, y, params, norm).unwrap();
    let y = builder.pointwise(Pointwise::Relu, &[y]);
    let window = Window {
        stride: [2, 2],
        ceil: true,
        ..Window::new([2, 2])
    };
    let y = layers::max_pool(&mut builder, y, window).unwrap();
    let y = layers::flatten(&mut builder, y).unwrap();
    let features = [builder.graph().dims(y)[0], CLASSES as usize];
    let params = layers::dense_params(&mut builder, "fc", features, true, WeightInit::FanIn);
    wrt.extend([params.weight, params.bias.unwrap(), x]);
    let y = layers::dense(&mut builder, y, params).unwrap();
    let loss = cross_entropy(&mut builder, y);
    check("convolutional net", builder, loss, &wrt, &[]);
}

/// A residual sum, a stack of branches and a gate, whose parts are all read more than once.
#[test]
fn a_net_with_joins() {
    let mut builder = Builder::new("joins");
    let x = builder.input("x", images(&[3, 4, 3]));
    let (a, first) = conv(&mut builder, "a", x, 3);
    let residual = builder.pointwise(Pointwise::Add, &[a, x]);
    let residual = builder.pointwise(Pointwise::Tanh, &[residual]);
    let (b, second) = conv(&mut builder, "b", residual, 2);
    let stacked = builder.op(Concat { axis: 0 }, &[residual, b, x]);
    let gate = layers::global_avg_pool(&mut builder, stacked).unwrap();
    let gate = builder.pointwise(Pointwise::Sigmoid, &[gate]);
    let gated = builder.pointwise(Pointwise::Mul, &[stacked, gate]);
    let pooled = layers::global_avg_pool(&mut builder, gated).unwrap();
    let logits = builder.op(
        Slice {
            axis: 0,
            from: 2,
            to: 6,
        },
        &[pooled],
    );
    let loss = cross_entropy(&mut builder, logits);
    let wrt: Vec<ValueId> = first.into_iter().chain(second).chain([x]).collect();
    check("joins", builder, loss, &wrt, &[]);
}

#[test]
fn what_the_loss_does_not_depend_on_has_gradient_zero() {
    let mut builder = Builder::new("apart");
    let x = builder.input("x", images(&[2]));
    let apart = builder.input("apart", images(&[3]));
    let lonely = builder.pointwise(Pointwise::Relu, &[apart]);
    builder.output("lonely", lonely);
    let loss = weighted_sum(&mut builder, &[x]);
    check("apart", builder, loss, &[apart, x], &[]);
}

#[test]
fn a_value_is_its_own_gradient_of_one() {
    let mut builder = Builder::new("itself");
    let loss = builder.input("loss", weights(&[]));
    check("itself", builder, loss, &[loss], &[]);
}

#[test]
fn a_square_made_of_two_uses() {
    let mut builder = Builder::new("uses");
    let x = builder.input("x", images(&[3]));
    let square = builder.pointwise(Pointwise::Mul, &[x, x]);
    let cube = builder.pointwise(Pointwise::Mul, &[square, x]);
    let loss = weighted_sum(&mut builder, &[square, cube]);
    check("uses", builder, loss, &[x], &[]);
}

/// Only what lies between a value and the loss is differentiated.
#[test]
fn the_walk_skips_what_reaches_no_value() {
    let mut builder = Builder::new("skips");
    let x = builder.input("x", images(&[3]));
    let w = builder.input("w", weights(&[2, 3]));
    let before = builder.pointwise(Pointwise::Exp, &[x]);
    let y = builder.op(Op::Dense, &[before, w]);
    let loss = builder.op(Op::SumTo(Shape::single([])), &[y]);
    let forward = builder.graph().nodes.len();
    autodiff::gradients(&mut builder, loss, &[w]);
    let graph = builder.finish();
    let names: Vec<String> = graph
        .nodes
        .iter()
        .skip(forward)
        .map(|(_, node)| format!("{:?}", node.op))
        .collect();
    assert_eq!(
        names,
        [
            "Constant(1.0)",
            "Expand(Shape { batched: true, dims: [2] })",
            "DenseInputGrad",
            "DenseFilterGrad"
        ]
    );
}
