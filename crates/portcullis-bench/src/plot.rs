//! Plots, as SVG written by hand.

use std::fmt::Write;

use crate::{
    case::Case,
    growth::By,
    report::{ByRound, Results},
    servers::System,
    stats::Summary,
};

const OURS: &str = "#b3541e";
const THEIRS: &str = "#4f6d8f";
const OTHER: &str = "#9a9a9a";
const INK: &str = "#222222";
const FAINT: &str = "#dddddd";
const WIDTH: f64 = 860.0;

/// Name, title and text of each plot for which there are values.
pub(crate) fn all(results: &Results) -> Vec<(&'static str, String, String)> {
    let above = |connections| {
        move |system: System, case: Case| results.above_floor(system, case, connections)
    };
    let column = |connections, value: fn(&crate::rounds::Measured) -> f64| {
        move |system: System, case: Case| {
            results.of(system, case, connections, |one| Some(value(one)))
        }
    };
    let plots = [
        (
            "server-cpu-64",
            "Server CPU above the floor, µs per request, 64 connections",
            cases(above(64)),
        ),
        (
            "server-cpu-1",
            "Server CPU above the floor, µs per request, 1 connection",
            cases(above(1)),
        ),
        (
            "requests-64",
            "Requests per second, 64 connections",
            cases(column(64, |one| one.per_second)),
        ),
        (
            "redis-cpu-64",
            "Redis CPU, µs per request, 64 connections",
            cases(column(64, |one| one.redis_cpu)),
        ),
        (
            "memory",
            "Bytes of Redis per signed-in session",
            memory(results),
        ),
    ];
    let mut all: Vec<_> = plots
        .into_iter()
        .filter(|(_, _, groups)| !groups.is_empty())
        .map(|(name, title, groups)| (name, title.to_owned(), bars(title, &groups)))
        .collect();
    for (name, title, by, value) in [
        (
            "growth-sessions",
            "Server CPU per request, µs, by sessions in Redis",
            By::Sessions,
            (|one| one.cpu) as fn(&crate::rounds::Measured) -> Option<f64>,
        ),
        (
            "growth-per-user",
            "Median latency, µs, by sessions of the user",
            By::PerUser,
            |one| Some(one.p50),
        ),
        (
            "growth-payload",
            "Server CPU per request, µs, by bytes in the session",
            By::Payload,
            |one| one.cpu,
        ),
    ] {
        let series = growth(results, by, value);
        if !series.is_empty() {
            all.push((name, title.to_owned(), lines(title, &series)));
        }
    }
    all
}

struct Bar {
    label: String,
    colour: &'static str,
    value: Summary,
}

type Group = (String, Vec<Bar>);

fn colour(system: System) -> &'static str {
    match system {
        System::Portcullis => OURS,
        _ if system.is_peer() => THEIRS,
        _ => OTHER,
    }
}

fn cases(value: impl Fn(System, Case) -> ByRound) -> Vec<Group> {
    let mut groups = Vec::new();
    for case in Case::ALL {
        let of = |system: System| {
            let value = Summary::of(value(system, case).into_values())?;
            Some(Bar {
                label: system.title().into(),
                colour: colour(system),
                value,
            })
        };
        let shown = System::ALL.into_iter().filter(|system| {
            (system.has_sessions() || system.is_raw()) && *system != System::TowerSessionsOne
        });
        let bars: Vec<_> = shown.filter_map(of).collect();
        // The cost of an ignored session is almost nothing, so a plot would show noise.
        if !bars.is_empty() && case != Case::Ignored {
            groups.push((case.name().to_owned(), bars));
        }
    }
    groups
}

fn memory(results: &Results) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for payload in [crate::case::PAYLOAD_BYTES, 0] {
        let of = results.memory.iter().filter(|one| one.payload == payload);
        let bars: Vec<_> = of
            .filter_map(|one| {
                Some(Bar {
                    label: one.system.title().into(),
                    colour: colour(one.system),
                    value: Summary::of([one.per_session])?,
                })
            })
            .collect();
        if !bars.is_empty() {
            groups.push((format!("{payload} bytes of data"), bars));
        }
    }
    groups
}

fn bars(title: &str, groups: &[Group]) -> String {
    const LEFT: f64 = 200.0;
    const RIGHT: f64 = 130.0;
    const ROW: f64 = 18.0;
    let rows = groups
        .iter()
        .fold(0.0, |rows, (_, bars)| rows + 1.6 + count(bars.len()));
    let height = 50.0 + rows * ROW;
    let mut svg = begin(title, height);
    let mut y = 44.0;
    for (name, bars) in groups {
        // Each group has a scale of its own. A revocation of ten sessions would make all others
        // invisible.
        let most = bars
            .iter()
            .fold(f64::MIN_POSITIVE, |most, bar| most.max(bar.value.max));
        let scale = (WIDTH - LEFT - RIGHT) / most;
        text(&mut svg, 12.0, y + 12.0, "start", "bold", name);
        y += ROW * 1.2;
        for bar in bars {
            let Summary { median, min, max } = bar.value;
            text(&mut svg, LEFT - 8.0, y + 12.0, "end", "normal", &bar.label);
            let length = (median.max(0.0) * scale).max(0.5);
            let _ = writeln!(
                svg,
                r#"<rect x="{LEFT}" y="{:.1}" width="{length:.1}" height="{:.1}" fill="{}"/>"#,
                y + 2.0,
                ROW - 5.0,
                bar.colour
            );
            let (from, to) = (LEFT + min.max(0.0) * scale, LEFT + max.max(0.0) * scale);
            line(
                &mut svg,
                (from, y + ROW / 2.0 - 0.5),
                (to, y + ROW / 2.0 - 0.5),
                INK,
                1.2,
            );
            text(
                &mut svg,
                to.max(LEFT + length) + 6.0,
                y + 12.0,
                "start",
                "normal",
                &short(median),
            );
            y += ROW;
        }
        y += ROW * 0.4;
    }
    svg + "</svg>\n"
}

