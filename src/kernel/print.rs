//! The text of bodies and kernels, for dumps, snapshots and error messages.
//!
//! One instruction stands on a line: `v3 = fma v1, v2, v0`. Registers are `v3` (integer ones are
//! marked where they are set: `v4: i32 = iota`), pointers `p0`, integer arguments `i1`; a body's
//! head lists its arguments. In nests, variables are `%2`, buffers `a0`, bodies `b0`, and index
//! expressions are infix, `mod` being the remainder. The text depends on nothing but the value.

use std::fmt::{self, Display, Formatter};

use super::body::{Body, Cmp, Count, Int, Item, LaneType, Lanes, Op, Ptr, Reduce, Reg};
use super::nest::{Address, Arg, BodyId, Cond, Index, Kernel, Stmt, Var};

/// Constants from here on, in absolute value, are masks or bit patterns: hexadecimal reads better.
const HEXADECIMAL_FROM: u32 = 0x1_0000;

macro_rules! display_id {
    ($($id:ident $prefix:literal),+) => {
        $(impl Display for $id {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        })+
    };
}
display_id!(Reg "v", Ptr "p", Int "i", Var "%", Arg "a", BodyId "b");

impl Display for LaneType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LaneType::F32 => "f32",
            LaneType::I32 => "i32",
        })
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Count::Imm(count) => write!(f, "{count}"),
            Count::Arg(int) => write!(f, "{int}"),
        }
    }
}

impl Display for Cmp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cmp::Eq => "==",
            Cmp::Ne => "!=",
            Cmp::Lt => "<",
            Cmp::Le => "<=",
            Cmp::Gt => ">",
            Cmp::Ge => ">=",
            Cmp::Unordered => "unordered",
        })
    }
}

/// `p0`, `p0 + 4` or `p0 - 4`.
fn place(ptr: Ptr, off: i64) -> impl Display {
    fmt::from_fn(move |f| match off {
        0 => write!(f, "{ptr}"),
        off if off < 0 => write!(f, "{ptr} - {}", off.unsigned_abs()),
        off => write!(f, "{ptr} + {off}"),
    })
}

/// Nothing, or `, first 3`.
fn suffix(lanes: Lanes) -> impl Display {
    fmt::from_fn(move |f| match lanes {
        Lanes::All => Ok(()),
        Lanes::First(lanes) => write!(f, ", first {lanes}"),
    })
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Op::ConstF(value) => write!(f, "const {value:?}"),
            Op::ConstI(value) if value.unsigned_abs() >= HEXADECIMAL_FROM => {
                write!(f, "const {value:#010x}")
            }
            Op::ConstI(value) => write!(f, "const {value}"),
            Op::Iota => write!(f, "iota"),
            Op::Splat(int) => write!(f, "splat {int}"),
            Op::Load { ptr, off, lanes } => {
                write!(f, "load {}{}", place(ptr, off.into()), suffix(lanes))
            }
            Op::Gather {
                ptr,
                off,
                stride,
                lanes,
            } => {
                let place = place(ptr, off.into());
                write!(f, "gather {place}, by {stride}{}", suffix(lanes))
            }
            Op::Broadcast { ptr, off } => write!(f, "broadcast {}", place(ptr, off.into())),
            Op::Copy(a) => write!(f, "copy {a}"),
            Op::Add(a, b) => write!(f, "add {a}, {b}"),
            Op::Sub(a, b) => write!(f, "sub {a}, {b}"),
            Op::Mul(a, b) => write!(f, "mul {a}, {b}"),
            Op::Div(a, b) => write!(f, "div {a}, {b}"),
            Op::Min(a, b) => write!(f, "min {a}, {b}"),
            Op::Max(a, b) => write!(f, "max {a}, {b}"),
            Op::Fma(a, b, c) => write!(f, "fma {a}, {b}, {c}"),
            Op::FmaNeg(a, b, c) => write!(f, "fma_neg {a}, {b}, {c}"),
            Op::Sqrt(a) => write!(f, "sqrt {a}"),
            Op::Neg(a) => write!(f, "neg {a}"),
            Op::Abs(a) => write!(f, "abs {a}"),
            Op::Round(a) => write!(f, "round {a}"),
            Op::ToInt(a) => write!(f, "to_int {a}"),
            Op::ToFloat(a) => write!(f, "to_float {a}"),
            Op::AsInt(a) => write!(f, "as_int {a}"),
            Op::AsFloat(a) => write!(f, "as_float {a}"),
            Op::IAdd(a, b) => write!(f, "iadd {a}, {b}"),
            Op::ISub(a, b) => write!(f, "isub {a}, {b}"),
            Op::IMul(a, b) => write!(f, "imul {a}, {b}"),
            Op::And(a, b) => write!(f, "and {a}, {b}"),
            Op::Or(a, b) => write!(f, "or {a}, {b}"),
            Op::Xor(a, b) => write!(f, "xor {a}, {b}"),
            Op::Shl(a, bits) => write!(f, "shl {a}, {bits}"),
            Op::Shr(a, bits) => write!(f, "shr {a}, {bits}"),
            Op::Select { cmp, a, b, t, f: e } => write!(f, "select {a} {cmp} {b} ? {t} : {e}"),
            Op::Reduce(Reduce::Sum, a) => write!(f, "reduce_sum {a}"),
            Op::Reduce(Reduce::Max, a) => write!(f, "reduce_max {a}"),
        }
    }
}

