//! Arithmetic on constants: exact where whole numbers allow it, in double precision elsewhere.

use super::value::{Value, whole};
use crate::diag::Span;
use crate::syntax::ast::{BinaryOp, UnaryOp};

/// Why an operation has no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// An operand is of the wrong kind.
    Kind(String),
    /// The result does not exist or is too large.
    Value(String),
}

type Result<'a> = std::result::Result<Value<'a>, Refusal>;

/// Whole numbers beyond this are not exact in double precision.
const LARGEST: i64 = 1 << 53;

/// `-a`, `not a`
pub(super) fn unary<'a>(op: UnaryOp, a: &Value<'a>) -> Result<'a> {
    match (op, a) {
        (UnaryOp::Neg, Value::Int(value)) => Ok(Value::Int(-value)),
        (UnaryOp::Neg, Value::Float(value, division)) => Ok(Value::Float(-value, *division)),
        (UnaryOp::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
        (UnaryOp::Neg, _) => Err(Refusal::Kind(format!(
            "`-` wants a number, not {}",
            a.kind()
        ))),
        (UnaryOp::Not, _) => Err(Refusal::Kind(format!(
            "`not` wants a bool, not {}",
            a.kind()
        ))),
    }
}

/// `a op b` for every operator that wants both operands; `and` and `or` do not.
pub(super) fn binary<'a>(op: BinaryOp, a: &Value<'a>, b: &Value<'a>, span: Span) -> Result<'a> {
    match op {
        BinaryOp::Eq => equal(a, b).map(Value::Bool),
        BinaryOp::Ne => equal(a, b).map(|equal| Value::Bool(!equal)),
        _ if op.is_comparison() => compare(op, a, b),
        _ => calculate(op, a, b, span),
    }
}

fn equal(a: &Value<'_>, b: &Value<'_>) -> std::result::Result<bool, Refusal> {
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return Ok(a == b);
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Str(a), Value::Str(b)) | (Value::Word(a), Value::Word(b)) => Ok(a == b),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            let pairs = a.iter().zip(b.iter()).map(|(a, b)| equal(a, b));
            pairs
                .collect::<std::result::Result<Vec<bool>, Refusal>>()
                .map(|all| all.into_iter().all(|equal| equal))
        }
        _ => Err(Refusal::Kind(format!(
            "{} and {} cannot be compared",
            a.kind(),
            b.kind()
        ))),
    }
}

fn compare<'a>(op: BinaryOp, a: &Value<'a>, b: &Value<'a>) -> Result<'a> {
    let (Some(x), Some(y)) = (a.number(), b.number()) else {
        return Err(not_numbers(op, a, b));
    };
    Ok(Value::Bool(match op {
        BinaryOp::Lt => x < y,
        BinaryOp::Le => x <= y,
        BinaryOp::Gt => x > y,
        _ => x >= y,
    }))
}

fn not_numbers(op: BinaryOp, a: &Value<'_>, b: &Value<'_>) -> Refusal {
    let wrong = if a.number().is_none() { a } else { b };
    Refusal::Kind(format!(
        "`{}` wants numbers, not {}",
        op.word(),
        wrong.kind()
    ))
}

fn calculate<'a>(op: BinaryOp, a: &Value<'a>, b: &Value<'a>, span: Span) -> Result<'a> {
    let (Some(x), Some(y)) = (a.number(), b.number()) else {
        return Err(not_numbers(op, a, b));
    };
    if op == BinaryOp::Div && y == 0.0 {
        return Err(Refusal::Value(format!("{a} is divided by zero")));
    }
    if let (&Value::Int(i), &Value::Int(j)) = (a, b)
        && let Some(value) = exact(op, i, j)
    {
        return in_range(value);
    }
    let value = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        _ => x.powf(y),
    };
    if !value.is_finite() {
        return Err(Refusal::Value(format!(
            "`{a} {} {b}` is not a finite number",
            op.word()
        )));
    }
    let inherited = a.division().or(b.division());
    let division = if op == BinaryOp::Div {
        Some(span)
    } else {
        inherited
    };
    Ok(Value::Float(
        value,
        division.filter(|_| whole(value).is_none()),
    ))
}

/// The whole result of an operation on whole numbers, if there is one.
fn exact(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => (a % b == 0).then_some(a / b),
        _ => a.checked_pow(u32::try_from(b).ok()?),
    }
}

fn in_range<'a>(value: i64) -> Result<'a> {
    if value.unsigned_abs() <= LARGEST.unsigned_abs() {
        Ok(Value::Int(value))
    } else {
        Err(Refusal::Value(format!(
            "{value} is too large; whole numbers end at {LARGEST}"
        )))
    }
}

/// The functions that are there without being declared, with the number of their arguments.
pub(super) const FUNCTIONS: [(&str, Option<usize>); 8] = [
    ("min", None),
    ("max", None),
    ("floor", Some(1)),
    ("ceil", Some(1)),
    ("round", Some(1)),
    ("abs", Some(1)),
    ("sqrt", Some(1)),
    ("len", Some(1)),
];

