//! Plans as text.

use std::fmt::Write;

use super::Plan;
use crate::ir::{Graph, ValueKind};
use crate::lower::Units;

/// The plan's text for `dump --stage plan`.
pub fn plan(graph: &Graph, plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "plan of {}: batch {}, arena {} bytes, {} kept",
        graph.name, plan.batch, plan.arena_bytes, plan.kept_bytes
    );
    let mut slots: Vec<_> = plan.slots.values().collect();
    slots.sort_by_key(|slot| (slot.offset, slot.value));
    for slot in slots {
        let what = match &graph.values[slot.value].kind {
            ValueKind::Input(name) => format!("input {name}"),
            ValueKind::Param(param) => format!("param {}", param.name),
            ValueKind::State(name) => format!("state {name}"),
            ValueKind::Step(scalar) => format!("step {}", scalar.name()),
            ValueKind::Result { .. } => "result".to_owned(),
        };
        let layout = &graph.values[slot.value].layout;
        let _ = writeln!(
            text,
            "  {:>9} +{:<8} {} {what} {layout}",
            slot.offset, slot.bytes, slot.value
        );
    }
    for (scalar, offset) in &plan.scalars {
        let _ = writeln!(text, "  {offset:>9} +4        step {}", scalar.name());
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let kernel = &plan.kernels[step.kernel];
        let units = match step.domain.units {
            Units::Fixed(units) => format!("{units} units"),
            Units::Images { units, images } => format!("{units} units / {images} images"),
            Units::Elements { elements, block } => {
                format!("{elements} elements an image / {block}")
            }
        };
        let shared = if kernel.name == step.name {
            String::new()
        } else {
            format!(" = {}", kernel.name)
        };
        let args: Vec<String> = step.args.iter().map(usize::to_string).collect();
        let _ = writeln!(
            text,
            "{index:>4} {}{shared} ({}) {units}, {} a task",
            step.name,
            args.join(", "),
            step.domain.chunk
        );
    }
    for remark in &plan.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    text
}
