//! Plots as SVG.

use std::fmt::Write as _;

const COLOURS: [&str; 8] = ["#888888", "#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#e8a400", "#0c8599", "#c2255c"];
const WIDTH: f64 = 960.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 9.0;
const PANEL: f64 = 200.0;

/// Bars on a logarithmic scale: of each scenario one for each server.
pub(crate) fn bars(servers: &[&str], scenarios: &[(&str, Vec<Option<f64>>)]) -> String {
    let most = scenarios.iter().flat_map(|(_, ratios)| ratios).flatten().fold(2.0, |most: f64, ratio| most.max(*ratio));
    let scale = |ratio: f64| (WIDTH - LEFT - RIGHT) * (ratio / 0.8).ln().max(0.0) / (most / 0.8).ln();
    let group = servers.len() as f64 * BAR + 10.0;
    let height = 70.0 + scenarios.len() as f64 * group;
    let mut svg = start(height, "Server CPU time per operation, as a multiple of the limit");
    legend(&mut svg, servers);
    for tick in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0].into_iter().filter(|tick| *tick <= most) {
        let x = LEFT + scale(tick);
        line(&mut svg, &[(x, 60.0), (x, height - 8.0)], "#dddddd");
        text(&mut svg, x, 57.0, "middle", &format!("×{tick}"));
    }
    for (row, (name, ratios)) in scenarios.iter().enumerate() {
        let top = 65.0 + row as f64 * group;
        text(&mut svg, LEFT - 8.0, top + (group - 10.0) / 2.0 + 4.0, "end", name);
        for (index, ratio) in ratios.iter().enumerate() {
            if let Some(ratio) = ratio {
                let y = top + index as f64 * BAR;
                rectangle(&mut svg, LEFT, y, scale(*ratio), BAR - 1.0, index);
                text(&mut svg, LEFT + scale(*ratio) + 3.0, y + BAR - 1.0, "start", &format!("{ratio:.2}"));
            }
        }
    }
    svg + "</svg>\n"
}

/// What grows, and of each server the points: how many there are, and what an operation costs then.
pub(crate) type Panel<'a> = (&'a str, Vec<Vec<(f64, f64)>>);

/// Panels with lines on logarithmic scales, one below the other.
pub(crate) fn lines(servers: &[&str], panels: &[Panel<'_>]) -> String {
    let height = 40.0 + panels.len() as f64 * PANEL;
    let mut svg = start(height, "Server CPU time per operation in µs, as a number grows");
    legend(&mut svg, servers);
    for (index, (what, lines)) in panels.iter().enumerate() {
        let bottom = (index + 1) as f64 * PANEL;
        text(&mut svg, LEFT - 8.0, bottom - PANEL / 2.0, "end", what);
        line(&mut svg, &[(LEFT, bottom), (WIDTH - RIGHT, bottom)], "#888888");
        let ends = |axis: fn(&(f64, f64)) -> f64| {
            let values = lines.iter().flatten().map(axis);
            values.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), value| (least.min(value), most.max(value)))
        };
        let ((left, right), (low, high)) = (ends(|point| point.0), ends(|point| point.1));
        // A factor of four at least, so that noise does not look like growth.
        let (low, high) = ((low * 0.9).min(high / 4.0), high);
        let place = |value: f64, from: f64, to: f64| ((value / from).ln() / (to / from).ln()).clamp(0.0, 1.0);
        for (colour, points) in lines.iter().enumerate() {
            let x = |count| LEFT + (WIDTH - LEFT - RIGHT) * place(count, left, right);
            let y = |cost| bottom - (PANEL - 60.0) * place(cost, low, high);
            let placed: Vec<(f64, f64)> = points.iter().map(|&(count, cost)| (x(count), y(cost))).collect();
            line(&mut svg, &placed, COLOURS[colour % COLOURS.len()]);
            for ((count, cost), (x, y)) in points.iter().zip(placed) {
                rectangle(&mut svg, x - 3.0, y - 3.0, 6.0, 6.0, colour);
                text(&mut svg, x, bottom + 15.0, "middle", &count.to_string());
                text(&mut svg, x, y - 8.0, "middle", &format!("{cost:.2}"));
            }
        }
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String, servers: &[&str]) {
    for (index, server) in servers.iter().enumerate() {
        let x = 10.0 + index as f64 * 115.0;
        rectangle(svg, x, 32.0, 10.0, 10.0, index);
        text(svg, x + 14.0, 41.0, "start", server);
    }
}

fn start(height: f64, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, 10.0, 20.0, "start", title);
    svg
}

fn rectangle(svg: &mut String, x: f64, y: f64, width: f64, height: f64, colour: usize) {
    let fill = COLOURS[colour % COLOURS.len()];
    let _ = writeln!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#);
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

fn line(svg: &mut String, points: &[(f64, f64)], colour: &str) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, r#"<polyline points="{}" fill="none" stroke="{colour}"/>"#, points.join(" "));
}
