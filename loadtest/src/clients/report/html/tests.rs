use super::*;
use crate::clients::phase::Phase;
use crate::clients::report::tests::report;
use crate::clients::store::Comparison;

/// The names of open elements, after all of `html`; fails where one is closed that is not open.
fn open_elements(html: &str) -> Vec<&str> {
    let mut open = Vec::new();
    let body = html.split_once("<!DOCTYPE html>").expect("a document type").1;
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("an open tag: {tag}"));
        assert!(!text.contains('>'), "unescaped: {text}");
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
        let outside: Vec<&str> = tag.split('"').step_by(2).collect();
        let names = outside.len() - 1;
        assert!(outside.iter().take(names).all(|part| part.ends_with('=')), "unquoted: {tag}");
        assert_eq!(outside.concat().matches('=').count(), names, "unquoted: {tag}");
    }
    open
}

fn page() -> String {
    report().html()
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let page = page();
    assert_eq!(open_elements(&page), Vec::<&str>::new());
    for foreign in ["<script", "<link", "<img", "url(", "@import", "src=", "href="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn every_series_is_drawn_with_its_legend_and_its_values() {
    let page = page();
    assert_eq!(page.matches("<svg ").count(), 5);
    for lines in [&LATENCY[..], &ROWS, &BYTES, &CONNECTIONS, &OWN_LAG] {
        for Line { name, class, .. } in lines {
            assert!(page.contains(&format!("<li class=\"{class}\">{name}</li>")), "{name}");
            assert!(page.contains(&format!("<title>{name}</title></path>")), "{name}");
        }
    }
    // The one second of the report.
    for told in
        ["1.0 s, measure", "p99: 12.3 ms", "rows/s: 100", "bytes/s: 10 kB/s", "connected: 3", "longest: 1 µs"]
    {
        assert!(page.contains(told), "{told}\n{page}");
    }
}

#[test]
fn the_page_holds_verdict_thresholds_figures_and_circumstances() {
    let page = page();
    for told in [
        "<span class=\"verdict pass\">pass</span>",
        "<th>p99=50.0ms</th><td class=\"number\">12.3ms</td><td class=\"number\"><span class=\"mark pass\">pass",
        "<dt>rows lost</dt><dd>2</dd>",
        "<th>delivery</th><td>published 50, owed 150, lost 2 at 1 clients, most 2</td>",
        "<th>steady</th>",
        "<th>lag of the publisher</th>",
        "<th>store</th><td>6 symbols at clients compared, behind 1 at 1 clients, most by 1.5ms",
        "<th>processor</th>",
        "<pre>",
    ] {
        assert!(page.contains(told), "{told}\n{page}");
    }
}

#[test]
fn what_comes_from_outside_stays_text() {
    let mut report = report();
    report.command = "x --symbols '<b>&'".to_owned();
    report.host.cpu = Some("<i>CPU</i>".to_owned());
    report.store = Some(Comparison { error: Some("</td><script>".to_owned()), ..Comparison::default() });
    report.verdict = Verdict::Failed("\"></p>".to_owned());
    let page = report.html();
    assert_eq!(open_elements(&page), Vec::<&str>::new());
    assert!(page.contains("&lt;i&gt;CPU&lt;/i&gt;") && page.contains("&lt;/td&gt;&lt;script&gt;"));
}

#[test]
fn a_run_without_anything_has_a_page_too() {
    let mut report = report();
    report.series.clear();
    let page = report.html();
    assert_eq!(open_elements(&page), Vec::<&str>::new());
    assert_eq!((page.matches("Nothing was measured").count(), page.matches("<svg ").count()), (5, 0));
}

#[test]
fn a_day_is_thinned_and_keeps_its_spikes() {
    let mut report = report();
    let second = report.series[0];
    report.series = (1..=86_400)
        .map(|at| Sample {
            at_ms: at * 1_000,
            phase: if at < 10 { Phase::Ramp } else { Phase::Measure },
            own_lag_us: if at == 43_210 { 777_000 } else { 10 },
            ..second
        })
        .collect();
    let page = report.html();
    assert!(page.len() < 700_000, "{}", page.len());
    assert!(page.contains("longest: 777 ms") && page.contains(">22:00 h</text>"), "the spike and the clock");
}
