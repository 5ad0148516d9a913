use super::*;

#[test]
fn a_limit_without_bound_does_not_overflow_either() {
    let mut decoder = Decoder::new(Role::Client, usize::MAX);
    let mut events = Vec::new();
    drain(&mut decoder, &header(0x82, None, i64::MAX as u64, 8), &mut events);
    if usize::BITS == 64 {
        assert_eq!(events, []);
        assert_eq!(decoder.read_target().map(|room| room.len()), Some(Carry::FIRST_ROOM - 10));
        assert!(memory(&decoder) <= Carry::FIRST_ROOM);
    }
}

// CVE-2022-35922: memory is taken by declared length.
#[test]
fn memory_is_taken_as_data_arrives_not_as_declared() {
    let mut decoder = Decoder::new(Role::Server, 1 << 30);
    drain(&mut decoder, &header(0x82, Some(KEY), 1 << 30, 8), &mut Vec::new());
    assert!(memory(&decoder) <= Carry::FIRST_CAPACITY);
    let mut arrived = 14;
    while arrived < 1 << 20 {
        let room = decoder.read_target().map_or(0, |room| room.len().min(5000));
        assert!(room > 0);
        decoder.filled(room);
        arrived += room;
        assert!(memory(&decoder) <= Carry::FIRST_ROOM.max(2 * arrived));
        drain(&mut decoder, b"x", &mut Vec::new());
        arrived += 1;
        assert!(memory(&decoder) <= Carry::FIRST_ROOM.max(2 * arrived));
    }
}

// CVE-2026-45736: memory that nobody wrote is given out.
#[test]
fn room_that_was_not_filled_is_never_lent() {
    let payload = vec![b'a'; 20_000];
    let wire = masked(0x81, &payload);
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut events = Vec::new();
    drain(&mut decoder, &wire[..100], &mut events);
    decoder.read_target().expect("a large frame is under way").fill(0xff);
    decoder.filled(0);
    drain(&mut decoder, &wire[100..5000], &mut events);
    decoder.read_target().expect("still under way")[..1000].copy_from_slice(&wire[5000..6000]);
    decoder.filled(1000);
    assert_eq!(events, []);
    drain(&mut decoder, &wire[6000..], &mut events);
    assert_eq!(events, [text(&String::from_utf8(payload).unwrap())]);
}

#[test]
fn more_filled_than_offered_does_no_harm() {
    let mut decoder = Decoder::new(Role::Server, MAX);
    decoder.filled(10);
    assert_eq!(decoder, Decoder::new(Role::Server, MAX));
    drain(&mut decoder, &header(0x82, Some(KEY), 50_000, 2), &mut Vec::new());
    decoder.filled(1);
    let room = decoder.read_target().expect("a large frame is under way").len();
    decoder.filled(usize::MAX);
    assert_eq!(decoder.carry.data().len(), 8 + room);
}

#[test]
fn room_ends_where_the_frame_ends() {
    let wire = [masked(0x82, &[7; 9000]), masked(0x81, b"next")].concat();
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut events = Vec::new();
    drain(&mut decoder, &wire[..5], &mut events);
    assert!(decoder.read_target().is_none(), "the length is not known yet");
    drain(&mut decoder, &wire[5..108], &mut events);
    let room = decoder.read_target().expect("a large frame is under way");
    assert_eq!(room.len(), 8900);
    room.copy_from_slice(&wire[108..9008]);
    decoder.filled(8900);
    assert!(decoder.read_target().is_none());
    drain(&mut decoder, &wire[9008..], &mut events);
    assert_eq!(events, [Event::Binary(vec![7; 9000]), text("next")]);
}

#[test]
fn no_room_is_offered_while_whole_frames_wait_or_little_is_missing() {
    let mut decoder = Decoder::new(Role::Server, MAX);
    assert!(decoder.read_target().is_none());
    let mut wire = [masked(0x81, b"waits"), header(0x82, Some(KEY), 50_000, 2)].concat();
    decoder.buffer_rest(&mut Input::new(&mut wire));
    assert!(decoder.read_target().is_none());
    assert!(matches!(decoder.next(&mut Input::empty()), Ok(Some(Incoming::Text("waits")))));
    let room = decoder.read_target().map(|room| room.len());
    assert_eq!(room, Some(Carry::FIRST_ROOM - 8), "the frame that was lent takes none of it");

    let mut decoder = Decoder::new(Role::Server, MAX);
    let wire = masked(0x82, &[7; Carry::LEAST_ROOM]);
    drain(&mut decoder, &wire[..8], &mut Vec::new());
    assert_eq!(decoder.read_target().map(|room| room.len()), Some(Carry::LEAST_ROOM));
    drain(&mut decoder, &wire[8..9], &mut Vec::new());
    assert!(decoder.read_target().is_none());
}

