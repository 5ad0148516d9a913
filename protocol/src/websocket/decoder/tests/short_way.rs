use super::*;

/// What the short way makes of `wire`, and how much of it is left.
fn next_whole(decoder: &mut Decoder, wire: &[u8]) -> (Option<Event>, usize) {
    let mut bytes = wire.to_vec();
    let mut input = Input::new(&mut bytes);
    let event = match decoder.next_whole(b'4', &mut input) {
        Some(Ok(incoming)) => Some(incoming.into()),
        Some(Err(code)) => Some(Event::Failed(code.0)),
        None => None,
    };
    (event, input.len())
}

#[test]
fn the_short_way_takes_messages_that_lie_whole_in_the_input_and_nothing_else() {
    for (role, key) in [(Role::Server, Some(KEY)), (Role::Client, None)] {
        let try_on = |wire: &[u8]| next_whole(&mut Decoder::new(role, MAX), wire);
        let behind = frame(0x81, key, b"4behind");
        for (first, payload, expected) in [
            (0x81, &b"4text"[..], text("4text")),
            (0x81, b"4\xff", INVALID_DATA),
            (0x82, b"binary", Event::Binary(b"binary".to_vec())),
            (0x82, b"", Event::Binary(Vec::new())),
        ] {
            let wire = frame(first, key, payload);
            assert_eq!(try_on(&wire), (Some(expected.clone()), 0));
            assert_eq!(try_on(&[&wire[..], &behind].concat()), (Some(expected), behind.len()));
            assert_eq!(try_on(&wire[..wire.len() - 1]), (None, wire.len() - 1));
        }
        // Behind the empty text comes what a text would start with.
        let start = vec![b'4' ^ key.map_or(0, |key| key[0])];
        for wire in [
            [frame(0x81, key, b""), start].concat(),
            frame(0x81, key, b"3"),
            frame(0x01, key, b"4first"),
            frame(0x89, key, b"4ping"),
            frame(0x88, key, b""),
            frame(0xc1, key, b"4reserved"),
            frame(0x82, key, &[7; MAX + 1]),
        ] {
            assert_eq!(try_on(&wire), (None, wire.len()), "{:?}", &wire[..2]);
        }
    }
}

#[test]
fn the_short_way_overtakes_nothing() {
    let whole = masked(0x81, b"4whole");
    for before in [&masked(0x88, b"")[..], &masked(0x01, b"4first"), &whole[..5]] {
        let mut decoder = Decoder::new(Role::Server, MAX);
        drain(&mut decoder, before, &mut Vec::new());
        assert_eq!(next_whole(&mut decoder, &whole), (None, whole.len()));
    }
    let mut decoder = Decoder::new(Role::Server, MAX);
    next_whole(&mut decoder, &masked(0x81, b"4\xff"));
    assert_eq!(next_whole(&mut decoder, &whole), (None, whole.len()), "it is closed");
}
