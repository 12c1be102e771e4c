//! `regularize`: what keeps weights small beside the loss of the data.

use super::chosen::{call, figure};
use super::lines::Line;
use super::optimizer::Decay;
use super::table::choice;
use crate::diag::{Diagnostic, codes};
use crate::sema::Elab;
use crate::sema::layers::{Attr, AttrKind, Default, Layer};
use crate::sema::report::suggest;
use crate::sema::scope::Env;

/// What keeps weights small. What each part computes is said in [`crate::train::regularize`].
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Regularize {
    /// `l1(strength)`: the penalty `strength · Σ |w|`.
    pub l1: Option<Penalty>,
    /// `l2(strength)`: the penalty `strength / 2 · Σ w²`.
    pub l2: Option<Penalty>,
    /// `group_lasso(strength)`: the penalty of that strength on the groups of learned group convolutions.
    pub group_lasso: Option<f64>,
    /// `max_norm(c)`: the greatest Euclidean norm of the weights that enter one output unit.
    pub max_norm: Option<f64>,
}

/// A penalty on the size of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    /// Its factor.
    pub strength: f64,
    /// Which parameters it touches.
    pub on: Decay,
}

impl Regularize {
    /// Each part as it would be written with every default.
    pub(super) fn parts(&self) -> Vec<String> {
        let penalty = |name: &str, penalty: Option<Penalty>| {
            penalty.map(|Penalty { strength, on }| {
                let args = [("strength", figure(strength)), ("on", on.word().to_owned())];
                call(name, &args)
            })
        };
        let parts = [
            penalty("l1", self.l1),
            penalty("l2", self.l2),
            self.group_lasso
                .map(|strength| call("group_lasso", &[("strength", strength.to_string())])),
            self.max_norm
                .map(|limit| call("max_norm", &[("limit", figure(limit))])),
        ];
        parts.into_iter().flatten().collect()
    }
}

const STRENGTH: Attr = Attr {
    name: "strength",
    kind: AttrKind::Float,
    default: Default::Required,
    positional: true,
};
const ON: Attr = Attr {
    name: "on",
    kind: AttrKind::Word(&["all", "weights"]),
    default: Default::Word("weights"),
    positional: false,
};
pub(super) static L1: Layer = choice("l1", &[STRENGTH, ON]);
pub(super) static L2: Layer = choice("l2", &[STRENGTH, ON]);
pub(super) static GROUP_LASSO: Layer = choice("group_lasso", &[STRENGTH]);
pub(super) static MAX_NORM: Layer = choice(
    "max_norm",
    &[Attr {
        name: "limit",
        ..STRENGTH
    }],
);

static ALL: [&Layer; 4] = [&L1, &L2, &GROUP_LASSO, &MAX_NORM];

impl<'a> Elab<'a> {
    /// `regularize l1(1e-5), l2(1e-4), group_lasso(1e-5), max_norm(3)`
    pub(super) fn regularize(&mut self, env: &Env<'a>, line: &Line<'a>) -> Option<Regularize> {
        let mut read = Regularize::default();
        let mut seen: Vec<&str> = Vec::new();
        for item in self.parts(line) {
            let chosen = self.chosen(&item)?;
            let signature = self.signature(&item, &chosen, &ALL, &[])?;
            if seen.contains(&signature.name) {
                let message = format!("`{}` is given twice", signature.name);
                self.report(
                    Diagnostic::error(codes::DUPLICATE_KEY, message).primary(item.span, ""),
                );
                return None;
            }
            seen.push(signature.name);
            let attrs = self.attrs_of(env, &item, &chosen, signature)?;
            if signature.name == "max_norm" {
                read.max_norm = Some(self.positive(&attrs, "limit")?);
                continue;
            }
            let strength = self.real(&attrs, "strength", f64::INFINITY);
            if signature.name == "group_lasso" {
                read.group_lasso = Some(strength?);
                continue;
            }
            let on = self.decay(&attrs, "on");
            let penalty = Some(Penalty {
                strength: strength?,
                on: on?,
            });
            match signature.name {
                "l1" => read.l1 = penalty,
                _ => read.l2 = penalty,
            }
        }
        for &(name, expr) in &line.set {
            let value = self.eval(env, expr);
            let what = format!("`{}` of `regularize`", name.text);
            let number =
                |elab: &mut Self| elab.number_within(&value, &what, 0.0, f64::INFINITY, expr.span);
            let penalty = |known: Option<Penalty>, strength| {
                let on = known.map_or(Decay::Weights, |known| known.on);
                Some(Penalty { strength, on })
            };
            match name.text.as_str() {
                "l1" => read.l1 = penalty(read.l1, number(self)?),
                "l2" => read.l2 = penalty(read.l2, number(self)?),
                "group_lasso" => read.group_lasso = Some(number(self)?),
                "max_norm" => {
                    let limit = number(self)?;
                    read.max_norm = Some(self.not_zero(limit, &what, expr.span)?);
                }
                other => {
                    let message = format!("there is no regularize `{other}`");
                    let diagnostic =
                        Diagnostic::error(codes::BAD_VALUE, message).primary(name.span, "");
                    self.report(match suggest(other, ALL.map(|known| known.name)) {
                        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                        None => diagnostic.help("known are `l1`, `l2`, `group_lasso`, `max_norm`"),
                    });
                    return None;
                }
            }
        }
        Some(read)
    }
}