#[test]
fn what_lies_whole_in_the_input_is_lent_from_there() {
    let mut wire = [masked(0x81, b"text"), masked(0x82, b"binary"), masked(0x89, b"ping"), vec![0x81]].concat();
    let range = wire.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut input = Input::new(&mut wire);
    for _ in 0..3 {
        let payload = match decoder.next(&mut input) {
            Ok(Some(Incoming::Text(text))) => text.as_ptr(),
            Ok(Some(Incoming::Binary(bytes))) => bytes.as_slice().as_ptr(),
            Ok(Some(Incoming::Ping(payload))) => payload.as_ptr(),
            other => panic!("{other:?}"),
        };
        assert!(range.contains(&payload));
        assert_eq!(memory(&decoder), 0);
    }
    assert!(matches!(decoder.next(&mut input), Ok(None)));
}

#[test]
fn only_what_completes_a_frame_is_copied() {
    let mut wire = [masked(0x81, b"first"), masked(0x81, b"second")].concat();
    let (head, tail) = wire.split_at_mut(8);
    let range = tail.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server, MAX);
    assert!(matches!(decoder.next(&mut Input::new(head)), Ok(None)));
    let mut input = Input::new(tail);
    for (expected, in_input) in [("first", false), ("second", true)] {
        let Ok(Some(Incoming::Text(text))) = decoder.next(&mut input) else { panic!("a message is whole") };
        assert_eq!((text, range.contains(&text.as_ptr())), (expected, in_input));
    }
}

#[test]
fn a_large_binary_message_is_given_away_without_a_copy() {
    let wire = masked(0x82, &[7; 50_000]);
    let fragments = [masked(0x02, &[7; 25_000]), masked(0x80, &[7; 25_000])].concat();
    for wire in [wire, fragments] {
        let mut decoder = Decoder::new(Role::Server, MAX);
        let (head, tail) = wire.split_at(20_000);
        drain(&mut decoder, head, &mut Vec::new());
        let mut tail = tail.to_vec();
        let mut input = Input::new(&mut tail);
        let Ok(Some(Incoming::Binary(binary))) = decoder.next(&mut input) else { panic!() };
        let at = binary.as_slice().as_ptr();
        let bytes = binary.into_bytes();
        assert_eq!((bytes.as_ptr(), &bytes[..]), (at, &[7; 50_000][..]));
        assert!(matches!(decoder.next(&mut input), Ok(None)));
        assert_eq!(decoder, Decoder::new(Role::Server, MAX));
    }
}

#[test]
fn an_idle_decoder_holds_nothing() {
    let large = vec![b'a'; 50_000];
    let wires = [
        masked(0x81, b"small"),
        masked(0x81, &large),
        [masked(0x01, &large), masked(0x80, b"end")].concat(),
        [masked(0x81, b"one"), masked(0x82, b"two")].concat(),
    ];
    for wire in wires {
        for size in [1, 1000, wire.len()] {
            let mut decoder = Decoder::new(Role::Server, MAX);
            wire.chunks(size).for_each(|piece| drain(&mut decoder, piece, &mut Vec::new()));
            assert_eq!(memory(&decoder), 0);
            assert_eq!(decoder, Decoder::new(Role::Server, MAX));
            decoder.buffer_rest(&mut Input::empty());
            assert_eq!(memory(&decoder), 0);
        }
    }
    assert!(size_of::<Decoder>() <= size_of::<[usize; 8]>());
}

#[test]
fn what_a_pause_piled_up_is_given_back_with_its_last_whole_frame() {
    let mut wire = masked(0x81, &[b'a'; 1000]).repeat(50);
    wire.extend_from_slice(&[0x81, 0x85]);
    let mut decoder = Decoder::new(Role::Server, MAX);
    decoder.buffer_rest(&mut Input::new(&mut wire));
    let mut events = Vec::new();
    drain(&mut decoder, &[], &mut events);
    assert_eq!(events.len(), 50);
    assert!(memory(&decoder) <= Carry::FIRST_CAPACITY);
}

#[test]
fn what_is_used_up_is_given_back_while_more_piles_up() {
    let mut decoder = Decoder::new(Role::Server, MAX);
    let frame = masked(0x81, &[b'a'; 100]);
    decoder.buffer_rest(&mut Input::new(&mut frame.repeat(2)));
    for _ in 0..100 {
        decoder.buffer_rest(&mut Input::new(&mut frame.repeat(3)));
        for _ in 0..3 {
            assert!(matches!(decoder.next(&mut Input::empty()), Ok(Some(Incoming::Text(_)))));
        }
        assert!(memory(&decoder) <= 20 * frame.len());
    }
}

#[test]
fn the_rest_of_a_frame_of_which_half_is_there_needs_no_other_buffer() {
    let wire = masked(0x82, &[7; 10_000]);
    let mut decoder = Decoder::new(Role::Server, MAX);
    for piece in [&wire[..1000], &wire[1000..6000], &wire[6000..wire.len() - 1]] {
        let had = memory(&decoder);
        drain(&mut decoder, piece, &mut Vec::new());
        let arrived = decoder.carry.data().len();
        assert_eq!(memory(&decoder), if arrived > had { (2 * arrived).min(wire.len()) } else { had });
    }
}

/// The bytes that the decoder holds on the heap for payloads.
pub(super) fn memory(decoder: &Decoder) -> usize {
    decoder.carry.bytes.capacity() + decoder.gathering.as_ref().map_or(0, |gathering| gathering.bytes.capacity())
}
