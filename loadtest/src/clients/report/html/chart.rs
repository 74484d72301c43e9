//! A chart over the time of a run, as inline SVG: lines, the phases behind them, and a tooltip for each moment. Colours
//! come from the page's style sheet, so that they follow the reader's light or dark.

use std::fmt;

use super::axis::{Axis, Scale, Unit, seconds};
use super::words::{Text, clock};
use crate::clients::phase::Phase;
use crate::clients::run::Sample;

/// Most moments that a chart shows; a longer run is thinned out.
const MOMENTS_MAX: usize = 400;

/// The picture in its own units; the page scales it.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 26.0;

/// How moments that share a place become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The worst counts, so that no spike gets lost.
    Highest,
    /// The last counts: what it has come to.
    Last,
    /// What is told for a second.
    Mean,
}

/// One line of a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// As the legend calls it.
    pub(super) name: &'static str,
    /// The class of the style sheet: its colour.
    pub(super) class: &'static str,
    pub(super) merge: Merge,
    /// The value of a moment; `None` leaves a gap.
    pub(super) value: fn(&Sample) -> Option<u64>,
}

/// A whole chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) note: &'a str,
    pub(super) unit: Unit,
    pub(super) scale: Scale,
    pub(super) height: u32,
    pub(super) lines: &'a [Line],
    pub(super) series: &'a [Sample],
}

/// Seconds that lie together.
struct Moment<'a> {
    samples: &'a [Sample],
    last: &'a Sample,
}

impl Moment<'_> {
    fn value(&self, line: &Line) -> Option<u64> {
        let mut values = self.samples.iter().filter_map(line.value);
        match line.merge {
            Merge::Highest => values.max(),
            Merge::Last => values.next_back(),
            Merge::Mean => {
                let (sum, count) = values.fold((0, 0), |(sum, count), value| (value + sum, count + 1));
                u64::checked_div(sum, count)
            }
        }
    }
}

/// The moments of a run, each within one phase. What a phase has left over of a second belongs to the second before.
fn moments(series: &[Sample]) -> Vec<Moment<'_>> {
    let size = series.len().div_ceil(MOMENTS_MAX).max(1);
    let mut moments = Vec::new();
    for mut phase in series.chunk_by(|one, next| one.phase == next.phase) {
        while !phase.is_empty() {
            let rest = phase.len().saturating_sub(size);
            let is_left_over = rest == 1 && phase.last().is_some_and(Sample::is_short);
            let (samples, later) =
                phase.split_at(if is_left_over { phase.len() } else { phase.len() - rest });
            phase = later;
            let nothing = samples.iter().all(|sample| sample.is_short() && sample.rows == 0);
            moments.extend(samples.last().filter(|_| !nothing).map(|last| Moment { samples, last }));
        }
    }
    moments
}

/// Where things lie in the picture.
struct Frame {
    height: f64,
    length_ms: u64,
    axis: Axis,
}

impl Frame {
    fn x(&self, ms: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (ms as f64 / self.length_ms as f64).min(1.0)
    }

    fn y(&self, value: u64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (bottom - TOP) * self.axis.at(value)
    }
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moments = moments(self.series);
        let values =
            moments.iter().flat_map(|moment| self.lines.iter().filter_map(|line| moment.value(line)));
        let axis = Axis::fit(self.scale, values.clone());
        let length_ms = self.series.last().map_or(1, |sample| sample.at_ms.max(1));
        let frame = Frame { height: f64::from(self.height), length_ms, axis };
        writeln!(f, "<figure>\n<figcaption><h2>{}</h2>", Text(self.title))?;
        self.legend(f)?;
        writeln!(f, "<p>{}</p></figcaption>", Text(self.note))?;
        if values.count() == 0 {
            return writeln!(f, "<p class=\"nothing\">Nothing was measured.</p>\n</figure>");
        }
        writeln!(
            f,
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">",
            self.height,
            Text(self.title)
        )?;
        phases(f, &frame, &moments)?;
        self.grid(f, &frame)?;
        for line in self.lines {
            draw(f, &frame, line, &moments)?;
        }
        self.tips(f, &frame, &moments)?;
        writeln!(f, "</svg>\n</figure>")
    }
}

