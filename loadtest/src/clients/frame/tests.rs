use proptest::prelude::*;

use super::*;

/// An event with its own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(u16),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong => Self::Pong,
            Event::Close(code) => Self::Close(code),
        }
    }
}

fn server_frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 | opcode } else { opcode }];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Feeds `stream` in pieces that end at `cuts`, keeping only what is incomplete.
fn feed(stream: &[u8], cuts: &[usize]) -> Result<Vec<Owned>, FrameError> {
    let (mut kept, mut events, mut from) = (Vec::new(), Vec::new(), 0);
    let mut assembler = Assembler::default();
    for cut in cuts.iter().copied().chain([stream.len()]) {
        kept.extend_from_slice(&stream[from..cut]);
        from = cut;
        let mut used = 0;
        while let Some((frame, len)) = next(&kept[used..])? {
            used += len;
            events.extend(assembler.take(frame)?.map(Owned::from));
        }
        kept.drain(..used);
    }
    assert!(kept.is_empty(), "whole frames leave nothing behind");
    Ok(events)
}

#[test]
fn frames_of_every_length_form() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, MESSAGE_BYTES_MAX] {
        let text = vec![b'x'; len];
        let stream = server_frame(true, 1, &text);
        assert_eq!(feed(&stream, &[]), Ok(vec![Owned::Text(text)]), "{len}");
    }
}

#[test]
fn control_frames_come_between_fragments() {
    let mut stream = server_frame(false, 1, b"ab");
    stream.extend(server_frame(true, 9, b"?"));
    stream.extend(server_frame(false, 0, b"cd"));
    stream.extend(server_frame(true, 10, b""));
    stream.extend(server_frame(true, 0, b"ef"));
    stream.extend(server_frame(true, 8, &[0x03, 0xf4, b'!']));
    stream.extend(server_frame(true, 8, b""));
    let expected = vec![
        Owned::Ping(b"?".to_vec()),
        Owned::Pong,
        Owned::Text(b"abcdef".to_vec()),
        Owned::Close(1012),
        Owned::Close(CLOSE_NO_CODE),
    ];
    assert_eq!(feed(&stream, &[]), Ok(expected));
}

#[test]
fn broken_framing_is_named() {
    let big = [0x81, 127, 0, 0, 0, 0, 0, 0x10, 0, 1];
    let (ping_part, long_ping) = (server_frame(false, 9, b""), server_frame(true, 9, &[0; 126]));
    for (bytes, error) in [
        (&[0xc1, 0][..], FrameError::ReservedBits),
        (&[0x81, 0x80, 0, 0, 0, 0], FrameError::Masked),
        (&[0x83, 0], FrameError::Opcode),
        (&ping_part, FrameError::Control),
        (&long_ping, FrameError::Control),
        (&big, FrameError::TooBig),
        (&[0x80, 0], FrameError::Fragments),
        (&[0x01, 0, 0x81, 0], FrameError::Fragments),
        (&[0x82, 0], FrameError::Binary),
    ] {
        assert_eq!(feed(bytes, &[]), Err(error), "{bytes:?}");
    }
}

#[test]
fn fragments_have_a_bound_in_all() {
    let half = vec![b'x'; MESSAGE_BYTES_MAX / 2 + 1];
    let mut stream = server_frame(false, 1, &half);
    stream.extend(server_frame(true, 0, &half));
    assert_eq!(feed(&stream, &[]), Err(FrameError::TooBig));
}

#[test]
fn a_client_frame_is_masked_as_in_the_standard() {
    // Section 5.7: a single-frame masked text message that holds "Hello".
    let mut out = Vec::new();
    push(&mut out, Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    for (len, head) in [(126, vec![0x81, 0xfe, 0, 126]), (65_536, vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0])] {
        let mut out = Vec::new();
        push(&mut out, Opcode::Text, &vec![0; len], [0; 4]);
        assert_eq!((&out[..head.len()], out.len()), (&head[..], head.len() + 4 + len));
    }
}

/// A message as the frames that carry it, and what must come out.
fn message() -> impl Strategy<Value = (Vec<u8>, Owned)> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let short = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        prop::collection::vec(bytes(), 1..4).prop_map(|parts| {
            let end = parts.len() - 1;
            let frames = parts.iter().enumerate();
            let frames = frames.map(|(i, part)| server_frame(i == end, u8::from(i == 0), part));
            (frames.collect::<Vec<_>>().concat(), Owned::Text(parts.concat()))
        }),
        short().prop_map(|payload| (server_frame(true, 9, &payload), Owned::Ping(payload))),
        short().prop_map(|payload| (server_frame(true, 10, &payload), Owned::Pong)),
        (1000u16..5000).prop_map(|code| (server_frame(true, 8, &code.to_be_bytes()), Owned::Close(code))),
    ]
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_messages(
        messages in prop::collection::vec(message(), 1..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (frames, expected): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let stream = frames.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(feed(&stream, &cuts), Ok(expected));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut assembler, mut used) = (Assembler::default(), 0);
        while let Ok(Some((frame, len))) = next(&bytes[used..]) {
            used += len;
            if assembler.take(frame).is_err() {
                break;
            }
        }
        prop_assert!(used <= bytes.len());
    }

    #[test]
    fn a_client_frame_unmasks_to_its_payload(
        payload in prop::collection::vec(any::<u8>(), 0..400),
        mask in any::<[u8; 4]>(),
    ) {
        let mut out = Vec::new();
        push(&mut out, Opcode::Ping, &payload, mask);
        let body = out.len() - payload.len();
        prop_assert_eq!(&out[body - 4..body], &mask);
        let plain: Vec<u8> = out[body..].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
        prop_assert_eq!(plain, payload);
    }
}
