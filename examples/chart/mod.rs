//! Lines over an axis, as an SVG picture.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A line, in the order of its points.
pub(crate) struct Line {
    /// What the legend says.
    pub(crate) label: String,
    /// The points, x and y.
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether the others are held against it.
    pub(crate) reference: bool,
}

/// What is drawn.
pub(crate) struct Chart<'a> {
    /// The line above the picture.
    pub(crate) title: &'a str,
    /// What the horizontal axis shows.
    pub(crate) across: &'a str,
    /// What the vertical axis shows.
    pub(crate) up: &'a str,
    /// Whether the vertical axis shows powers of ten.
    pub(crate) logarithmic: bool,
    /// The lines.
    pub(crate) lines: &'a [Line],
}

const INK: RGBColor = RGBColor(40, 40, 40);
/// Colours that people with any kind of colour vision tell apart (M. Okabe and K. Ito, 2008).
const COLOURS: [RGBColor; 3] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(0, 114, 178),
];
/// That of lines that others are held against.
const REFERENCE: RGBColor = RGBColor(150, 150, 150);
/// The library puts everything on whole numbers; a sheet this many times as large keeps lines smooth.
const GRAIN: i32 = 4;
const SIZE: (i32, i32) = (760, 520);

/// Draws a chart into an SVG file.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn write(path: &Path, chart: &Chart<'_>) -> Result<(), Box<dyn Error>> {
    let sheet = ((SIZE.0 * GRAIN) as u32, (SIZE.1 * GRAIN) as u32);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, sheet).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(84 * GRAIN);
        let label = |size: i32, align| {
            let font = ("sans-serif", size * GRAIN).into_font().color(&INK);
            font.pos(Pos::new(align, VPos::Center))
        };
        head.draw(&Text::new(
            chart.title,
            (24 * GRAIN, 28 * GRAIN),
            label(25, HPos::Left),
        ))?;
        let mut at = 24 * GRAIN;
        for (line, colour) in coloured(chart.lines) {
            let y = 64 * GRAIN;
            let stroke = colour.stroke_width(3 * GRAIN as u32);
            head.draw(&PathElement::new([(at, y), (at + 24 * GRAIN, y)], stroke))?;
            head.draw(&Text::new(
                line.label.as_str(),
                (at + 30 * GRAIN, y),
                label(18, HPos::Left),
            ))?;
            at += (52 + 15 * line.label.chars().count() as i32 / 2) * GRAIN;
        }
        let points = || chart.lines.iter().flat_map(|line| &line.points);
        let mut x = range(points().map(|point| point.0));
        if counts(chart.lines) {
            // Room for the dots.
            x = x.start - 0.3..x.end + 0.3;
        }
        let y = range(points().map(|point| point.1));
        let mut builder = ChartBuilder::on(&body);
        builder
            .margin_right(24 * GRAIN)
            .margin_bottom(8 * GRAIN)
            .margin_left(8 * GRAIN)
            .x_label_area_size(52 * GRAIN)
            .y_label_area_size(84 * GRAIN);
        if chart.logarithmic {
            let y = y.start / 2.0..y.end * 2.0;
            draw(builder.build_cartesian_2d(x, y.log_scale())?, chart, |y| {
                power_of_ten(*y)
            })?;
        } else {
            let room = 0.05 * (y.end - y.start);
            let y = y.start - room..y.end + room;
            draw(builder.build_cartesian_2d(x, y)?, chart, |y| {
                with_minus(&format!("{y:.1}"))
            })?;
        }
        root.present()?;
    }
    let large = format!(r#"width="{}" height="{}""#, sheet.0, sheet.1);
    let small = format!(r#"width="{}" height="{}""#, SIZE.0, SIZE.1);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text.replacen(&large, &small, 1))?;
    Ok(())
}

/// The lines with their colours.
fn coloured(lines: &[Line]) -> impl Iterator<Item = (&Line, RGBColor)> {
    let mut colours = COLOURS.iter().copied().cycle();
    lines.iter().map(move |line| match line.reference {
        true => (line, REFERENCE),
        false => (line, colours.next().unwrap_or(INK)),
    })
}

/// Whether the horizontal axis counts something, with nothing in between.
fn counts(lines: &[Line]) -> bool {
    let mut points = lines.iter().flat_map(|line| &line.points);
    points.all(|point| point.0.fract() == 0.0)
}

/// A number with the sign that is as wide as a plus.
fn with_minus(number: &str) -> String {
    number.replace('-', "\u{2212}")
}

/// As 10⁻³; numbers in between have no label.
fn power_of_ten(number: f64) -> String {
    let power = number.log10();
    if (power - power.round()).abs() > 1e-6 {
        return String::new();
    }
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => digit
            .to_digit(10)
            .and_then(|digit| char::from_u32(0x2070 + digit))
            .unwrap_or(digit),
    };
    let power: String = format!("{power:.0}").chars().map(raised).collect();
    format!("10{power}")
}

fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let both = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    both.0..both.1
}

fn draw<'a, Y>(
    mut context: ChartContext<
        '_,
        SVGBackend<'a>,
        Cartesian2d<plotters::coord::types::RangedCoordf64, Y>,
    >,
    chart: &Chart<'_>,
    number: impl Fn(&f64) -> String,
) -> Result<(), Box<dyn Error>>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let style = ("sans-serif", 18 * GRAIN).into_font().color(&INK);
    let mut mesh = context.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(226, 226, 226).stroke_width(GRAIN as u32))
        .axis_style(INK.stroke_width(GRAIN as u32))
        .set_all_tick_mark_size(5 * GRAIN)
        .x_desc(chart.across)
        .y_desc(chart.up)
        .x_label_formatter(&|x| with_minus(&format!("{x:.0}")))
        .y_label_formatter(&number)
        .x_labels(if counts(chart.lines) { 16 } else { 8 })
        .y_labels(8)
        .label_style(style.clone())
        .axis_desc_style(style)
        .draw()?;
    for (line, colour) in coloured(chart.lines) {
        let stroke = colour.stroke_width(5 * GRAIN as u32 / 2);
        let points = || line.points.iter().copied();
        context.draw_series(LineSeries::new(points(), stroke))?;
        if counts(chart.lines) {
            let dot = |point| Circle::new(point, 4 * GRAIN, colour.filled());
            context.draw_series(points().map(dot))?;
        }
    }
    Ok(())
}
