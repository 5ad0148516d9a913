use super::*;

#[test]
fn row_45_and_cve_2026_48802_an_unsolicited_pong_restarts_the_interval_and_nothing_else() {
    let mut world = World::websocket();
    world.wait(299 * MS);
    let before = world.session.clone();
    world.write(&vec![Frame::text("3"); 1000]);
    world.run();
    assert_eq!((world.log().len(), world.frames().len()), (0, 0));
    let heartbeat = Heartbeat { due: world.now + 300 * MS, awaits_pong: false };
    assert_eq!(world.session, Session { heartbeat, ..before });
}

#[test]
fn two_pongs_in_one_segment_are_no_heartbeat_timeout() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::websocket();
        world.read_size = read_size;
        world.wait(300 * MS);
        assert_eq!(world.frames(), ["2"]);
        world.write(&[Frame::text("3"), Frame::text("3probe")]);
        world.wait(100 * MS);
        world.wait(299 * MS);
        assert_eq!((world.log().len(), world.frames().len()), (0, 0));
        world.wait(MS);
        assert_eq!(world.frames(), ["2"]);
    });
}

#[test]
fn row_7_the_first_ping_is_not_sent_at_once_and_not_twice() {
    let mut world = World::websocket();
    for _ in 0..3 {
        world.wait(299 * MS);
        assert_eq!(world.frames(), [""; 0]);
        world.wait(MS);
        world.wait(100 * MS);
        assert_eq!(world.frames(), ["2"]);
        world.text("3");
    }
}

#[test]
fn a_missed_pong_ends_the_session_exactly_at_its_time() {
    let mut world = World::websocket();
    world.wait(300 * MS);
    assert_eq!(world.deadline(), world.now + 200 * MS);
    world.wait(199 * MS);
    assert_eq!(world.frames(), ["2"]);
    world.wait(MS);
    assert_eq!(world.log(), ["closed: ping timeout"]);
    assert_eq!(world.frames(), ["close"]);
    world.wait(5000 * MS);
    assert_eq!(world.log(), ["close stream", "finished"]);
}

#[test]
fn a_pong_in_time_counts_a_pong_at_the_deadline_does_not() {
    for (late, alive) in [(199, true), (200, false)] {
        let mut world = World::websocket();
        world.wait(300 * MS);
        world.now += late * MS;
        world.text("3");
        assert_eq!(world.log().is_empty(), alive);
    }
}

#[test]
fn no_message_is_told_when_the_pong_is_missed() {
    for late in [200, 201] {
        let mut world = World::websocket();
        world.wait(300 * MS);
        world.now += late * MS;
        world.text("4late");
        assert_eq!(world.log(), ["closed: ping timeout"]);
    }
}

#[test]
fn a_ping_comes_behind_what_waits() {
    let mut world = World::websocket();
    world.reads = false;
    ["a", "b", "c"].iter().for_each(|text| world.send(text));
    world.wait(300 * MS);
    world.reads = true;
    world.run();
    assert_eq!(world.frames(), ["4a", "4b", "4c", "2"]);
}

#[test]
fn a_late_timer_shortens_the_time_for_the_pong_a_suspension_does_not() {
    for (late, left) in [(0, 200), (10, 190), (24, 176), (25, 200), (59_700, 200)] {
        let mut world = World::websocket();
        world.wait((300 + late) * MS);
        assert_eq!(world.deadline(), world.now + left * MS, "{late}");
        assert_eq!(world.frames(), ["2"]);
    }
}
