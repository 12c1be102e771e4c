//! Changes of layout as strided copies.

use crate::ir::{FilterOrder, Layout, Node, ValueId};
use crate::lower::copy::{self, Axis, Copy};
use crate::lower::{Buffer, Cx, ELEMENT};

/// Copies a value into another with the same elements in C, H, W order.
pub fn relayout(cx: &mut Cx<'_>, node: &Node) {
    let (from, to) = (node.inputs[0], node.outputs[0]);
    let axes = match (cx.layout(from), cx.layout(to)) {
        (Layout::Nhwc { .. }, Layout::Nhwc { .. }) => maps(cx, from, to),
        (
            Layout::Filter {
                order: FilterOrder::Forward,
                groups,
                kcrs: [k, c, r, s],
                row,
            },
            Layout::Filter {
                order: FilterOrder::Backward,
                row: to_row,
                ..
            },
        ) => {
            let (row, to_row) = (*row as i64 * ELEMENT, *to_row as i64 * ELEMENT);
            [
                Axis {
                    count: groups * r * s,
                    from: *c as i64 * row,
                    to: *k as i64 * to_row,
                },
                Axis {
                    count: *k,
                    from: ELEMENT,
                    to: to_row,
                },
                Axis {
                    count: *c,
                    from: row,
                    to: ELEMENT,
                },
            ]
        }
        (a, b) => panic!("{}: no copy from {a} to {b}", cx.name),
    };
    let name = cx.name.clone();
    copy::lower(
        cx,
        &name,
        &Copy {
            from: (Buffer::Value(from), origin(cx, from)),
            to: (Buffer::Value(to), origin(cx, to)),
            images: images(cx, from, to),
            axes,
        },
    );
}

fn origin(cx: &Cx<'_>, value: ValueId) -> i64 {
    cx.layout(value).origin() as i64 * ELEMENT
}

/// The distances of images, if there is a map an image.
pub fn images(cx: &Cx<'_>, from: ValueId, to: ValueId) -> Option<(i64, i64)> {
    let bytes = |value: ValueId| cx.layout(value).image_stride() as i64 * ELEMENT;
    cx.graph
        .ty(from)
        .shape
        .batched
        .then(|| (bytes(from), bytes(to)))
}

/// The axes of a copy between maps: of one form, or to or from a vector in C, H, W order.
fn maps(cx: &Cx<'_>, from: ValueId, to: ValueId) -> [Axis; 3] {
    let strides = |value: ValueId| {
        let Layout::Nhwc { map, pixel, .. } = cx.layout(value) else {
            panic!("{value} is a map");
        };
        (
            *map,
            cx.layout(value).row_stride() as i64 * ELEMENT,
            *pixel as i64 * ELEMENT,
        )
    };
    let (from_map, from_row, from_pixel) = strides(from);
    let (to_map, to_row, to_pixel) = strides(to);
    let [c, h, w] = if from_map[1] * from_map[2] > 1 {
        from_map
    } else {
        to_map
    };
    let plain_row = w as i64 * ELEMENT;
    let plain_channel = h as i64 * plain_row;
    if from_map == to_map {
        [
            Axis {
                count: h,
                from: from_row,
                to: to_row,
            },
            Axis {
                count: w,
                from: from_pixel,
                to: to_pixel,
            },
            Axis {
                count: c,
                from: ELEMENT,
                to: ELEMENT,
            },
        ]
    } else if to_map[1] * to_map[2] == 1 {
        [
            Axis {
                count: c,
                from: ELEMENT,
                to: plain_channel,
            },
            Axis {
                count: h,
                from: from_row,
                to: plain_row,
            },
            Axis {
                count: w,
                from: from_pixel,
                to: ELEMENT,
            },
        ]
    } else {
        assert_eq!(
            from_map[1] * from_map[2],
            1,
            "{}: a copy has one vector side",
            cx.name
        );
        [
            Axis {
                count: h,
                from: plain_row,
                to: to_row,
            },
            Axis {
                count: w,
                from: ELEMENT,
                to: to_pixel,
            },
            Axis {
                count: c,
                from: plain_channel,
                to: ELEMENT,
            },
        ]
    }
}