struct Series {
    label: String,
    colour: &'static str,
    dashes: &'static str,
    points: Vec<(f64, f64)>,
}

fn growth(
    results: &Results,
    by: By,
    value: fn(&crate::rounds::Measured) -> Option<f64>,
) -> Vec<Series> {
    const DASHES: [(Case, &str, &str); 5] = [
        (Case::Read, "none", "read"),
        (Case::Write, "6 3", "write"),
        (Case::Enter, "2 3", "sign-in"),
        (Case::List10, "none", "list"),
        (Case::RevokeAll, "6 3", "revoke all"),
    ];
    let mut all = Vec::new();
    for system in System::ALL {
        for (case, dashes, name) in DASHES {
            let points: Vec<_> = results
                .growth
                .iter()
                .filter(|one| {
                    (one.by, one.measured.system, one.measured.case) == (by, system, case)
                })
                .filter_map(|one| Some((count(one.size), value(&one.measured)?)))
                .collect();
            if !points.is_empty() {
                all.push(Series {
                    label: format!("{}: {name}", system.title()),
                    colour: colour(system),
                    dashes,
                    points,
                });
            }
        }
    }
    all
}

/// On logarithmic axes.
fn lines(title: &str, series: &[Series]) -> String {
    const HEIGHT: f64 = 380.0;
    const LEFT: f64 = 70.0;
    const RIGHT: f64 = 250.0;
    const TOP: f64 = 50.0;
    const BOTTOM: f64 = 40.0;
    let points = || series.iter().flat_map(|series| &series.points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (least, most) = values.fold((f64::INFINITY, 1.0_f64), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        let least = least.max(0.1).log10().floor();
        (least, most.log10().ceil().max(least + 1.0))
    };
    let (left, right) = range(&mut points().map(|point| point.0));
    let (low, high) = range(&mut points().map(|point| point.1));
    let x = |value: f64| {
        LEFT + (value.max(0.1).log10() - left) / (right - left) * (WIDTH - LEFT - RIGHT)
    };
    let y = |value: f64| {
        HEIGHT - BOTTOM - (value.max(0.1).log10() - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = begin(title, HEIGHT);
    for (from, to, along) in [(left, right, true), (low, high, false)] {
        let mut power = from;
        while power <= to {
            let value = 10_f64.powf(power);
            let label = short(value);
            if along {
                line(
                    &mut svg,
                    (x(value), TOP),
                    (x(value), HEIGHT - BOTTOM),
                    FAINT,
                    1.0,
                );
                text(
                    &mut svg,
                    x(value),
                    HEIGHT - BOTTOM + 18.0,
                    "middle",
                    "normal",
                    &label,
                );
            } else {
                line(
                    &mut svg,
                    (LEFT, y(value)),
                    (WIDTH - RIGHT, y(value)),
                    FAINT,
                    1.0,
                );
                text(
                    &mut svg,
                    LEFT - 8.0,
                    y(value) + 4.0,
                    "end",
                    "normal",
                    &label,
                );
            }
            power += 1.0;
        }
    }
    // Names stand at the ends of their lines, moved apart where they would overlap.
    let mut names: Vec<_> = series
        .iter()
        .filter_map(|series| Some((y(series.points.last()?.1), series)))
        .collect();
    names.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = 0.0_f64;
    for (end, series) in names {
        let path: Vec<_> = series
            .points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>"#,
            path.join(" "),
            series.colour,
            series.dashes
        );
        for point in &series.points {
            let _ = writeln!(
                svg,
                r#"<circle cx="{:.1}" cy="{:.1}" r="3" fill="{}"/>"#,
                x(point.0),
                y(point.1),
                series.colour
            );
        }
        let at = end.max(free);
        free = at + 15.0;
        let last = series.points.last().map_or(0.0, |point| point.1);
        let label = format!("{} ({})", series.label, short(last));
        text(
            &mut svg,
            WIDTH - RIGHT + 12.0,
            at + 4.0,
            "start",
            "normal",
            &label,
        );
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let _ = writeln!(
        svg,
        r#"<text x="12" y="24" font-size="15" font-weight="bold" fill="{INK}">{title}</text>"#
    );
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, weight: &str, text: &str) {
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}">{text}</text>"#
    );
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
    let _ = writeln!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}" stroke-width="{width}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

/// With three digits, which a plot can show.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.3} M", v / 1e6).replace(".000", ""),
        v if v >= 1e4 => format!("{:.1} k", v / 1e3).replace(".0", ""),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}").trim_end_matches(".0").to_owned(),
    }
}

fn count(many: usize) -> f64 {
    u32::try_from(many).map_or(f64::INFINITY, f64::from)
}