/// Calls one of [`FUNCTIONS`] with as many arguments as it takes.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>]) -> Result<'a> {
    let Some(first) = args.first() else {
        return Err(Refusal::Kind(format!(
            "`{name}` wants at least one argument"
        )));
    };
    if name == "len" {
        return match first.items() {
            Some(items) => in_range(i64::try_from(items.len()).unwrap_or(i64::MAX)),
            None => Err(Refusal::Kind(format!(
                "`len` wants a list, not {}",
                first.kind()
            ))),
        };
    }
    // One list counts as its items: `max([1, 2])`.
    let list = if args.len() == 1 && matches!(name, "min" | "max") {
        first.items()
    } else {
        None
    };
    let args = list.unwrap_or(args);
    if let Some(wrong) = args.iter().find(|arg| arg.number().is_none()) {
        return Err(Refusal::Kind(format!(
            "`{name}` wants numbers, not {}",
            wrong.kind()
        )));
    }
    match name {
        "min" => extreme(args, |a, b| a < b),
        "max" => extreme(args, |a, b| a > b),
        _ => rounded(name, first),
    }
}

fn extreme<'a>(args: &[Value<'a>], better: fn(f64, f64) -> bool) -> Result<'a> {
    let pick = |a: &'_ Value<'a>, b: &'_ Value<'a>| match (a.number(), b.number()) {
        (Some(x), Some(y)) if better(y, x) => b.clone(),
        _ => a.clone(),
    };
    let best = args.iter().cloned().reduce(|a, b| pick(&a, &b));
    best.ok_or_else(|| Refusal::Value("an empty list has no least or greatest item".to_owned()))
}

fn rounded<'a>(name: &str, arg: &Value<'a>) -> Result<'a> {
    let x = arg.number().unwrap_or(f64::NAN);
    let value = match (name, arg) {
        ("abs", Value::Int(value)) => return Ok(Value::Int(value.abs())),
        (_, Value::Int(_)) if name != "sqrt" => return Ok(arg.clone()),
        ("floor", _) => x.floor(),
        ("ceil", _) => x.ceil(),
        ("round", _) => x.round(),
        ("abs", _) => return Ok(Value::Float(x.abs(), arg.division())),
        _ if x < 0.0 => return Err(Refusal::Value(format!("{arg} has no square root"))),
        _ => return Ok(Value::Float(x.sqrt(), arg.division())),
    };
    whole(value)
        .map(Value::Int)
        .ok_or_else(|| Refusal::Value(format!("{arg} is too large to be a whole number")))
}

/// The number of items of `from..to step step`; `to` counts where rounding errors alone put it out of reach.
pub(super) fn range_len(from: f64, to: f64, step: f64) -> Option<f64> {
    let count = ((to - from) / step + 1e-9).floor() + 1.0;
    (step != 0.0 && count.is_finite()).then_some(count.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Files;

    fn span() -> Span {
        Span::new(Files::new().add("a.net", ""), 0..0)
    }

    fn check(op: BinaryOp, a: Value<'static>, b: Value<'static>, expected: &str) {
        let shown = match binary(op, &a, &b, span()) {
            Ok(value) => format!("{value} {}", value.kind()),
            Err(Refusal::Kind(text) | Refusal::Value(text)) => text,
        };
        assert_eq!(shown, expected, "{a} {} {b}", op.word());
    }

    #[test]
    fn division_is_exact() {
        check(BinaryOp::Div, Value::Int(8), Value::Int(4), "2 an int");
        check(BinaryOp::Div, Value::Int(7), Value::Int(2), "3.5 a float");
        check(
            BinaryOp::Div,
            Value::Int(7),
            Value::Int(0),
            "7 is divided by zero",
        );
        let half = binary(BinaryOp::Div, &Value::Int(7), &Value::Int(2), span()).expect("3.5");
        let sum = binary(BinaryOp::Add, &half, &Value::Int(1), span()).expect("4.5");
        assert!(sum.division().is_some());
        let doubled = binary(BinaryOp::Mul, &half, &Value::Int(2), span()).expect("7");
        assert_eq!((doubled.whole(), doubled.division()), (Some(7), None));
    }

    #[test]
    fn powers_of_whole_numbers_are_whole() {
        check(BinaryOp::Pow, Value::Int(2), Value::Int(10), "1024 an int");
        check(BinaryOp::Pow, Value::Int(2), Value::Int(-1), "0.5 a float");
        check(
            BinaryOp::Mul,
            Value::Int(LARGEST),
            Value::Int(2),
            "18014398509481984 is too large; whole numbers end at 9007199254740992",
        );
    }

    #[test]
    fn kinds_are_checked() {
        check(
            BinaryOp::Add,
            Value::Int(1),
            Value::Bool(true),
            "`+` wants numbers, not a bool",
        );
        check(
            BinaryOp::Eq,
            Value::Int(1),
            Value::Bool(true),
            "an int and a bool cannot be compared",
        );
        check(
            BinaryOp::Eq,
            Value::Int(1),
            Value::Float(1.0, None),
            "true a bool",
        );
    }

    #[test]
    fn ranges_keep_their_end() {
        assert_eq!(range_len(1.0, 1.5, 0.1), Some(6.0));
        assert_eq!(range_len(1.0, 1.3, 0.1), Some(4.0));
        assert_eq!(range_len(1.0, 1.3, 0.05), Some(7.0));
        assert_eq!(range_len(1.0, 2.0, 0.0), None);
        assert_eq!(range_len(2.0, 1.0, 1.0), Some(0.0));
    }
}
