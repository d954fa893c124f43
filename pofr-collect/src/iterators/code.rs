//! Instructions of the programs that the kernel runs (Documentation/bpf/standardization/instruction-set.rst).
//!
//! The programs are put together here of a few instructions rather than by a compiler, since all that differs from kernel to kernel is
//! where a dozen fields stand.

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `bpf_seq_write`, `bpf_d_path` and `bpf_get_current_task_btf` of `enum bpf_func_id` in include/uapi/linux/bpf.h.
pub(super) const SEQ_WRITE: i32 = 127;
pub(super) const D_PATH: i32 = 147;
pub(super) const CURRENT_TASK: i32 = 158;

/// What every iterator's program is given first (`struct bpf_iter_meta`): in it, the file that is read and how many things have been
/// shown.
pub(super) const META: i16 = 0;
pub(super) const SEQ: i16 = 0;
pub(super) const SEQ_NUM: i16 = 16;

/// What is written at the end of an iteration, where there is nothing to show any more: a number that no process and no descriptor has.
pub(super) const END_MARK: i32 = -1;

/// A register.
#[derive(Clone, Copy)]
pub(super) struct R(pub(super) u8);

/// The stack's end.
pub(super) const STACK: R = R(10);

/// Puts a program together: `body` is run for each thing that the iterator shows, which stands at `thing` in what the program is given
/// and is then in `register`; at the end of the iteration a mark is written.
pub(super) fn program(context: R, register: R, thing: i16, body: &[u64]) -> Vec<u64> {
    let end = [
        set(R(1), END_MARK),
        store32(STACK, -8, R(1)),
        load64(R(1), context, META),
        load64(R(1), R(1), SEQ),
        copy(R(2), STACK),
        add_number(R(2), -8),
        set(R(3), 4),
        call(SEQ_WRITE),
        set(R(0), 0),
        exit(),
    ];
    let begin =
        [copy(context, R(1)), load64(register, context, thing), skip_unless(register, 0, end.len() as i16)];
    begin.iter().chain(&end).chain(body).copied().chain([set(R(0), 0), exit()]).collect()
}

/// `struct bpf_insn`: what to do, the registers, an offset and a number.
fn instruction(code: u8, to: R, from: R, offset: i16, number: i32) -> u64 {
    let ([low, high], [a, b, c, d]) = (offset.to_ne_bytes(), number.to_ne_bytes());
    // Two fields of four bits, which a compiler puts into a byte in the machine's order of bytes.
    let registers = if cfg!(target_endian = "little") { from.0 << 4 | to.0 } else { to.0 << 4 | from.0 };
    u64::from_ne_bytes([code, registers, low, high, a, b, c, d])
}

/// `BPF_LDX | BPF_MEM | BPF_DW`.
pub(super) fn load64(to: R, from: R, offset: i16) -> u64 {
    instruction(0x79, to, from, offset, 0)
}

/// `BPF_LDX | BPF_MEM | BPF_W`.
pub(super) fn load32(to: R, from: R, offset: i16) -> u64 {
    instruction(0x61, to, from, offset, 0)
}

/// `BPF_STX | BPF_MEM | BPF_DW`.
pub(super) fn store64(to: R, offset: i16, from: R) -> u64 {
    instruction(0x7b, to, from, offset, 0)
}

/// `BPF_STX | BPF_MEM | BPF_W`.
pub(super) fn store32(to: R, offset: i16, from: R) -> u64 {
    instruction(0x63, to, from, offset, 0)
}

/// `BPF_ALU64 | BPF_MOV | BPF_X`.
pub(super) fn copy(to: R, from: R) -> u64 {
    instruction(0xbf, to, from, 0, 0)
}

/// `BPF_ALU64 | BPF_MOV | BPF_K`.
pub(super) fn set(to: R, number: i32) -> u64 {
    instruction(0xb7, to, R(0), 0, number)
}

/// `BPF_ALU64 | BPF_ADD | BPF_X`.
pub(super) fn add(to: R, from: R) -> u64 {
    instruction(0x0f, to, from, 0, 0)
}

/// `BPF_ALU64 | BPF_ADD | BPF_K`.
pub(super) fn add_number(to: R, number: i32) -> u64 {
    instruction(0x07, to, R(0), 0, number)
}

/// `BPF_JMP | BPF_JNE | BPF_X`.
pub(super) fn skip_unless_equal(one: R, other: R, count: i16) -> u64 {
    instruction(0x5d, one, other, count, 0)
}

/// `BPF_JMP | BPF_JNE | BPF_K`.
pub(super) fn skip_unless(one: R, number: i32, count: i16) -> u64 {
    instruction(0x55, one, R(0), count, number)
}

/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) fn skip_if_zero(one: R, count: i16) -> u64 {
    instruction(0x15, one, R(0), count, 0)
}

/// `BPF_JMP | BPF_JLE | BPF_K`.
pub(super) fn skip_if_at_most(one: R, most: i32, count: i16) -> u64 {
    instruction(0xb5, one, R(0), count, most)
}

/// `BPF_LD | BPF_IMM | BPF_DW` with `BPF_PSEUDO_MAP_VALUE`: the address of what a map of one value holds. It takes two places.
pub(super) fn value_of(to: R, map: BorrowedFd<'_>) -> [u64; 2] {
    [instruction(0x18, to, R(2), 0, map.as_raw_fd()), instruction(0, R(0), R(0), 0, 0)]
}

/// `BPF_JMP | BPF_CALL`.
pub(super) fn call(function: i32) -> u64 {
    instruction(0x85, R(0), R(0), 0, function)
}

/// `BPF_JMP | BPF_EXIT`.
fn exit() -> u64 {
    instruction(0x95, R(0), R(0), 0, 0)
}
