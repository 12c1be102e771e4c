//! Between the order that people see (N, C, H, W; weights as in PyTorch) and a value's layout.

use crate::ir::{FilterOrder, Layout};

/// Writes one image, or one parameter, given in row-major C, H, W order, to where the layout has it.
/// Halo and padding are left as they are.
pub fn scatter(layout: &Layout, from: &[f32], to: &mut [f32]) {
    each(layout, from.len(), |logical, physical| {
        to[physical] = from[logical]
    });
}

/// Reads one image, or one parameter, into row-major C, H, W order.
pub fn gather(layout: &Layout, from: &[f32], to: &mut [f32]) {
    each(layout, to.len(), |logical, physical| {
        to[logical] = from[physical]
    });
}

/// Visits all elements by their logical and physical place.
fn each(layout: &Layout, count: usize, mut visit: impl FnMut(usize, usize)) {
    match *layout {
        // Inputs go through here once a step, so the common case has no division.
        Layout::Nhwc {
            map: [c, h, w],
            pixel,
            ..
        } => {
            let (origin, row) = (layout.origin(), layout.row_stride());
            let mut logical = 0;
            for channel in 0..c {
                for y in 0..h {
                    let start = origin + y * row + channel;
                    for x in 0..w {
                        visit(logical, start + x * pixel);
                        logical += 1;
                    }
                }
            }
            debug_assert_eq!(logical, count, "{layout}");
        }
        // Filters are set while somebody waits for a program to start: a cache line of filters side by side goes through
        // all their elements, so that neither side jumps about.
        Layout::Filter {
            order: order @ (FilterOrder::Forward | FilterOrder::Depthwise),
            groups,
            kcrs: [k, c, r, s],
            row,
            ..
        } => {
            const LINE: usize = 16;
            let (filters, elements) = (groups * k, c * r * s);
            debug_assert_eq!(filters * elements, count, "{layout}");
            // Neighbouring filters of a group are adjacent within a panel.
            let run = match order {
                FilterOrder::Depthwise => filters,
                FilterOrder::Forward | FilterOrder::Backward => k,
            };
            for first in (0..filters).step_by(run) {
                for panel in (0..run).step_by(row) {
                    let end = (panel + row).min(run);
                    for start in (panel..end).step_by(LINE) {
                        let width = LINE.min(end - start);
                        for element in 0..elements {
                            let logical = (first + start) * elements + element;
                            let physical = layout.position(logical);
                            for filter in 0..width {
                                visit(logical + filter * elements, physical + filter);
                            }
                        }
                    }
                }
            }
        }
        Layout::Blocked { .. } | Layout::Filter { .. } => {
            for logical in 0..count {
                visit(logical, layout.position(logical));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Halo;

    fn check(layout: &Layout, count: usize) {
        let from: Vec<f32> = (0..count).map(|x| x as f32 + 1.0).collect();
        let mut memory = vec![0.0; layout.image_stride()];
        scatter(layout, &from, &mut memory);
        for (logical, x) in from.iter().enumerate() {
            assert_eq!(memory[layout.position(logical)], *x, "{layout}");
        }
        assert_eq!(
            memory.iter().filter(|&&x| x != 0.0).count(),
            count,
            "{layout}"
        );
        let mut back = vec![0.0; count];
        gather(layout, &memory, &mut back);
        assert_eq!(back, from, "{layout}");
    }

    #[test]
    fn every_layout_keeps_every_element() {
        let halo = Halo {
            top: 1,
            left: 2,
            bottom: 3,
            right: 0,
        };
        check(
            &Layout::Nhwc {
                map: [3, 4, 5],
                pixel: 3,
                halo: Halo::default(),
            },
            60,
        );
        check(
            &Layout::Nhwc {
                map: [3, 4, 5],
                pixel: 7,
                halo,
            },
            60,
        );
        check(
            &Layout::Blocked {
                map: [6, 2, 3],
                block: 4,
            },
            36,
        );
        for order in [FilterOrder::Forward, FilterOrder::Backward] {
            check(
                &Layout::Filter {
                    order,
                    groups: 2,
                    kcrs: [3, 4, 2, 5],
                    row: 8,
                    panels: 1,
                },
                240,
            );
        }
        for (row, panels) in [(16, 3), (24, 2), (8, 6)] {
            check(
                &Layout::Filter {
                    order: FilterOrder::Forward,
                    groups: 2,
                    kcrs: [45, 2, 1, 3],
                    row,
                    panels,
                },
                540,
            );
        }
        check(
            &Layout::Filter {
                order: FilterOrder::Depthwise,
                groups: 6,
                kcrs: [1, 1, 3, 5],
                row: 8,
                panels: 1,
            },
            90,
        );
    }

    #[test]
    fn a_map_in_memory_is_read_channel_by_channel() {
        let layout = Layout::Nhwc {
            map: [2, 1, 2],
            pixel: 2,
            halo: Halo::default(),
        };
        let mut flat = vec![0.0; 4];
        gather(&layout, &[1.0, 3.0, 2.0, 4.0], &mut flat);
        assert_eq!(flat, [1.0, 2.0, 3.0, 4.0]);
    }
}
