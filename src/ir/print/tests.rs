use super::WithLayouts;
use crate::ir::{Builder, Graph, Init, Param, ParamRole, Shape, StepScalar, Type};
use crate::ops::{Conv2d, MaxPool, Op, Pads, Pointwise, Window, dropout::Dropout};

fn small() -> Graph {
    let mut builder = Builder::new("small");
    let x = builder.input("image", Type::f32(Shape::batched([1, 6, 6])));
    builder.set_origin("conv1");
    let weight = Param {
        name: "conv1.weight".to_owned(),
        role: ParamRole::Weight,
        init: Init::FanInUniform { fan_in: 9 },
    };
    let weight = builder.param([2, 1, 3, 3], weight);
    let window = Window {
        stride: [2, 1],
        pads: Pads {
            bottom: 1,
            ..Pads::all(0)
        },
        ..Window::new([3, 3])
    };
    let y = builder.op(Conv2d { window, groups: 1 }, &[x, weight]);
    builder.set_origin("pool");
    let window = Window {
        ceil: true,
        ..Window::new([2, 3])
    };
    let pooled = builder.node(MaxPool { window }.into(), &[y])[0];
    builder.set_origin("drop");
    let seed = builder.step_scalar(StepScalar::Seed);
    let dropout = Dropout {
        rate: 0.5,
        stream: 1,
    };
    let dropped = builder.op(dropout, &[pooled, seed]);
    builder.set_origin("");
    let sum = builder.op(Op::SumTo(Shape::single([2])), &[dropped]);
    let memory = builder.state("memory", Type::f32(Shape::single([2])));
    let next = builder.pointwise(Pointwise::Add, &[memory, sum]);
    builder.output("pooled", pooled);
    builder.update(memory, next);
    builder.finish()
}

#[test]
fn everything_stands_in_the_text() {
    insta::assert_snapshot!(small().to_string(), @r"
    graph small
      %0 = input image : f32[N, 1, 6, 6]
      %1 = param conv1.weight {weight, fan_in_uniform(9)} : f32[2, 1, 3, 3]
      %2 = step seed : i32[]
      %3 = state memory : f32[2]
      %4 = conv %0, %1 {stride 2,1 pad 0,0,1,0 dilation 1,1 groups 1} : f32[N, 2, 3, 4]  @ conv1
      %5, %6 = maxpool %4 {kernel 2,3 stride 1,1 pad 0,0,0,0 dilation 1,1 ceil true} : f32[N, 2, 2, 2], i32[N, 2, 2, 2]  @ pool
      %7 = dropout %5, %2 {rate 0.5 stream 1} : f32[N, 2, 2, 2]  @ drop
      %8 = sum_to %7 : f32[2]
      %9 = add %3, %8 : f32[2]
      output pooled = %5
      update %3 = %9
    ");
}

#[test]
fn layouts_stand_where_they_are_asked_for() {
    let mut builder = Builder::new("layouts");
    let x = builder.input("x", Type::f32(Shape::batched([4, 6, 5])));
    let y = builder.pointwise(Pointwise::Relu, &[x]);
    builder.output("y", y);
    let graph = builder.finish();
    insta::assert_snapshot!(WithLayouts(&graph).to_string(), @r"
    graph layouts
      %0 = input x : f32[N, 4, 6, 5] in nhwc(6x5x4)
      %1 = relu %0 : f32[N, 4, 6, 5] in nhwc(6x5x4)
      output y = %1
    ");
}