impl Chart<'_> {
    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ul class=\"legend\">")?;
        for line in self.lines {
            write!(f, "<li class=\"{}\">{}</li>", line.class, Text(line.name))?;
        }
        writeln!(f, "</ul>")
    }

    fn grid(&self, f: &mut fmt::Formatter<'_>, frame: &Frame) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, frame.height - BOTTOM);
        for tick in &frame.axis.ticks {
            let y = frame.y(*tick);
            writeln!(f, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>")?;
            let (x, y, label) = (LEFT - 8.0, y + 4.0, self.unit.show(*tick));
            writeln!(f, "<text class=\"y\" x=\"{x}\" y=\"{y:.1}\">{}</text>", Text(label))?;
        }
        for second in seconds(frame.length_ms) {
            let (x, y) = (frame.x(second * 1_000), bottom + 17.0);
            writeln!(f, "<path class=\"grid\" d=\"M{x:.1} {bottom}v5\"/>")?;
            writeln!(f, "<text class=\"x\" x=\"{x:.1}\" y=\"{y}\">{}</text>", clock(second))?;
        }
        Ok(())
    }

    /// A strip for each moment that tells its values when the pointer rests on it. No script.
    fn tips(&self, f: &mut fmt::Formatter<'_>, frame: &Frame, moments: &[Moment<'_>]) -> fmt::Result {
        let mut from = LEFT;
        for moment in moments {
            let (at, phase) = (moment.last.at_ms, moment.last.phase.as_str());
            let (width, height) = ((frame.x(at) - from).max(0.1), frame.height - BOTTOM - TOP);
            write!(
                f,
                "<rect class=\"tip\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\">"
            )?;
            write!(f, "<title>{}.{} s, {phase}", at / 1_000, at % 1_000 / 100)?;
            for line in self.lines {
                if let Some(value) = moment.value(line) {
                    write!(f, "\n{}: {}", Text(line.name), Text(self.unit.show_exact(value)))?;
                }
            }
            writeln!(f, "</title></rect>")?;
            from = frame.x(at);
        }
        Ok(())
    }
}

/// Everything but the measured window is shaded and named.
fn phases(f: &mut fmt::Formatter<'_>, frame: &Frame, moments: &[Moment<'_>]) -> fmt::Result {
    let mut from = LEFT;
    for phase in moments.chunk_by(|one, next| one.last.phase == next.last.phase) {
        let Some(last) = phase.last().map(|moment| moment.last) else { continue };
        let to = frame.x(last.at_ms);
        let (width, height) = (to - from, frame.height - BOTTOM - TOP);
        if last.phase != Phase::Measure {
            writeln!(
                f,
                "<rect class=\"shade\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
            )?;
        }
        let name = last.phase.as_str();
        // A narrow phase has no room for its name; the tooltip has it.
        if width > 8.0 * name.len() as f64 {
            let middle = from + width / 2.0;
            writeln!(f, "<text class=\"phase\" x=\"{middle:.1}\" y=\"{}\">{name}</text>", TOP - 8.0)?;
        }
        from = to;
    }
    Ok(())
}

/// A line with gaps where there is no value. A value on its own is a dot: the style gives lines round ends.
fn draw(f: &mut fmt::Formatter<'_>, frame: &Frame, line: &Line, moments: &[Moment<'_>]) -> fmt::Result {
    write!(f, "<path class=\"line {}\" d=\"", line.class)?;
    let mut drawn = false;
    for moment in moments {
        let Some(value) = moment.value(line) else {
            drawn = false;
            continue;
        };
        let (x, y) = (frame.x(moment.last.at_ms), frame.y(value));
        match drawn {
            true => write!(f, "L{x:.1} {y:.1}")?,
            false => write!(f, "M{x:.1} {y:.1}h0")?,
        }
        drawn = true;
    }
    writeln!(f, "\"><title>{}</title></path>", Text(line.name))
}
