//! Both ways over real sockets: the same writes, the same results.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use proptest::prelude::*;

use super::*;

/// A ring, or a word on the terminal that nothing was tested.
fn ring() -> Option<Writer> {
    let opened = Ring::open();
    if let Err(error) = &opened {
        // Not through the test harness, which would keep it to itself.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: io_uring is not to be had here ({error}); its test has tested nothing"
        );
    }
    opened.ok().map(Writer::Ring)
}

fn both() -> Vec<Writer> {
    [Some(Writer::Plain), ring()].into_iter().flatten().collect()
}

/// A socket that soon is full, and its other end.
fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    SockRef::from(&ours).set_send_buffer_size(4_096).unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs)
}

fn read(socket: &mut UnixStream, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let len = socket.read(&mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

fn write(
    writer: &mut Writer,
    sockets: &[(UnixStream, UnixStream)],
    bytes: &[Vec<u8>],
) -> Vec<io::Result<usize>> {
    let writes: Vec<Write<'_>> =
        sockets.iter().zip(bytes).map(|((ours, _), bytes)| Write { socket: ours.as_fd(), bytes }).collect();
    let mut taken = Vec::new();
    assert!(writer.write(&writes, &mut taken).is_none());
    assert_eq!(taken.len(), writes.len());
    taken
}

#[test]
fn without_a_ring_the_plain_way_is_taken_or_the_start_fails() {
    let forbidden = || Err(io::ErrorKind::PermissionDenied.into());
    let (writer, why) = Writer::choose(IoUring::Auto, forbidden).unwrap();
    assert_eq!((writer.way(), why.unwrap().kind()), ("plain", io::ErrorKind::PermissionDenied));
    assert!(Writer::choose(IoUring::On, forbidden).is_err());
    let (writer, why) = Writer::choose(IoUring::Off, || panic!("not wanted")).unwrap();
    assert!(writer.way() == "plain" && why.is_none());
}

#[test]
fn each_socket_gets_its_own_bytes_however_many_there_are() {
    for mut writer in both() {
        for count in [1, RING_BATCH_MIN, Ring::BATCH_MAX + 3] {
            let mut sockets: Vec<_> = (0..count).map(|_| pair()).collect();
            let bytes: Vec<Vec<u8>> = (0..count).map(|n| format!("for {n}").into_bytes()).collect();
            let taken = write(&mut writer, &sockets, &bytes);
            for ((taken, bytes), (_, theirs)) in taken.into_iter().zip(&bytes).zip(&mut sockets) {
                assert_eq!(taken.unwrap(), bytes.len());
                assert_eq!(&read(theirs, 100), bytes);
            }
        }
    }
}

#[test]
fn a_full_socket_and_one_that_is_gone_are_results_of_their_own() {
    for mut writer in both() {
        let mut sockets: Vec<_> = (0..8).map(|_| pair()).collect();
        while (&sockets[3].0).write(&[b'x'; 512]).is_ok() {}
        let (dead, _) = UnixStream::pair().unwrap();
        sockets[5].1 = dead;
        let taken = write(&mut writer, &sockets, &vec![b"hello".to_vec(); 8]);
        for (number, taken) in taken.into_iter().enumerate() {
            match number {
                3 => assert_eq!(taken.unwrap(), 0),
                5 => assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::BrokenPipe),
                _ => assert_eq!(taken.unwrap(), 5),
            }
        }
        let heard = sockets.iter_mut().map(|(_, theirs)| read(theirs, 5));
        assert_eq!(heard.filter(|bytes| bytes == b"hello").count(), 6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What the sockets say they took is what arrives, whatever was read meanwhile.
    #[test]
    fn what_was_taken_arrives(rounds in prop::collection::vec(prop::collection::vec((1usize..9_000, 0usize..9_000), 6), 1..12)) {
        for mut writer in both() {
            let mut sockets: Vec<_> = (0..6).map(|_| pair()).collect();
            let (mut sent, mut seen) = (vec![Vec::new(); 6], vec![Vec::new(); 6]);
            for (number, round) in rounds.iter().enumerate() {
                let bytes: Vec<Vec<u8>> = round.iter().map(|(len, _)| vec![number as u8; *len]).collect();
                for (at, taken) in write(&mut writer, &sockets, &bytes).into_iter().enumerate() {
                    sent[at].extend_from_slice(&bytes[at][..taken.unwrap()]);
                }
                for (at, (_, most)) in round.iter().enumerate() {
                    seen[at].extend(read(&mut sockets[at].1, *most));
                }
            }
            for (at, (_, theirs)) in sockets.iter_mut().enumerate() {
                seen[at].extend(std::iter::repeat_with(|| read(theirs, 65_536)).take_while(|bytes| !bytes.is_empty()).flatten());
            }
            prop_assert_eq!(&sent, &seen);
        }
    }
}
