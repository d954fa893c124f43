//! Stitching: rows a second through the merge that levels 2 and 3 use, and through one border in place.

use divan::{Bencher, counter::ItemsCount};
use pofr_benches::Machine;
use pofr_core::{
    coverage::Coverage,
    merge::{Merge, Stitcher, order},
};

fn main() {
    divan::main();
}

#[divan::bench(args = [2, 16, 64])]
fn merge_slices(bencher: Bencher<'_, '_>, slices: u32) {
    let (mut inputs, mut spans) = (Vec::new(), Vec::new());
    for i in 0..slices {
        let (tracked, placed) = Machine::B.tracked(u64::from(i) + 1, i * 20, 20);
        let mut rows = tracked.rows;
        rows.sort_by_key(order);
        inputs.push(rows);
        spans.extend(placed);
    }
    let coverage = Coverage::new(&spans);
    let rows: usize = inputs.iter().map(Vec::len).sum();
    bencher.counter(ItemsCount::new(rows)).with_inputs(|| inputs.clone()).bench_local_values(|inputs| {
        let inputs =
            inputs.into_iter().map(|rows| rows.into_iter().map(Ok::<_, std::convert::Infallible>)).collect();
        let mut stitcher = Stitcher::new(&coverage);
        let Ok(merge) = Merge::new(inputs);
        let mut out = merge.filter_map(|row| row.ok().and_then(|row| stitcher.push(row))).count();
        out += usize::from(stitcher.finish().is_some());
        assert!(out < rows);
        out
    });
}
