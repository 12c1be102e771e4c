//! The `train` section: a closed set of keys, each read as what it must be, in a file of its own.

pub(super) mod augment;
pub(super) mod batch;
pub(super) mod choices;
mod chosen;
pub(super) mod clip;
pub(super) mod config;
pub(super) mod data;
pub(super) mod early_stop;
pub(super) mod freeze;
pub(super) mod init;
mod lines;
pub(super) mod loss;
pub(super) mod optimizer;
pub(super) mod regularize;
pub(super) mod schedule;
mod table;

use config::TrainConfig;
use freeze::Freeze;
use init::InitRule;
use lines::Line;
use loss::OutputLoss;
use regularize::Regularize;
use schedule::Schedule;

use super::Elab;
use super::attrs::Bounds;
use super::limits::MAX_ITEMS;
use super::scope::Env;
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::Train;

impl<'a> Elab<'a> {
    fn config(
        &mut self,
        env: &Env<'a>,
        section: &'a Train,
        lines: &[Line<'a>],
    ) -> Option<TrainConfig> {
        let find = |key: &str| lines.iter().find(|line| line.key.text == key);
        self.check_complete(section, lines);
        let data = find("data").and_then(|line| self.data(env, line));
        let losses: Vec<OutputLoss> = lines
            .iter()
            .filter(|line| line.key.text == "loss")
            .filter_map(|line| self.loss(env, line))
            .collect();
        let optimizer = find("optimizer").map(|line| self.optimizer(env, line));
        let schedule =
            find("schedule").map_or(Some(Schedule::CONSTANT), |line| self.schedule(env, line));
        let augment = find("augment").map_or(Some(Vec::new()), |line| self.augment(env, line));
        let early_stop = find("early_stop").map(|line| self.early_stop(env, line));
        let count = |max: usize| Bounds {
            min: 1,
            max: i64::try_from(max).unwrap_or(i64::MAX),
        };
        let batch = self.batch(env, find("batch"));
        let epochs = self.count(env, find("epochs"), 10, count(MAX_ITEMS));
        let seed = self.count(
            env,
            find("seed"),
            0,
            Bounds {
                min: 0,
                max: i64::MAX,
            },
        );
        let init = find("init").map_or(Some(InitRule::FanIn), |line| self.init_of(env, line));
        let regularize = find("regularize").map_or(Some(Regularize::default()), |line| {
            self.regularize(env, line)
        });
        let freeze =
            find("freeze").map_or(Some(Freeze::default()), |line| self.freeze_of(env, line));
        let clip = find("clip").map(|line| self.clip(env, line));
        let accumulate = self.count(env, find("accumulate"), 1, count(MAX_ITEMS));
        Some(TrainConfig {
            data,
            losses,
            optimizer: optimizer.map_or(Some(None), |read| read.map(Some))?,
            schedule: schedule?,
            augment: augment?,
            early_stop: early_stop.map_or(Some(None), |read| read.map(Some))?,
            batch: batch?.samples,
            drop_last: batch?.drop_last,
            epochs: usize::try_from(epochs?).ok()?,
            seed: u64::try_from(seed?).ok()?,
            init: init?,
            regularize: regularize?,
            freeze: freeze?,
            clip: clip.map_or(Some(None), |read| read.map(Some))?,
            accumulate: usize::try_from(accumulate?).ok()?,
            span: section.span,
        })
    }

    /// A section without a loss says nothing.
    fn check_complete(&mut self, section: &Train, lines: &[Line<'a>]) {
        if !lines.iter().any(|line| line.key.text == "loss") {
            let diagnostic = Diagnostic::error(codes::MISSING_KEY, "`train` needs `loss`");
            let diagnostic = diagnostic.primary(section.net.span, "");
            let text = "write, for example, `loss cross_entropy`";
            // The section's brace is the first one behind its name; no comment may stand between the two.
            let brace = self.files.slice(section.span).find('{');
            self.report(match brace.and_then(|at| u32::try_from(at + 1).ok()) {
                Some(at) => {
                    let place = Span {
                        start: section.span.start + at,
                        end: section.span.start + at,
                        ..section.span
                    };
                    diagnostic.edit(text, place, " loss cross_entropy;")
                }
                None => diagnostic.help(text),
            });
        }
    }
}
