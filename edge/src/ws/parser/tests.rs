use super::*;
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client frame as the RFC wants it: masked.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn read_in(pieces: &[&[u8]], max: usize) -> (Vec<String>, Result<(), WsError>) {
    let mut parser = Parser::new(max);
    let mut seen = Vec::new();
    for piece in pieces {
        let fed = parser.feed(&mut piece.to_vec(), |message| {
            seen.push(format!("{message:?}"));
            if matches!(message, Message::Close(_)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if fed.is_err() {
            return (seen, fed);
        }
    }
    (seen, Ok(()))
}

fn read(bytes: &[u8]) -> (Vec<String>, Result<(), WsError>) {
    read_in(&[bytes], 1_000)
}

#[test]
fn the_example_of_the_rfc() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&hello), (vec![r#"Text("Hello")"#.to_owned()], Ok(())));
}

#[test]
fn fragments_with_a_ping_between() {
    let bytes = [client_frame(0x01, b"Hel"), client_frame(0x89, b"p"), client_frame(0x80, b"lo")].concat();
    assert_eq!(read(&bytes).0, ["Ping([112])", r#"Text("Hello")"#]);
}

#[test]
fn a_character_may_be_cut_by_a_fragment_but_not_broken() {
    let whole = [client_frame(0x01, &[0xC3]), client_frame(0x80, &[0xA9])].concat();
    assert_eq!(read(&whole).0, [r#"Text("é")"#]);
    let broken = [client_frame(0x01, &[0xC3]), client_frame(0x00, &[0x28])].concat();
    assert_eq!(read(&broken).1, Err(WsError::Utf8));
    assert_eq!(read(&client_frame(0x81, &[0xFF])).1, Err(WsError::Utf8));
    assert_eq!(read(&client_frame(0x81, &[0xC3])).1, Err(WsError::Utf8));
}

#[test]
fn nothing_is_read_after_a_close() {
    let bytes = [client_frame(0x88, &1000u16.to_be_bytes()), client_frame(0x81, b"late")].concat();
    assert_eq!(read(&bytes), (vec!["Close(Some(1000))".to_owned()], Ok(())));
    assert_eq!(read(&client_frame(0x88, b"")).0, ["Close(None)"]);
}

#[test]
fn what_the_rfc_forbids_is_refused() {
    let mut unmasked = client_frame(0x81, b"x");
    unmasked[1] &= 0x7F;
    for (bytes, why) in [
        (client_frame(0xC1, b"x"), "reserved bit"),
        (client_frame(0x83, b"x"), "opcode 3"),
        (client_frame(0x8B, b"x"), "opcode 11"),
        (unmasked, "no mask"),
        (client_frame(0x09, b"x"), "ping in fragments"),
        (client_frame(0x89, &[0; 126]), "ping over 125 bytes"),
        (client_frame(0x80, b"x"), "continuation first"),
        ([client_frame(0x01, b"x"), client_frame(0x81, b"y")].concat(), "text inside text"),
        (client_frame(0x88, &[3]), "close code of one byte"),
        (client_frame(0x88, &1005u16.to_be_bytes()), "close code 1005"),
        (client_frame(0x88, &999u16.to_be_bytes()), "close code 999"),
        (client_frame(0x88, &5000u16.to_be_bytes()), "close code 5000"),
        (vec![0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0], "long form of a short length"),
        (vec![0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "length with the top bit"),
    ] {
        assert!(matches!(read(&bytes).1, Err(WsError::Protocol(_))), "{why}");
    }
    let bad_reason = [&1000u16.to_be_bytes()[..], &[0xFF]].concat();
    assert_eq!(read(&client_frame(0x88, &bad_reason)).1, Err(WsError::Utf8));
}

#[test]
fn size_is_judged_before_the_payload_comes() {
    let header_only = &client_frame(0x81, &[b'x'; 1_001])[..8];
    assert_eq!(read(header_only).1, Err(WsError::TooBig));
    let fragments = [client_frame(0x01, &[b'x'; 600]), client_frame(0x80, &[b'x'; 600])].concat();
    assert_eq!(read(&fragments).1, Err(WsError::TooBig));
    assert_eq!(read(&client_frame(0x81, &[b'x'; 1_000])).1, Ok(()));
}

proptest! {
    /// However the network cuts the bytes, the same messages come out.
    #[test]
    fn cuts_change_nothing(
        texts in prop::collection::vec("[a-z é€]{0,150}", 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes: Vec<u8> = texts.iter().flat_map(|text| client_frame(0x81, text.as_bytes())).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read_in(&pieces, 1_000), read(&bytes));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        let cut = cut.min(bytes.len());
        let _ = read_in(&[&bytes[..cut], &bytes[cut..]], 100);
    }
}
