//! Curves of a training as an SVG picture: loss and accuracy over the epochs, side by side.
//!
//! A picture must also come out of a training that went wrong, because then it is wanted most: a
//! single epoch is a point, a number that is not finite is a gap that the legend counts, and a
//! constant curve lies in the middle of a range of its own. SVG needs no font files; text is set by
//! whatever shows the picture, so the layout leaves room instead of measuring.

mod ticks;

use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use thiserror::Error;

use self::ticks::Ticks;
use crate::io::atomic::{self, WriteError};

/// Values over the epochs, the first of which is epoch 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend says, such as `training`.
    pub label: String,
    /// One value for each epoch.
    pub values: Vec<f64>,
}

/// What is drawn of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// The line above the picture.
    pub title: String,
    /// The curves of the left panel.
    pub losses: Vec<Curve>,
    /// The curves of the right panel, as fractions of 1; without any, the loss has all the room.
    pub accuracies: Vec<Curve>,
}

/// A picture of a single panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// The line above the picture.
    pub title: String,
    /// What the values are.
    pub heading: String,
    /// What the places are, of which the first is 1.
    pub axis: String,
    /// The lines.
    pub curves: Vec<Curve>,
}

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PlotError {
    /// The drawing library gave up.
    #[error("cannot draw the curves: {reason}")]
    Draw {
        /// What the library said; its own error borrows the picture.
        reason: String,
    },
    /// The picture could not be stored.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Draws the curves into an SVG file, all or nothing.
pub fn write(path: &Path, curves: &Curves) -> Result<(), PlotError> {
    let text = svg(curves)?;
    Ok(atomic::write(path, |writer| {
        writer.write_all(text.as_bytes())
    })?)
}

/// Draws a picture of a single panel into an SVG file, all or nothing.
pub fn write_lines(path: &Path, lines: &Lines) -> Result<(), PlotError> {
    let panel = Panel {
        heading: &lines.heading,
        axis: &lines.axis,
        curves: &lines.curves,
        scale: 1.0,
        unit: "",
        limits: (f64::NEG_INFINITY, f64::INFINITY),
    };
    let text = picture(&lines.title, &[panel])?;
    Ok(atomic::write(path, |writer| {
        writer.write_all(text.as_bytes())
    })?)
}

/// Draws the curves as the text of an SVG file.
pub fn svg(curves: &Curves) -> Result<String, PlotError> {
    let loss = Panel {
        heading: "Loss",
        axis: "epoch",
        curves: &curves.losses,
        scale: 1.0,
        unit: "",
        limits: (f64::NEG_INFINITY, f64::INFINITY),
    };
    let accuracy = Panel {
        heading: "Accuracy",
        axis: "epoch",
        curves: &curves.accuracies,
        scale: 100.0,
        unit: " %",
        limits: (0.0, 100.0),
    };
    if curves.accuracies.is_empty() {
        picture(&curves.title, &[loss])
    } else {
        picture(&curves.title, &[loss, accuracy])
    }
}

fn picture(title: &str, panels: &[Panel<'_>]) -> Result<String, PlotError> {
    let mut text = String::new();
    draw(&mut text, title, panels).map_err(|error| PlotError::Draw {
        reason: error.to_string(),
    })?;
    Ok(text)
}

/// The library puts everything on whole numbers. So that curves are smooth, it draws on a sheet
/// this many times as large, which the header of the picture then shows at its true size.
const GRAIN: u32 = 4;

/// A length on the sheet.
const fn px(length: u32) -> u32 {
    length * GRAIN
}

/// The size of a panel in the picture, legend and axes included.
const PANEL: (u32, u32) = (680, 500);
const TITLE_HEIGHT: u32 = 60;

const FONT: &str = "sans-serif";
/// Sizes as the library counts them; the picture's are smaller by a factor of 1.24.
const TITLE_SIZE: u32 = px(27);
const HEADING_SIZE: u32 = px(23);
const LABEL_SIZE: u32 = px(19);
/// About the width of a letter, in sizes of the font: there is no font here to ask.
const LETTER_WIDTH: f64 = 0.46;
const MARGIN: u32 = px(24);

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(226, 226, 226);
/// Colours that people with any kind of colour vision tell apart (M. Okabe and K. Ito, 2008).
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

/// Up to this many epochs, every value gets a dot.
const MAX_DOTTED: usize = 40;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type DrawResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A linear axis with numbers at chosen places; the library's own choice would number half epochs.
struct Axis {
    line: RangedCoordf64,
    places: Vec<f64>,
}

impl Axis {
    fn new(range: Range<f64>, places: Vec<f64>) -> Self {
        Self {
            line: range.into(),
            places,
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.line.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.places.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.line.range()
    }
}

/// What makes one panel different from the other.
struct Panel<'a> {
    heading: &'a str,
    /// What is counted from left to right.
    axis: &'a str,
    curves: &'a [Curve],
    /// What a value is multiplied by before it is drawn, and the unit that follows then.
    scale: f64,
    unit: &'a str,
    /// Values that cannot be exceeded, so that no axis shows more than 100 %.
    limits: (f64, f64),
}

fn draw(text: &mut String, title: &str, panels: &[Panel<'_>]) -> DrawResult {
    let (width, height) = (PANEL.0 * panels.len() as u32, PANEL.1 + TITLE_HEIGHT);
    let root = SVGBackend::with_string(text, (px(width), px(height))).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(px(TITLE_HEIGHT));
    head.draw(&Text::new(title, point(MARGIN, px(32)), font(TITLE_SIZE)))?;
    for (panel, area) in panels.iter().zip(body.split_evenly((1, panels.len()))) {
        draw_panel(&area, panel)?;
    }
    root.present()?;
    drop((root, head, body));
    let sheet = format!(r#"width="{}" height="{}""#, px(width), px(height));
    *text = text.replacen(&sheet, &format!(r#"width="{width}" height="{height}""#), 1);
    Ok(())
}

fn draw_panel(area: &Area<'_>, panel: &Panel<'_>) -> DrawResult {
    let (legend, chart) = area.split_vertically(px(76));
    draw_legend(&legend, panel)?;

    let epochs = panel
        .curves
        .iter()
        .map(|curve| curve.values.len())
        .max()
        .unwrap_or(0)
        .max(1);
    let x_ticks = ticks::of_epochs(epochs);
    let drawable = panel.curves.iter().flat_map(|curve| &curve.values).copied();
    let values = drawable
        .map(|value| value * panel.scale)
        .filter(|&value| can_draw(value));
    let y_ticks = Ticks::around(values, panel.limits);

    // Half an epoch of room on both sides keeps the dots off the frame.
    let x_axis = Axis::new(0.5..epochs as f64 + 0.5, x_ticks);
    let y_axis = Axis::new(y_ticks.low()..y_ticks.high(), y_ticks.places());
    let mut context = ChartBuilder::on(&chart)
        .margin_right(MARGIN)
        .margin_bottom(MARGIN / 2)
        .margin_left(MARGIN / 2)
        .x_label_area_size(px(52))
        .y_label_area_size(px(84))
        .build_cartesian_2d(x_axis, y_axis)?;
    let label_style = (FONT, LABEL_SIZE).into_font().color(&INK);
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(px(1)))
        .axis_style(INK.stroke_width(px(1)))
        .set_all_tick_mark_size(px(5))
        .x_desc(panel.axis)
        .label_style(label_style.clone())
        .axis_desc_style(label_style)
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .y_label_formatter(&|&value| format!("{}{}", y_ticks.label(value), panel.unit))
        .draw()?;

    for (curve, colour) in panel.curves.iter().zip(COLOURS.iter().cycle()) {
        let dots = curve.values.len() <= MAX_DOTTED;
        for run in runs(curve, panel.scale) {
            if dots || run.len() == 1 {
                context.draw_series(
                    run.iter()
                        .map(|&at| Circle::new(at, px(3), colour.filled())),
                )?;
            }
            context.draw_series(LineSeries::new(run, colour.stroke_width(px(2))))?;
        }
    }
    Ok(())
}

/// Draws the panel's heading, and below it each curve's colour and last value.
fn draw_legend(area: &Area<'_>, panel: &Panel<'_>) -> DrawResult {
    area.draw(&Text::new(
        panel.heading,
        point(MARGIN, px(14)),
        font(HEADING_SIZE),
    ))?;
    let mut x = MARGIN;
    let y = px(50);
    for (curve, &colour) in panel.curves.iter().zip(COLOURS.iter().cycle()) {
        let label = legend_label(curve, panel);
        area.draw(&PathElement::new(
            [point(x, y), point(x + px(26), y)],
            colour.stroke_width(px(3)),
        ))?;
        area.draw(&Text::new(
            label.as_str(),
            point(x + px(34), y),
            font(LABEL_SIZE),
        ))?;
        let width = label.chars().count() as f64 * LETTER_WIDTH * f64::from(LABEL_SIZE);
        x += px(34 + 24) + width as u32;
    }
    Ok(())
}

fn legend_label(curve: &Curve, panel: &Panel<'_>) -> String {
    let gaps = curve
        .values
        .iter()
        .filter(|&&value| !can_draw(value))
        .count();
    let last = curve.values.last().map(|value| value * panel.scale);
    let mut label = curve.label.clone();
    match last {
        Some(value) if can_draw(value) => {
            label += &format!(": {}{}", ticks::short(value), panel.unit);
        }
        _ => {}
    }
    if gaps > 0 {
        label += &format!(" (not finite in {gaps} of {})", curve.values.len());
    }
    label
}

fn point(x: u32, y: u32) -> (i32, i32) {
    (x as i32, y as i32)
}

fn font(size: u32) -> TextStyle<'static> {
    (FONT, size)
        .into_font()
        .color(&INK)
        .pos(Pos::new(HPos::Left, VPos::Center))
}

/// Whether a value has a place on an axis. Beyond this, differences of two values overflow; no loss
/// in f32 gets there without being infinite.
fn can_draw(value: f64) -> bool {
    value.abs() < 1e100
}

/// The stretches of a curve without a gap, as points.
fn runs(curve: &Curve, scale: f64) -> Vec<Vec<(f64, f64)>> {
    let points: Vec<_> = curve
        .values
        .iter()
        .enumerate()
        .map(|(i, y)| (i as f64 + 1.0, y * scale))
        .collect();
    let stretches = points.split(|&(_, y)| !can_draw(y));
    stretches
        .filter(|run| !run.is_empty())
        .map(<[_]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests;
