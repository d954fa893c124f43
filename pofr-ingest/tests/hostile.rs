//! Hostile bytes from clients and files: whatever comes is answered, and nothing is stored that is not what its name says.

#[path = "../../fuzz/checks/server.rs"]
mod checks;

use pofr_tests::mutate::attack;

#[test]
fn what_comes_by_scp_is_answered() {
    attack(18, &checks::scp_seeds(), 1_000, checks::scp_sink);
}

#[test]
fn what_strangers_say_is_answered() {
    attack(18, &checks::registration_seeds(), 1_000, checks::registration);
}

#[test]
fn databases_of_places_are_read_or_refused() {
    attack(18, &checks::places_seeds(), 2_000, checks::places);
}
