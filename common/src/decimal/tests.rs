use super::*;
use proptest::prelude::*;

fn check(input: &str, expected: &str) {
    assert_eq!(Decimal::parse(input.as_bytes()).map(|d| d.to_string()), Ok(expected.to_owned()), "{input:?}");
}

#[test]
fn digits_stay_as_the_venue_wrote_them() {
    check("61837.63000000", "61837.63");
    check("0.00000000000000000000", "0");
    check("65010", "65010");
    check("65010.00", "65010");
    check("00065010.10", "65010.1");
    check("0.00000213", "0.00000213");
    check("+1.5", "1.5");
    check("-0.0084", "-0.0084");
    check("-0.000", "0");
    check("-0", "0");
    check(".5", "0.5");
    check("5.", "5");
    check("10331510.56600000000000000000", "10331510.566");
}

#[test]
fn exponents_become_plain_digits() {
    check("1e-8", "0.00000001");
    check("2.13E-6", "0.00000213");
    check("1.5e3", "1500");
    check("1.5e+0", "1.5");
    check("-12.345e1", "-123.45");
    check("0e9", "0");
    check("1e00002", "100");
}

#[test]
fn what_is_no_number_is_refused() {
    for input in
        ["", "-", "+", ".", "e5", "1e", "1e+", "NaN", "inf", "1.2.3", "1,5", "--1", "0x10", " 1", "1 "]
    {
        assert_eq!(Decimal::parse(input.as_bytes()), Err(DecimalError::Syntax), "{input:?}");
    }
    let long = "1".repeat(DECIMAL_BYTES_MAX + 1);
    assert_eq!(Decimal::parse(long.as_bytes()), Err(DecimalError::TooLong));
    assert_eq!(Decimal::parse(b"1e99"), Err(DecimalError::TooLong));
    assert_eq!(Decimal::parse(b"1e-99999999999999999999"), Err(DecimalError::TooLong));
}

#[test]
fn a_fraction_becomes_percent() {
    for (fraction, percent) in
        [("0.0047", "0.47"), ("-0.0084", "-0.84"), ("0", "0"), ("1.5", "150"), ("0.1", "10")]
    {
        assert_eq!(fraction.parse::<Decimal>().unwrap().shift(2).unwrap().as_str(), percent);
    }
}

#[test]
fn a_float_takes_the_digits_of_its_tick() {
    let near =
        |value: f32, tick: &str| Decimal::from_f32(value, &tick.parse().unwrap()).map(|d| d.to_string());
    assert_eq!(near(2453.4, "0.05"), Ok("2453.4".to_owned()));
    assert_eq!(near(101.15, "0.05"), Ok("101.15".to_owned()));
    assert_eq!(near(0.0025, "0.0025"), Ok("0.0025".to_owned()));
    assert_eq!(near(-3.33, "0.01"), Ok("-3.33".to_owned()));
    assert_eq!(near(83_215.0, "1"), Ok("83215".to_owned()));
    assert_eq!(near(f32::NAN, "0.05"), Err(DecimalError::Syntax));
    assert_eq!(near(1.0, "0"), Err(DecimalError::Syntax));
    assert_eq!(near(1.0, "-0.05"), Err(DecimalError::Syntax));
    assert_eq!(near(f32::MAX, "0.05"), Err(DecimalError::TooLong));
}

proptest! {
    /// Zeros and signs around the digits change nothing; the digits themselves are never touched.
    #[test]
    fn padding_is_all_that_goes(whole in "0|[1-9][0-9]{0,11}", fraction in "([0-9]{0,10}[1-9])?", zeros in 0usize..6) {
        let normal = if fraction.is_empty() { whole.clone() } else { format!("{whole}.{fraction}") };
        let padded = format!("{}{whole}.{fraction}{}", "0".repeat(zeros), "0".repeat(zeros));
        prop_assert_eq!(padded.parse::<Decimal>().unwrap().to_string(), normal.clone());
        prop_assert_eq!(normal.parse::<Decimal>().unwrap().to_string(), normal);
    }

    #[test]
    fn what_is_written_is_a_json_number(input in "[-+]?[0-9]{0,12}(\\.[0-9]{0,12})?([eE][-+]?[0-9]{1,2})?") {
        if let Ok(decimal) = Decimal::parse(input.as_bytes()) {
            let json: serde_json::Value = serde_json::from_str(decimal.as_str()).unwrap();
            prop_assert!(json.is_number());
            prop_assert_eq!(decimal.as_str().parse::<Decimal>(), Ok(decimal));
        }
    }

    #[test]
    fn a_shift_can_be_taken_back(units in -999_999_999i64..999_999_999, places in 0i32..8, by in -6i32..6) {
        let decimal = units.to_string().parse::<Decimal>().unwrap().shift(-places).unwrap();
        prop_assert_eq!(decimal.shift(by).unwrap().shift(-by), Ok(decimal));
    }

    #[test]
    fn a_tick_multiple_survives_its_float(count in 1i64..150_000, tick in prop::sample::select(vec!["0.05", "0.01", "0.0025", "1"])) {
        let tick: Decimal = tick.parse().unwrap();
        let (mantissa, places) = tick.parts().unwrap();
        let exact = (mantissa * count).to_string().parse::<Decimal>().unwrap().shift(-i32::from(places)).unwrap();
        let float: f32 = exact.as_str().parse().unwrap();
        prop_assert_eq!(Decimal::from_f32(float, &tick), Ok(exact));
    }

    #[test]
    fn random_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(decimal) = Decimal::parse(&input) {
            let _ = decimal.shift(3);
            prop_assert!(decimal.as_str().len() <= DECIMAL_BYTES_MAX);
        }
    }
}
