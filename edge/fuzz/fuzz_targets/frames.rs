//! Client frames: however the network cuts the bytes, the same messages come out, and nothing panics. The first byte
//! says where to cut.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use tickwire_edge::ws::WsError;
use tickwire_edge::ws::parser::Parser;

const MESSAGE_BYTES_MAX: usize = 4_096;

fn read(pieces: &[&[u8]]) -> (Vec<String>, Result<(), WsError>) {
    let mut parser = Parser::new(MESSAGE_BYTES_MAX);
    let mut seen = Vec::new();
    for piece in pieces {
        let fed = parser.feed(&mut piece.to_vec(), |message| {
            seen.push(format!("{message:?}"));
            ControlFlow::Continue(())
        });
        if fed.is_err() {
            return (seen, fed);
        }
    }
    (seen, Ok(()))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let (head, tail) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    assert_eq!(read(&[bytes]), read(&[head, tail]));
});
