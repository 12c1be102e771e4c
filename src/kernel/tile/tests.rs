use super::*;
use crate::kernel::eval::{self, Pointer};

/// What a case is measured against: the same sum, one element at a time.
struct Problem {
    tile: Tile,
    output: Output,
    lanes: usize,
    /// The values of the integer arguments.
    ints: Vec<i64>,
}

impl Problem {
    /// M rows, NV vectors and no padding, C as the product's row-major matrix.
    fn new(rows: usize, vectors: usize, reduce: Vec<Axis>, unroll: usize, lanes: usize) -> Problem {
        let columns = (vectors * lanes) as i32;
        // Rows of A in an order of their own, some of them before the pointer.
        let a_rows = (0..rows as i32)
            .map(|row| (row * 7 % rows as i32 - 1) * 520)
            .collect();
        Problem {
            tile: Tile::new(a_rows, vectors, reduce, unroll, lanes),
            output: Output {
                rows: (0..rows as i32)
                    .map(|row| row * (columns + 3) * 4)
                    .collect(),
                vector_step: lanes as i32 * 4,
                last: Lanes::All,
                accumulate: false,
            },
            lanes,
            ints: Vec::new(),
        }
    }

    fn length(&self, position: usize) -> i64 {
        match self.tile.reduce[position].count {
            Count::Imm(count) => count.into(),
            Count::Arg(int) => {
                let count = self.ints[usize::from(int.0)];
                match self.tile.rest {
                    Some(rest) if position + 1 == self.tile.reduce.len() => {
                        count * self.tile.unroll as i64 + self.ints[usize::from(rest.0)]
                    }
                    _ => count,
                }
            }
        }
    }

    /// The distances from the A and B pointers of all steps, in the order of the sum.
    fn steps(&self) -> Vec<[i64; 2]> {
        let mut steps = vec![[0, 0]];
        if self.tile.reduce.is_empty() {
            steps.clear();
        }
        for (position, axis) in self.tile.reduce.iter().enumerate() {
            let turns = 0..self.length(position);
            steps = steps
                .iter()
                .flat_map(|&[a, b]| {
                    turns
                        .clone()
                        .map(move |turn| [a + turn * axis.a_step, b + turn * axis.b_step])
                })
                .collect();
        }
        steps
    }

    /// The elements of a row that exist according to `last`: vector, lane.
    fn columns(&self, last: Lanes) -> Vec<(usize, usize)> {
        let vectors = self.tile.vectors;
        let width = |vector| match last {
            Lanes::First(lanes) if vector + 1 == vectors => lanes.into(),
            Lanes::First(_) | Lanes::All => self.lanes,
        };
        (0..vectors)
            .flat_map(|v| (0..width(v)).map(move |lane| (v, lane)))
            .collect()
    }

