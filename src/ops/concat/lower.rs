//! Concatenation and slices of channels as copies.

use crate::ir::{Layout, Node, ValueId};
use crate::lower::copy::{self, Axis, Copy};
use crate::lower::{Buffer, Cx, ELEMENT};
use crate::ops::reshape::lower::images;

/// Copies each input beside the last.
pub fn concat(cx: &mut Cx<'_>, node: &Node) {
    let name = cx.name.clone();
    let mut channel = 0;
    for (index, &input) in node.inputs.iter().enumerate() {
        let channels = cx.graph.dims(input)[0];
        let at = [0, channel];
        channels_of(
            cx,
            &format!("{name}_{index}"),
            [input, node.outputs[0]],
            at,
            channels,
        );
        channel += channels;
    }
}

/// Copies some of the channels.
pub fn slice(cx: &mut Cx<'_>, node: &Node, from: usize, to: usize) {
    let name = cx.name.clone();
    channels_of(
        cx,
        &name,
        [node.inputs[0], node.outputs[0]],
        [from, 0],
        to - from,
    );
}

fn channels_of(
    cx: &mut Cx<'_>,
    name: &str,
    [from, to]: [ValueId; 2],
    channel: [usize; 2],
    channels: usize,
) {
    let side = |value: ValueId| {
        let layout = cx.layout(value);
        let Layout::Nhwc { map, pixel, .. } = layout else {
            panic!("{value} is a map")
        };
        (
            *map,
            layout.row_stride() as i64 * ELEMENT,
            *pixel as i64 * ELEMENT,
            layout.origin(),
        )
    };
    let ([_, h, w], from_row, from_pixel, from_origin) = side(from);
    let (_, to_row, to_pixel, to_origin) = side(to);
    let copy = Copy {
        from: (
            Buffer::Value(from),
            (from_origin + channel[0]) as i64 * ELEMENT,
        ),
        to: (Buffer::Value(to), (to_origin + channel[1]) as i64 * ELEMENT),
        images: images(cx, from, to),
        axes: [
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
                count: channels,
                from: ELEMENT,
                to: ELEMENT,
            },
        ],
    };
    copy::lower(cx, name, &copy);
}