/// The first line of an item: all of it, or the head of a loop or tail.
pub(crate) fn head<'a>(item: &'a Item, regs: &'a [LaneType]) -> impl Display + 'a {
    fmt::from_fn(move |f| match item {
        Item::Set { dst, op } => match regs.get(dst.0 as usize) {
            Some(LaneType::I32) => write!(f, "{dst}: i32 = {op}"),
            Some(LaneType::F32) | None => write!(f, "{dst} = {op}"),
        },
        Item::Store {
            ptr,
            off,
            src,
            lanes,
            streams,
        } => {
            let place = place(*ptr, (*off).into());
            let verb = if *streams { "stream" } else { "store" };
            write!(f, "{verb} {src}, {place}{}", suffix(*lanes))
        }
        Item::Prefetch { ptr, off } => write!(f, "prefetch {}", place(*ptr, (*off).into())),
        Item::Advance { ptr, bytes } if *bytes < 0 => {
            write!(f, "{ptr} -= {}", bytes.unsigned_abs())
        }
        Item::Advance { ptr, bytes } => write!(f, "{ptr} += {bytes}"),
        Item::SetPtr { dst, src, off } => write!(f, "{dst} = {}", place(*src, *off)),
        Item::Loop { count, .. } => write!(f, "loop {count}"),
        Item::Tail { lanes, .. } => write!(f, "tail {lanes}"),
    })
}

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let arguments = list((0..self.ptr_args).map(Ptr), (0..self.int_args).map(Int));
        let Body { name, lanes, .. } = self;
        writeln!(f, "body {name}({arguments}) of {lanes} lanes {{")?;
        write_items(f, &self.items, &self.regs, 1)?;
        writeln!(f, "}}")
    }
}

fn write_items(
    f: &mut Formatter<'_>,
    items: &[Item],
    regs: &[LaneType],
    depth: usize,
) -> fmt::Result {
    for item in items {
        let head = head(item, regs);
        match item {
            Item::Loop { items, .. } | Item::Tail { items, .. } => {
                writeln!(f, "{}{head} {{", indent(depth))?;
                write_items(f, items, regs, depth + 1)?;
                writeln!(f, "{}}}", indent(depth))?;
            }
            Item::Set { .. }
            | Item::Store { .. }
            | Item::Prefetch { .. }
            | Item::Advance { .. }
            | Item::SetPtr { .. } => {
                writeln!(f, "{}{head}", indent(depth))?;
            }
        }
    }
    Ok(())
}

impl Display for Index {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_index(f, self, 0)
    }
}