    /// Runs the tile and the naive sum with the same epilogue, and compares all of C bit by bit.
    fn check(
        &self,
        extra: &[Vec<f32>],
        epilogue: impl FnMut(&mut BodyBuilder, &Vec<Ptr>, Spot, Reg),
        naive_epilogue: impl Fn(usize, usize, f32) -> f32,
    ) {
        let Problem { tile, output, .. } = self;
        let steps = self.steps();
        let a_places: Vec<i64> = steps
            .iter()
            .flat_map(|[a, _]| tile.a_rows.iter().map(move |row| a + i64::from(*row)))
            .collect();
        let b_column = |(vector, lane): (usize, usize)| {
            vector as i64 * i64::from(tile.b_vector_step) + 4 * lane as i64
        };
        let b_places: Vec<i64> = steps
            .iter()
            .flat_map(|[_, b]| {
                self.columns(tile.b_last)
                    .into_iter()
                    .map(move |c| b + b_column(c))
            })
            .collect();
        let c_column = |(vector, lane): (usize, usize)| {
            vector as i64 * i64::from(output.vector_step) + 4 * lane as i64
        };
        let c_places: Vec<i64> = output
            .rows
            .iter()
            .flat_map(|row| {
                let columns = self.columns(output.last).into_iter();
                columns.map(move |column| i64::from(*row) + c_column(column))
            })
            .collect();

        let body = build(
            tile,
            output,
            self.lanes,
            "tile",
            |b| extra.iter().map(|_| b.ptr_arg()).collect::<Vec<Ptr>>(),
            epilogue,
        );
        // Buffers are just large enough, so a step too many is an error.
        let (a, b, c) = (
            Matrix::around(&a_places, 1),
            Matrix::around(&b_places, 2),
            { Matrix::around(&c_places, 3) },
        );
        let mut buffers = vec![a.bytes(), b.bytes(), c.bytes()];
        buffers.extend(extra.iter().map(|values| to_bytes(values)));
        let mut ptrs = vec![a.pointer(0), b.pointer(1), c.pointer(2)];
        ptrs.extend((0..extra.len()).map(|i| Pointer {
            buffer: 3 + i,
            offset: 0,
        }));
        eval::body(&body, &mut buffers, &ptrs, &self.ints)
            .unwrap_or_else(|e| panic!("{e}\n{body}"));

        let mut expected = c.clone();
        for (row, (a_row, c_row)) in tile.a_rows.iter().zip(&output.rows).enumerate() {
            for column in self.columns(output.last) {
                let place = i64::from(*c_row) + c_column(column);
                let mut sum = if output.accumulate { c.at(place) } else { 0.0 };
                for [a_at, b_at] in &steps {
                    let (x, y) = (
                        a.at(a_at + i64::from(*a_row)),
                        b.at(b_at + b_column(column)),
                    );
                    sum = x.mul_add(y, sum);
                }
                let (vector, lane) = column;
                expected.set(place, naive_epilogue(row, vector * self.lanes + lane, sum));
            }
        }
        assert!(
            buffers[2] == expected.bytes(),
            "{:?}, {:?}\n{body}",
            tile,
            output
        );
    }

    fn check_plain(&self) {
        self.check(&[], store, |_, _, sum| sum);
    }
}

/// Floats at distances from a pointer that may be negative.
#[derive(Clone)]
struct Matrix {
    values: Vec<f32>,
    before: i64,
}

impl Matrix {
    fn around(places: &[i64], seed: u32) -> Matrix {
        let first = places.iter().copied().min().unwrap_or(0);
        let last = places.iter().copied().max().unwrap_or(-4);
        let len = (last - first) / 4 + 1;
        let random = |i: i64| {
            let bits = (i as u32)
                .wrapping_mul(0x9e37_79b9)
                .wrapping_add(seed << 20);
            (bits >> 16) as i16 as f32 / 4096.0
        };
        Matrix {
            values: (0..len).map(random).collect(),
            before: -first,
        }
    }

    fn index(&self, place: i64) -> usize {
        usize::try_from((place + self.before) / 4).unwrap()
    }

    fn at(&self, place: i64) -> f32 {
        self.values[self.index(place)]
    }

    fn set(&mut self, place: i64, value: f32) {
        let index = self.index(place);
        self.values[index] = value;
    }

    fn bytes(&self) -> Vec<u8> {
        to_bytes(&self.values)
    }

