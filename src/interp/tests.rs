use super::{Bindings, StepValues, run, run_step};
use crate::ir::{Builder, Shape, StepScalar, Type};
use crate::ops::{Array, Pointwise};

#[test]
fn states_are_kept_from_step_to_step() {
    let mut builder = Builder::new("sum");
    let x = builder.input("x", Type::f32(Shape::single([2])));
    let rate = builder.step_scalar(StepScalar::LearningRate);
    let share = builder.step_scalar(StepScalar::InverseBatch);
    let memory = builder.state("memory", Type::f32(Shape::single([2])));
    let scaled = builder.pointwise(Pointwise::Mul, &[x, rate]);
    let scaled = builder.pointwise(Pointwise::Mul, &[scaled, share]);
    let next = builder.pointwise(Pointwise::Add, &[memory, scaled]);
    builder.update(memory, next);
    let graph = builder.finish();
    let mut bindings = Bindings::<f32>::new(&graph);
    let x = Array::new(Shape::single([2]), vec![1.0, 2.0]);
    bindings.set_named(&graph, "x", x);
    let step = StepValues {
        learning_rate: 0.5,
        ..StepValues::REST
    };
    run_step(&graph, 4, &step, &mut bindings);
    run_step(&graph, 4, &step, &mut bindings);
    assert_eq!(bindings.get_named(&graph, "memory").data(), [0.25, 0.5]);
    let values = run(&graph, 2, &step, &bindings);
    assert_eq!(values[next].data(), [0.5, 1.0]);
    assert_eq!(
        bindings.get(memory).data(),
        [0.25, 0.5],
        "only a step keeps"
    );
}