/// Writes an expression in a place that takes operators binding at least as strongly as `least`:
/// 0 anything, 1 sums, 2 products, 3 no operator.
fn write_index(f: &mut Formatter<'_>, index: &Index, least: u8) -> fmt::Result {
    match index {
        Index::Const(value) => write!(f, "{value}"),
        Index::Var(var) => write!(f, "{var}"),
        Index::Lo => write!(f, "lo"),
        Index::Hi => write!(f, "hi"),
        Index::Batch => write!(f, "batch"),
        Index::Add(a, b) => write_infix(f, a, "+", b, 1, least),
        Index::Sub(a, b) => write_infix(f, a, "-", b, 1, least),
        Index::Mul(a, b) => write_infix(f, a, "*", b, 2, least),
        Index::Div(a, b) => write_infix(f, a, "/", b, 2, least),
        Index::Rem(a, b) => write_infix(f, a, "mod", b, 2, least),
        Index::Min(a, b) => write!(f, "min({a}, {b})"),
        Index::Max(a, b) => write!(f, "max({a}, {b})"),
    }
}

fn write_infix(
    f: &mut Formatter<'_>,
    a: &Index,
    operator: &str,
    b: &Index,
    binds: u8,
    least: u8,
) -> fmt::Result {
    let (open, close) = if binds < least { ("(", ")") } else { ("", "") };
    f.write_str(open)?;
    write_index(f, a, binds)?;
    write!(f, " {operator} ")?;
    // Operators of one strength group to the left.
    write_index(f, b, binds + 1)?;
    f.write_str(close)
}

impl Display for Cond {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Cond::Lt(a, b) => write!(f, "{a} < {b}"),
            Cond::Eq(a, b) => write!(f, "{a} == {b}"),
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.arg, self.offset)
    }
}

/// The first line of a statement: all of it, or the head of a loop or branch.
pub(crate) fn stmt_head(stmt: &Stmt) -> impl Display {
    fmt::from_fn(move |f| match stmt {
        Stmt::For {
            var, lo, hi, step, ..
        } => {
            write!(f, "for {var} in {lo}..{hi}")?;
            match step {
                1 => Ok(()),
                step => write!(f, " step {step}"),
            }
        }
        Stmt::Let { var, value } => write!(f, "let {var} = {value}"),
        Stmt::If { cond, .. } => write!(f, "if {cond}"),
        Stmt::Call { body, ptrs, ints } => {
            write!(f, "call {body}({})", list(ptrs.iter(), ints.iter()))
        }
    })
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let arguments = list((0..self.args).map(Arg), std::iter::empty::<Arg>());
        writeln!(f, "kernel {}({arguments}) {{", self.name)?;
        write_stmts(f, &self.stmts, 1)?;
        writeln!(f, "}}")?;
        for (place, body) in self.bodies.iter().enumerate() {
            write!(f, "\nb{place}: {body}")?;
        }
        Ok(())
    }
}

fn write_stmts(f: &mut Formatter<'_>, stmts: &[Stmt], depth: usize) -> fmt::Result {
    for stmt in stmts {
        let head = stmt_head(stmt);
        match stmt {
            Stmt::For { stmts, .. } => {
                writeln!(f, "{}{head} {{", indent(depth))?;
                write_stmts(f, stmts, depth + 1)?;
                writeln!(f, "{}}}", indent(depth))?;
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                writeln!(f, "{}{head} {{", indent(depth))?;
                write_stmts(f, then, depth + 1)?;
                if !otherwise.is_empty() {
                    writeln!(f, "{}}} else {{", indent(depth))?;
                    write_stmts(f, otherwise, depth + 1)?;
                }
                writeln!(f, "{}}}", indent(depth))?;
            }
            Stmt::Let { .. } | Stmt::Call { .. } => writeln!(f, "{}{head}", indent(depth))?,
        }
    }
    Ok(())
}

/// `a, b` or `a, b; c, d`.
fn list<A, B>(first: A, second: B) -> impl Display
where
    A: Iterator<Item: Display> + Clone,
    B: Iterator<Item: Display> + Clone,
{
    fmt::from_fn(move |f| {
        for (place, one) in first.clone().enumerate() {
            write!(f, "{}{one}", if place == 0 { "" } else { ", " })?;
        }
        for (place, one) in second.clone().enumerate() {
            write!(f, "{}{one}", if place == 0 { "; " } else { ", " })?;
        }
        Ok(())
    })
}

fn indent(depth: usize) -> impl Display {
    fmt::from_fn(move |f| (0..depth).try_for_each(|_| f.write_str("    ")))
}

