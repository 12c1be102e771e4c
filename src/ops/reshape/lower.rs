//! Changes of layout, of sizes and of the order of axes as copies.

use crate::ir::{FilterOrder, Layout, Node};
use crate::lower::strided::{self, Axis, Operand, map_steps, steps};
use crate::lower::{Cx, ELEMENT};

/// Copies a value into another with the same elements in C, H, W order.
pub fn relayout(cx: &mut Cx<'_>, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let name = cx.name.clone();
    let axes = match (cx.layout(from), cx.layout(to)) {
        (a @ Layout::Nhwc { map, .. }, b @ Layout::Nhwc { map: other, .. }) => {
            let parts = Layout::common_axes(*map, *other)
                .unwrap_or_else(|| panic!("{name}: no copy from {a} to {b} in one step"));
            let (a, b) = (map_steps(a), map_steps(b));
            parts
                .into_iter()
                .map(|part| {
                    let [from, to] = [(part.from, a), (part.to, b)]
                        .map(|((axis, places), steps)| steps[axis] * places as i64);
                    Axis::new(part.count, [from, to])
                })
                .collect()
        }
        (
            Layout::Filter {
                order: FilterOrder::Forward,
                groups,
                kcrs: [k, c, r, s],
                row,
                panels: 1,
            },
            Layout::Filter {
                order: FilterOrder::Backward,
                row: to_row,
                panels: 1,
                ..
            },
        ) => {
            let (k, c, row, to_row) = (*k as i64, *c as i64, *row as i64, *to_row as i64);
            let bytes = |elements: [i64; 2]| elements.map(|elements| elements * ELEMENT);
            vec![
                Axis::new(groups * r * s, bytes([c * row, k * to_row])),
                Axis::new(k as usize, bytes([1, to_row])),
                Axis::new(c as usize, bytes([row, 1])),
            ]
        }
        (from @ Layout::Filter { .. }, to @ Layout::Nhwc { .. })
        | (from @ Layout::Nhwc { .. }, to @ Layout::Filter { .. }) => {
            let Some((counts, from, to)) = filter_axes(from, to) else {
                panic!("{name}: no copy from {from} to {to}");
            };
            let axes = counts.into_iter().zip(from.into_iter().zip(to));
            axes.map(|(count, (from, to))| Axis::new(count, [from, to]))
                .collect()
        }
        (a, b) => panic!("{name}: no copy from {a} to {b}"),
    };
    let [from, to] = [from, to].map(|value| Operand::value(cx, value));
    strided::copy(cx, &name, from, to, axes);
}

/// Places and byte distances along an axis of groups, filters, channels and taps.
type FilterAxes = ([usize; 4], [i64; 4], [i64; 4]);

/// The axes of a filter in one of the orders that are kept and of the map that it is in the plain order, [K, C, R · S], with the distances
/// in the first layout and in the second.
fn filter_axes(one: &Layout, other: &Layout) -> Option<FilterAxes> {
    let (filter, map, swapped) = match (one, other) {
        (filter @ Layout::Filter { .. }, map) => (filter, map, false),
        (map, filter) => (filter, map, true),
    };
    let (
        &Layout::Filter {
            order,
            groups,
            kcrs: [k, c, r, s],
            row,
            panels: 1,
        },
        Layout::Nhwc {
            map: [filters, channels, taps],
            ..
        },
    ) = (filter, map)
    else {
        return None;
    };
    if [*filters, *channels, *taps] != [groups * k, c, r * s] {
        return None;
    }
    let row = row as i64 * ELEMENT;
    let tap = c as i64 * row;
    let in_filter = match order {
        FilterOrder::Forward => [tap * (r * s) as i64, ELEMENT, row, tap],
        FilterOrder::Depthwise => [ELEMENT, 0, 0, row],
        FilterOrder::Backward => return None,
    };
    let [filter, channel, place] = map_steps(map);
    let in_map = [filter * k as i64, filter, channel, place];
    let counts = [groups, k, c, r * s];
    Some(if swapped {
        (counts, in_map, in_filter)
    } else {
        (counts, in_filter, in_map)
    })
}

/// Copies along the result's axes.
pub fn transpose(cx: &mut Cx<'_>, axes: &[usize], node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let (from_steps, to_steps) = (steps(cx, from), steps(cx, to));
    let counts = cx.graph.dims(to);
    let axes = axes.iter().enumerate();
    let axes = axes.map(|(to, &from)| Axis::new(counts[to], [from_steps[from], to_steps[to]]));
    let axes = axes.collect();
    let name = cx.name.clone();
    let [from, to] = [from, to].map(|value| Operand::value(cx, value));
    strided::copy(cx, &name, from, to, axes);
}
