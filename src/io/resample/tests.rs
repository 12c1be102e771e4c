//! The wanted numbers are Pillow's: `Image.fromarray(pattern).resize((to_w, to_h), filter)`, Pillow 11.3.0.

use super::*;

/// A pattern with sharp edges, in rows of interleaved channels.
fn pattern(height: usize, width: usize, channels: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                pixels.push(((x * 37 + y * 91 + c * 53 + x * y * 7) % 256) as u8);
            }
        }
    }
    pixels
}

fn whole(from: usize, to: usize) -> Axis {
    Axis {
        from,
        to,
        start: 0,
        count: to,
    }
}

#[test]
fn agrees_with_pillow_to_the_bit() {
    struct Case {
        from: [usize; 3],
        to: [usize; 2],
        kernel: Kernel,
        wanted: &'static [u8],
    }
    let cases = [
        Case {
            from: [13, 9, 1],
            to: [5, 4],
            kernel: BILINEAR,
            wanted: &[
                105, 126, 127, 111, 121, 139, 143, 130, 118, 120, 139, 127, 144, 153, 108, 137,
                153, 130, 98, 97,
            ],
        },
        Case {
            from: [4, 5, 1],
            to: [7, 6],
            kernel: BILINEAR,
            wanted: &[
                0, 28, 59, 89, 120, 148, 33, 62, 95, 128, 138, 99, 85, 117, 154, 189, 166, 21, 137,
                172, 137, 123, 131, 71, 170, 209, 113, 57, 100, 138, 76, 118, 110, 118, 165, 206,
                17, 61, 109, 157, 206, 249,
            ],
        },
        Case {
            from: [13, 9, 1],
            to: [4, 7],
            kernel: BICUBIC,
            wanted: &[
                94, 120, 135, 117, 144, 118, 112, 109, 129, 118, 155, 139, 152, 106, 130, 137, 143,
                139, 102, 139, 133, 149, 158, 142, 113, 92, 90, 120,
            ],
        },
        Case {
            from: [3, 4, 3],
            to: [2, 6],
            kernel: BICUBIC,
            wanted: &[
                27, 78, 142, 44, 102, 166, 75, 139, 178, 109, 169, 128, 141, 140, 140, 158, 105,
                164, 151, 214, 90, 184, 149, 119, 191, 89, 139, 97, 134, 95, 104, 114, 114, 137,
                83, 143,
            ],
        },
        Case {
            from: [9, 13, 3],
            to: [3, 3],
            kernel: BILINEAR,
            wanted: &[
                117, 135, 140, 125, 128, 136, 119, 136, 130, 128, 140, 123, 139, 133, 122, 134,
                130, 127, 126, 119, 138, 128, 123, 128, 130, 110, 137,
            ],
        },
    ];
    for case in cases {
        let [height, width, channels] = case.from;
        let [to_height, to_width] = case.to;
        let pixels = pattern(height, width, channels);
        let (rows, columns) = (whole(height, to_height), whole(width, to_width));
        let found = resample(&pixels, channels, rows, columns, case.kernel);
        assert_eq!(found, case.wanted, "{:?} to {:?}", case.from, case.to);
    }
}

#[test]
fn a_part_is_the_same_as_in_the_whole() {
    let pixels = pattern(11, 8, 3);
    let all = resample(&pixels, 3, whole(11, 19), whole(8, 5), BICUBIC);
    let part = |from, to, start, count| Axis {
        from,
        to,
        start,
        count,
    };
    let found = resample(&pixels, 3, part(11, 19, 7, 6), part(8, 5, 1, 3), BICUBIC);
    let rows = all.chunks_exact(5 * 3).skip(7).take(6);
    let wanted: Vec<u8> = rows.flat_map(|row| &row[3..12]).copied().collect();
    assert_eq!(found, wanted);
}

#[test]
fn the_same_size_changes_nothing() {
    let pixels = pattern(6, 7, 1);
    let same = resample(&pixels, 1, whole(6, 6), whole(7, 7), BICUBIC);
    assert_eq!(same, pixels);
}