#[cfg(test)]
mod tests {
    use super::super::{BodyBuilder, NestBuilder};
    use super::*;

    #[test]
    fn index_expressions_keep_their_grouping() {
        let x = || Index::from(Var(0));
        let y = || Index::from(Var(1));
        let cases = [
            (x() * 4 + y(), "%0 * 4 + %1"),
            ((x() + 4) * y(), "(%0 + 4) * %1"),
            (x() - (y() - 1), "%0 - (%1 - 1)"),
            (x() - y() - 1, "%0 - %1 - 1"),
            (x() / (y() * 2), "%0 / (%1 * 2)"),
            (x() / 2 * y(), "%0 / 2 * %1"),
            ((x() + 1) % 7, "(%0 + 1) mod 7"),
            ((x() + 1).min(y()) * 3, "min(%0 + 1, %1) * 3"),
            (Index::Lo.max(-3) + Index::Batch, "max(lo, -3) + batch"),
        ];
        for (index, text) in cases {
            assert_eq!(index.to_string(), text);
        }
    }

    #[test]
    fn constants_show_their_value_exactly() {
        let cases = [
            (Op::float(-0.0), "const -0.0"),
            (Op::float(0.1), "const 0.1"),
            (Op::float(f32::NEG_INFINITY), "const -inf"),
            (Op::float(f32::MIN_POSITIVE), "const 1.1754944e-38"),
            (Op::ConstI(-23), "const -23"),
            (Op::ConstI(0x7fff_ffff), "const 0x7fffffff"),
            (Op::ConstI(i32::MIN), "const 0x80000000"),
        ];
        for (op, text) in cases {
            assert_eq!(op.to_string(), text);
        }
    }

    #[test]
    fn a_small_kernel() {
        let mut b = BodyBuilder::new("leaky_relu", 8);
        let (x, y) = (b.ptr_arg(), b.ptr_arg());
        let (whole, rest) = (b.int_arg(), b.int_arg());
        let step = |b: &mut BodyBuilder| {
            let (zero, slope) = (b.const_f(0.0), b.const_f(0.1));
            let value = b.load(x, 0, Lanes::All);
            let small = b.mul(value, slope);
            let value = b.select(Cmp::Lt, value, zero, small, value);
            b.store(y, 0, value, Lanes::All);
        };
        b.repeat(Count::Arg(whole), |b| {
            step(b);
            b.advance(x, 32);
            b.advance(y, 32);
        });
        b.tail(rest, step);
        let leaky_relu = b.finish();

        let mut b = BodyBuilder::new("mask", 8);
        let (p, n) = (b.ptr_arg(), b.int_arg());
        let bits = b.load_i(p, 8, Lanes::First(3));
        let (lane, n, mask) = (b.iota(), b.splat(n), b.const_i(0x7fff_ffff));
        let sum = b.iadd(lane, n);
        let bits = b.and(bits, mask);
        let bits = b.xor(bits, sum);
        let odd = b.gather(p, -4, 8, Lanes::All);
        let end = b.ptr_copy(p, 64);
        b.store(end, -32, odd, Lanes::All);
        b.advance(end, -16);
        b.store(end, 0, bits, Lanes::First(5));
        let mask = b.finish();

        let mut b = NestBuilder::new();
        let (leaky_relu, mask) = (b.add_body(leaky_relu), b.add_body(mask));
        b.for_domain(|b, unit| {
            let image = b.let_(unit.clone() / 14);
            let row = b.let_(unit % 14);
            let start = image.clone() * 2800 + row.clone() * 200;
            let width = b.let_(Index::from(50).min((row.clone() + 1) * 8));
            let ptrs = [Arg(0).at(start.clone()), Arg(1).at(start)];
            b.call(leaky_relu, ptrs, [width.clone() / 8, width % 8]);
            let last = Cond::Eq(row, 13.into());
            b.if_else(
                last,
                |b| {
                    b.for_(0, Index::Batch, 2, |b, i| {
                        b.call(mask, [Arg(1).at(i.clone())], [i])
                    })
                },
                |b| b.call(mask, [Arg(1).at(0)], [image]),
            );
        });
        insta::assert_snapshot!(b.finish("activation", 2));
    }
}
