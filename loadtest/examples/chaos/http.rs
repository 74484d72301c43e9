//! Plain HTTP questions to programs on this machine.

use anyhow::{Context, ensure};
use serde_json::Value;

/// The body of a good answer.
///
/// # Errors
/// If there is no answer, or one that is not good.
pub(crate) async fn get(url: &str) -> anyhow::Result<String> {
    let answer = reqwest::get(url).await.with_context(|| url.to_owned())?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{url}: {status}: {body}");
    Ok(body)
}

/// The same for JSON.
///
/// # Errors
/// As [`get`].
pub(crate) async fn json(url: &str) -> anyhow::Result<Value> {
    serde_json::from_str(&get(url).await?).with_context(|| url.to_owned())
}

/// Asks for something to be done.
///
/// # Errors
/// As [`get`].
pub(crate) async fn post(url: &str) -> anyhow::Result<Value> {
    let answer = reqwest::Client::new().post(url).send().await.with_context(|| url.to_owned())?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{url}: {status}: {body}");
    serde_json::from_str(&body).with_context(|| url.to_owned())
}

/// The sum of a metric over all its labels; 0 where it is not there.
pub(crate) fn metric(text: &str, name: &str) -> u64 {
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    // Gauges are printed as floats; what is counted here is whole.
    let whole = |line: &str| line.rsplit(' ').next()?.split('.').next()?.parse::<u64>().ok();
    lines.filter_map(whole).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_labels() {
        let text = "# TYPE a gauge\na{venue=\"x\"} 3\na{venue=\"y\"} 4\nab 9\n";
        assert_eq!((metric(text, "a"), metric(text, "b")), (7, 0));
    }
}
