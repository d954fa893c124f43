//! Hostile control groups: whatever a user's manager calls them, they can be read.

#[path = "../../fuzz/checks/keeper.rs"]
mod checks;

#[test]
fn any_names_are_read() {
    pofr_tests::mutate::attack(18, &checks::seeds(), 20_000, checks::cgroup);
}