    fn pointer(&self, buffer: usize) -> Pointer {
        Pointer {
            buffer,
            offset: self.before,
        }
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn axis(count: u32, a_step: i64, b_step: i64) -> Axis {
    Axis {
        count: Count::Imm(count),
        a_step,
        b_step,
    }
}

fn dynamic(int: u16, a_step: i64, b_step: i64) -> Axis {
    Axis {
        count: Count::Arg(Int(int)),
        a_step,
        b_step,
    }
}

/// Sums of one to four axes, short and long, contiguous, strided, backward and repeated.
fn sums(lanes: usize) -> Vec<Vec<Axis>> {
    let row = lanes as i64 * 16;
    vec![
        vec![],
        vec![axis(1, 4, row)],
        vec![axis(7, 4, row)],
        vec![axis(129, 4, row)],
        vec![axis(3, 4096, 40 * row), axis(40, 4, row)],
        vec![axis(3, -4096, 40 * row), axis(41, 4, row)],
        // The rows of a tap follow each other, so the two axes are one.
        vec![axis(9, 44, 11 * row), axis(11, 4, row)],
        vec![axis(3, 800, 0), axis(3, 200, 50 * row), axis(50, 4, row)],
        vec![
            axis(2, 0, 900 * row),
            axis(3, 80, -30 * row),
            axis(1, 8, 8),
            axis(30, 4, row),
        ],
        vec![
            axis(2, 4000, 900 * row),
            axis(3, 80, 100 * row),
            axis(5, 12, 3 * row),
            axis(3, 4, row),
        ],
    ]
}

#[test]
fn sums_of_constant_length() {
    for lanes in [4, 8, 16] {
        for reduce in sums(lanes) {
            for (rows, vectors, unroll) in [(1, 1, 1), (5, 2, 4), (3, 3, 8), (14, 2, 3)] {
                Problem::new(rows, vectors, reduce.clone(), unroll, lanes).check_plain();
            }
        }
    }
}

#[test]
fn partial_vectors_and_accumulation() {
    for lanes in [4, 8, 16] {
        let row = lanes as i64 * 16;
        let sums = [
            vec![axis(6, 4, row)],
            vec![axis(2, 40, 90 * row), axis(90, 4, row)],
        ];
        for reduce in sums {
            for last in [Lanes::All, Lanes::First(1), Lanes::First(lanes as u8 - 1)] {
                for (accumulate, padded) in [(false, false), (false, true), (true, false)] {
                    let mut problem = Problem::new(4, 2, reduce.clone(), 4, lanes);
                    problem.output.last = last;
                    problem.output.accumulate = accumulate;
                    problem.tile.b_last = if padded { Lanes::All } else { last };
                    problem.check_plain();
                }
            }
        }
    }
}

#[test]
fn vectors_may_lie_apart() {
    let mut problem = Problem::new(3, 3, vec![axis(50, 4, 32)], 4, 8);
    problem.tile.b_vector_step = 50 * 32;
    problem.output.vector_step = 4 * 32;
    problem.output.rows = vec![0, 64, 32];
    problem.check_plain();
}

#[test]
fn counts_known_only_at_run_time() {
    let lanes = 8;
    let row = lanes as i64 * 8;
    let sums = [
        vec![dynamic(0, 4, row)],
        vec![dynamic(0, 4000, 0), axis(40, 4, row)],
        vec![dynamic(0, 4000, 7 * row), axis(3, 4, row)],
        vec![axis(3, 400, 20 * row), dynamic(0, 4, row)],
        vec![axis(3, 400, 20 * row), dynamic(0, 20, 0), axis(5, 4, row)],
        vec![
            dynamic(1, 4000, 0),
            axis(2, 0, 90 * row),
            dynamic(0, 40, 9 * row),
            axis(9, 4, row),
        ],
        vec![dynamic(0, 400, 20 * row), dynamic(0, 4, row)],
    ];
    for reduce in sums {
        for count in [0, 1, 2, 7] {
            let mut problem = Problem::new(3, 2, reduce.clone(), 4, lanes);
            problem.ints = vec![count, 2];
            problem.ints.truncate(problem.tile.int_args().into());
            problem.output.accumulate = count == 2;
            problem.check_plain();
        }
    }
}

#[test]
fn a_count_split_by_the_caller_is_unrolled() {
    let lanes = 4;
    let row = lanes as i64 * 8;
    for outer in [
        None,
        Some(axis(3, 400, 20 * row)),
        Some(dynamic(2, -400, 0)),
    ] {
        for count in [0, 1, 3, 4, 5, 11, 16] {
            let reduce = outer.into_iter().chain([dynamic(0, 4, row)]).collect();
            let mut problem = Problem::new(3, 2, reduce, 4, lanes);
            problem.tile.rest = Some(Int(1));
            problem.ints = vec![count / 4, count % 4, 3];
            problem.ints.truncate(problem.tile.int_args().into());
            problem.check_plain();
        }
    }
}

#[test]
fn epilogues_see_every_accumulator_with_its_place() {
    // relu(sum + bias[column] + residual[row][column])
    for lanes in [4, 8, 16] {
        let mut problem = Problem::new(5, 2, vec![axis(60, 4, lanes as i64 * 8)], 4, lanes);
        problem.output.last = Lanes::First(3);
        let width = lanes + 3;
        let bias: Vec<f32> = (0..width).map(|i| i as f32 - 3.5).collect();
        let residual: Vec<f32> = (0..5 * width).map(|i| (i as f32).sin()).collect();
        let epilogue = |b: &mut BodyBuilder, extra: &Vec<Ptr>, spot: Spot, acc: Reg| {
            let column = spot.vector as i32 * b.vector_bytes();
            let bias = b.load(extra[0], column, spot.lanes);
            let at = spot.row as i32 * width as i32 * 4 + column;
            let residual = b.load(extra[1], at, spot.lanes);
            let (sum, zero) = (b.add(acc, bias), b.const_f(0.0));
            let sum = b.add(sum, residual);
            let relu = b.max(zero, sum);
            store(b, extra, spot, relu);
        };
        problem.check(
            &[bias.clone(), residual.clone()],
            epilogue,
            |row, column, sum| (sum + bias[column] + residual[row * width + column]).max(0.0),
        );
    }
}

#[test]
fn sums_go_on_in_a_body_of_the_caller() {
    let mut b = BodyBuilder::new("norm", 4);
    let (x, y, out) = (b.ptr_arg(), b.ptr_arg(), b.ptr_arg());
    let tile = Tile::new(vec![0], 1, vec![axis(3, 4, 16)], 4, 4);
    let sums = sum(&mut b, &tile, x, y);
    let norm = b.abs(sums[0][0]);
    b.store(out, 0, norm, Lanes::All);
    let values = to_bytes(&[1.0, 2.0, 3.0]);
    let columns: Vec<f32> = (0..12).map(|i| i as f32 - 20.0).collect();
    let mut buffers = [values, to_bytes(&columns), vec![0; 16]];
    let ptrs = [0, 1, 2].map(|buffer| Pointer { buffer, offset: 0 });
    eval::body(&b.finish(), &mut buffers, &ptrs, &[]).unwrap();
    assert_eq!(buffers[2], to_bytes(&[88.0, 82.0, 76.0, 70.0]));
}

#[test]
fn register_use() {
    let tile = |rows, vectors| Tile::new(vec![0; rows], vectors, Vec::new(), 1, 16);
    assert_eq!(tile(6, 2).registers(), 15);
    assert_eq!(tile(14, 2).registers(), 31);
}

#[test]
fn code_of_a_long_sum() {
    // Taps of a 3x3 filter over 18 channels, two pixels, two vectors of outputs of which 20 exist.
    let reduce = vec![axis(3, 4320, 6912), axis(3, 72, 2304), axis(18, 4, 128)];
    let tile = Tile::new(vec![0, 72], 2, reduce, 4, 16);
    let output = Output {
        rows: vec![0, 80],
        vector_step: 64,
        last: Lanes::First(4),
        accumulate: true,
    };
    let body = build(&tile, &output, 16, "conv_2x2", |_| (), store);
    insta::assert_snapshot!(body);
}

#[test]
fn code_of_a_short_sum_with_an_epilogue() {
    let tile = Tile::new(vec![0, 40], 1, vec![axis(3, 40, 48), axis(2, 4, 16)], 4, 4);
    let output = Output {
        rows: vec![0, 16],
        vector_step: 16,
        last: Lanes::All,
        accumulate: false,
    };
    let declare = |b: &mut BodyBuilder| b.ptr_arg();
    let body = build(
        &tile,
        &output,
        4,
        "bias_relu_2x1",
        declare,
        |b, bias, spot, acc| {
            let bias = b.load(*bias, spot.vector as i32 * 16, spot.lanes);
            let (sum, zero) = (b.add(acc, bias), b.const_f(0.0));
            let relu = b.max(zero, sum);
            store(b, &(), spot, relu);
        },
    );
    insta::assert_snapshot!(body);
}

#[test]
fn code_of_counts_known_only_at_run_time() {
    let reduce = vec![axis(2, 400, 800), dynamic(0, 0, 64), dynamic(1, 4, 16)];
    let mut tile = Tile::new(vec![0], 1, reduce, 2, 4);
    tile.rest = Some(Int(2));
    let output = Output {
        rows: vec![0],
        vector_step: 16,
        last: Lanes::All,
        accumulate: false,
    };
    let body = build(&tile, &output, 4, "dynamic_1x1", |_| (), store);
    insta::assert_snapshot!(body);
}
